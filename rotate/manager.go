package rotate

import (
	"context"
	"log/slog"
	"sync"
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
	store   Store
	logger  *slog.Logger
	now     func() time.Time
	audit   func(*audit.Entry) error
	compact func(ctx context.Context) error
	grace   time.Duration
	kinds   []Kind

	crew  *crew
	pacer *Pacer

	// control is held while rows of rotations and schedules are made or changed
	// by anything but a step of their own.
	control sync.Mutex

	mu        sync.Mutex // guards what follows, for moments
	loaded    bool
	broken    string // why some rows could not be read
	rotations map[string]*rotation
	schedules map[string]*schedule
	doubts    map[string]bool // rotations that may have been stored
	moved     uint64
	watchers  map[string]map[*watcher]struct{}
}

// New makes a Manager. What it keeps is read by Run, or the first method.
func New(o Options) *Manager {
	m := &Manager{
		store: o.Store, logger: o.Logger, now: o.Now, audit: o.Audit, compact: o.Compact, grace: o.Grace, kinds: o.Kinds,
		rotations: map[string]*rotation{}, schedules: map[string]*schedule{}, doubts: map[string]bool{},
		watchers: map[string]map[*watcher]struct{}{},
	}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.grace == 0 {
		m.grace = DefaultGrace
	}
	m.crew = newCrew(m.now, m.logger)
	m.pacer = NewPacer(o.Store.Foreground)
	return m
}

// looksAtLeast is how often Run looks at the clock: it may have been set, or the
// machine may have slept.
const looksAtLeast = 30 * time.Second

// Run carries on what there is, until the context ends: jobs that an earlier
// process left go on where they were.
func (m *Manager) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := min(m.advance(ctx), looksAtLeast)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.crew.wake:
		}
		timer.Stop()
	}
	return nil
}

// advance does one thing that is to be done, and says for how long there is
// nothing else.
func (m *Manager) advance(ctx context.Context) time.Duration {
	if err := m.begin(ctx); err != nil {
		m.logger.Warn("the rotations that the store keeps could not be read and will be tried again", "error", err)
		return backoffLeast
	}
	wait := m.tick(ctx)
	return min(wait, m.crew.step(ctx))
}

// begin reads what the store keeps, once.
func (m *Manager) begin(ctx context.Context) error {
	if err := m.load(ctx); err != nil {
		return err
	}
	for len(m.kinds) > 0 {
		jobs, err := m.kinds[0].Load(ctx, m)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			m.Enlist(j)
		}
		m.kinds = m.kinds[1:]
	}
	return nil
}

// Enlist has a job carried on; one with the same id is replaced.
func (m *Manager) Enlist(j Job) { m.crew.enlist(j) }

// Wake steps a job soon that waits; another one is left alone.
func (m *Manager) Wake(id string) { m.crew.wakeUp(id) }

// Dismiss interrupts a job and takes it off; it returns when no step of it is
// under way. It must not be called by a step.
func (m *Manager) Dismiss(ctx context.Context, id string) error {
	release, err := m.crew.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	m.crew.remove(id)
	return nil
}

// find returns a rotation that is kept.
func (m *Manager) find(id string) (*rotation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rotations[id]
	if r == nil {
		return nil, store.ErrNotFound
	}
	return r, nil
}

// Compact rewrites the data file without what was deleted, if that can be done.
func (m *Manager) Compact(ctx context.Context) error {
	if m.compact == nil {
		return nil
	}
	return m.compact(ctx)
}
