package rotate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"strongroom/internal/audit"
	"strongroom/store"
)

// Options are what a Manager works with.
type Options struct {
	Store  Store
	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
	// Audit is told of what nobody asked for: a schedule whose maximum age has
	// passed. Nil: nothing is.
	Audit func(*audit.Entry) error
	// Compact rewrites the data file without what was deleted; nil: there is
	// nothing to compact.
	Compact func(ctx context.Context) error
	// Grace is that of a rotation that says nothing of it; default DefaultGrace.
	Grace time.Duration
	// Kinds are other kinds of jobs that are carried on here.
	Kinds []Kind
}

// Manager keeps rotations and schedules, and carries them on. Its methods are
// safe for concurrent use; those that take a caller authorise and audit it.
type Manager struct {
	o Options
}

// New makes a Manager. What it keeps is read by Run.
func New(o Options) *Manager { return &Manager{o: o} }

var errMissing = errors.New("rotate: not written yet")

// Run carries on what there is, until the context ends: jobs that an earlier
// process left go on where they were.
func (m *Manager) Run(ctx context.Context) error { return errMissing }

// Create makes a rotation, which begins at once. A domain that another one
// works on is a store.Conflict that names it.
func (m *Manager) Create(ctx context.Context, c store.Caller, r Request) (Rotation, error) {
	return Rotation{}, errMissing
}

// Get returns a rotation.
func (m *Manager) Get(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return Rotation{}, errMissing
}

// List returns the rotations that are kept, the newest first, without their
// parts.
func (m *Manager) List(ctx context.Context, c store.Caller) ([]Rotation, error) {
	return nil, errMissing
}

// Pause stops a rotation where it is, until it is resumed.
func (m *Manager) Pause(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return Rotation{}, errMissing
}

// Resume lets a rotation go on that was paused, waits or has failed.
func (m *Manager) Resume(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return Rotation{}, errMissing
}

// Cancel ends a rotation whose new keys are not primary anywhere yet, and
// removes them. After that it is a store.Conflict: finish it, or roll it back.
// One that has failed is given up: what it made stays, and the next rotation of
// those domains clears it up.
func (m *Manager) Cancel(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return Rotation{}, errMissing
}

// Rollback makes the former keys primary again, moves back what is under the
// new ones, and destroys those. It works until the former ones are destroyed.
func (m *Manager) Rollback(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return Rotation{}, errMissing
}

// Throttle changes how many values a rotation moves in a second; 0: as many as
// leave requests unharmed.
func (m *Manager) Throttle(ctx context.Context, c store.Caller, id string, rate uint64) (Rotation, error) {
	return Rotation{}, errMissing
}

// Subscribe returns a rotation now, and again when something of it changes, at
// most a few times a second, until it ended or the context ends. The last one
// before the channel is closed tells how it stands then.
func (m *Manager) Subscribe(ctx context.Context, c store.Caller, id string) (<-chan Rotation, error) {
	return nil, errMissing
}

// Report returns the signed report of a rotation that ended: see VerifyReport.
func (m *Manager) Report(ctx context.Context, c store.Caller, id string) ([]byte, error) {
	return nil, errMissing
}

// PutSchedule makes a schedule or replaces it.
func (m *Manager) PutSchedule(ctx context.Context, c store.Caller, name string, spec ScheduleSpec, pre store.Precondition) (s Schedule, created bool, err error) {
	return Schedule{}, false, errMissing
}

// GetSchedule returns a schedule.
func (m *Manager) GetSchedule(ctx context.Context, c store.Caller, name string) (Schedule, error) {
	return Schedule{}, errMissing
}

// ListSchedules returns all schedules by name.
func (m *Manager) ListSchedules(ctx context.Context, c store.Caller) ([]Schedule, error) {
	return nil, errMissing
}

// DeleteSchedule removes a schedule; a rotation that it started goes on.
func (m *Manager) DeleteSchedule(ctx context.Context, c store.Caller, name string, pre store.Precondition) error {
	return errMissing
}

// Reasons says for /readyz what is not as it should be: rotations that failed
// or wait, schedules whose maximum age has passed.
func (m *Manager) Reasons() []store.Reason { return nil }

// Stats returns what an operator watches.
func (m *Manager) Stats() Stats { return Stats{} }
