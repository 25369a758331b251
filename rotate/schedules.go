package rotate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"strongroom/store"
)

// scheduleDoc is a schedule as its row holds it. What it has done is another
// row: so a rotation that starts does not write over what an operator says.
type scheduleDoc struct {
	ScheduleSpec
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// runDoc is what a schedule has done.
type runDoc struct {
	// Dealt is the instant up to which what was due is dealt with: a rotation
	// was started for it, or it was due before the schedule was put or while it
	// was paused. It moves in the transaction that makes the rotation.
	Dealt        time.Time  `json:"dealt"`
	LastDue      *time.Time `json:"last_due,omitempty"`
	LastStarted  *time.Time `json:"last_started,omitempty"`
	LastRotation string     `json:"last_rotation,omitempty"`
	LastDone     *time.Time `json:"last_done,omitempty"`
	Missed       uint64     `json:"missed,omitempty"`
}

// schedule is a schedule in memory. It changes under Manager.control and
// Manager.mu.
type schedule struct {
	name       string
	doc        scheduleDoc
	version    uint64
	run        runDoc
	runVersion uint64
	table      *timetable

	next    time.Time // due instant after run.Dealt
	starts  time.Time // of it
	retry   time.Time // when a due one is tried again that could not start
	detail  string    // why it could not
	overdue bool      // told to the audit log
}

var scheduleName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// readSchedules reads every schedule with what it has done.
func (m *Manager) readSchedules(ctx context.Context) (map[string]*schedule, error) {
	broken := ""
	defs, err := m.rows(ctx, store.RowSchedule, &broken)
	if err != nil {
		return nil, err
	}
	runs, err := m.rows(ctx, store.RowScheduleRun, &broken)
	if err != nil {
		return nil, err
	}
	all := map[string]*schedule{}
	for _, row := range defs {
		s := &schedule{name: row.ID, version: row.Version}
		if err := json.Unmarshal(row.Doc, &s.doc); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", row.ID, err)
		}
		if s.table, err = s.doc.compile(m.seed(s.name)); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", row.ID, err)
		}
		all[s.name] = s
	}
	for _, row := range runs {
		s := all[row.ID]
		if s == nil {
			continue
		}
		s.runVersion = row.Version
		if err := json.Unmarshal(row.Doc, &s.run); err != nil {
			return nil, fmt.Errorf("the runs of schedule %s: %w", row.ID, err)
		}
	}
	for _, s := range all {
		s.look()
	}
	return all, nil
}

func (m *Manager) seed(name string) string { return m.store.UID().String() + "/" + name }

// look finds what is due next.
func (s *schedule) look() {
	s.next, s.starts = s.table.next(s.run.Dealt), time.Time{}
	if !s.next.IsZero() {
		s.starts = s.table.starts(s.next)
	}
}

func (s *schedule) row(doc scheduleDoc) store.Row {
	return store.Row{Kind: store.RowSchedule, ID: s.name, Version: s.version, Doc: encode(doc)}
}

func (s *schedule) runRow(run runDoc) store.Row {
	return store.Row{Kind: store.RowScheduleRun, ID: s.name, Version: s.runVersion, Doc: encode(run)}
}

func (s *schedule) describe(now time.Time) Schedule {
	run := Run{
		LastDue: s.run.LastDue, LastStarted: s.run.LastStarted, LastRotation: s.run.LastRotation, LastDone: s.run.LastDone,
		Missed: s.run.Missed, Detail: s.detail, Overdue: s.isOverdue(now),
	}
	if !s.doc.Paused && !s.next.IsZero() {
		next, starts := s.next, later(s.starts, s.retry)
		run.NextDue, run.NextStart = &next, &starts
	}
	return Schedule{Name: s.name, ScheduleSpec: s.doc.ScheduleSpec, Version: s.version, CreatedAt: s.doc.CreatedAt, UpdatedAt: s.doc.UpdatedAt, Run: run}
}

// age is how long ago a rotation of the schedule ended well, or, before the
// first, how long the schedule is there.
func (s *schedule) age(now time.Time) time.Duration {
	if s.run.LastDone != nil {
		return now.Sub(*s.run.LastDone)
	}
	return now.Sub(s.doc.CreatedAt)
}

func (s *schedule) isOverdue(now time.Time) bool {
	return s.doc.MaxAge != nil && s.age(now) > s.doc.MaxAge.Or(0)
}

// PutSchedule makes a schedule or replaces it. What was due before, or while it
// was paused, is not made up for.
func (m *Manager) PutSchedule(ctx context.Context, c store.Caller, name string, spec ScheduleSpec, pre store.Precondition) (out Schedule, created bool, err error) {
	if err := m.store.AuthoriseRow(c, "put", store.RowSchedule, name); err != nil {
		return out, false, err
	}
	if !scheduleName.MatchString(name) {
		return out, false, invalidName()
	}
	table, err := spec.compile(m.seed(name))
	if err != nil {
		return out, false, err
	}
	if err := m.load(ctx); err != nil {
		return out, false, err
	}
	m.control.Lock()
	defer m.control.Unlock()
	old := m.schedule(name)
	if err := m.admits(old, pre); err != nil {
		return out, false, err
	}
	next := m.replaced(old, name, spec, table)
	if err := m.store.PutRows(ctx, c, "put", next.row(next.doc), next.runRow(next.run)); err != nil {
		m.doubt("")
		return out, false, err
	}
	next.version++
	next.runVersion++
	next.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.schedules[name] = next
	m.crew.rouse()
	return next.describe(m.now()), old == nil, nil
}

func (m *Manager) schedule(name string) *schedule {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.schedules[name]
}

func (m *Manager) admits(old *schedule, pre store.Precondition) error {
	if old != nil {
		return holds(pre, old.version)
	}
	m.mu.Lock()
	n := len(m.schedules)
	m.mu.Unlock()
	if n >= maxSchedules {
		return &store.Conflict{Detail: fmt.Sprintf("there are %d schedules already", n)}
	}
	return holds(pre, 0)
}

// replaced is a schedule with another definition. What it has done stays known;
// when its times are others, they count from now.
func (m *Manager) replaced(old *schedule, name string, spec ScheduleSpec, table *timetable) *schedule {
	now := m.now().UTC()
	next := &schedule{name: name, table: table, doc: scheduleDoc{CreatedAt: now}}
	if old != nil {
		next.version, next.runVersion, next.run, next.doc.CreatedAt = old.version, old.runVersion, old.run, old.doc.CreatedAt
	}
	if spec.Every != nil && spec.Start == nil {
		start := now.Truncate(time.Second)
		if old != nil && old.doc.Every != nil && old.doc.Start != nil {
			start = *old.doc.Start
		}
		spec.Start, table.start = &start, start
	}
	next.doc.ScheduleSpec, next.doc.UpdatedAt = spec, now
	if old == nil || !spec.sameTimes(&old.doc.ScheduleSpec) {
		next.run.Dealt = now
	}
	return next
}

// GetSchedule returns a schedule.
func (m *Manager) GetSchedule(ctx context.Context, c store.Caller, name string) (Schedule, error) {
	if err := m.store.DescribeRow(c, store.RowSchedule, name); err != nil {
		return Schedule{}, err
	}
	if err := m.load(ctx); err != nil {
		return Schedule{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.schedules[name]
	if s == nil {
		return Schedule{}, store.ErrNotFound
	}
	return s.describe(m.now()), nil
}

// ListSchedules returns all schedules by name.
func (m *Manager) ListSchedules(ctx context.Context, c store.Caller) ([]Schedule, error) {
	if err := m.store.DescribeRow(c, store.RowSchedule, ""); err != nil {
		return nil, err
	}
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Schedule, 0, len(m.schedules))
	for _, s := range m.schedules {
		out = append(out, s.describe(m.now()))
	}
	slices.SortFunc(out, func(a, b Schedule) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// DeleteSchedule removes a schedule; a rotation that it started goes on.
func (m *Manager) DeleteSchedule(ctx context.Context, c store.Caller, name string, pre store.Precondition) error {
	if err := m.store.AuthoriseRow(c, "delete", store.RowSchedule, name); err != nil {
		return err
	}
	if err := m.load(ctx); err != nil {
		return err
	}
	m.control.Lock()
	defer m.control.Unlock()
	s := m.schedule(name)
	if s == nil {
		return store.ErrNotFound
	}
	if err := holds(pre, s.version); err != nil {
		return err
	}
	gone := []store.Row{{Kind: store.RowSchedule, ID: name, Version: s.version}}
	if s.runVersion > 0 {
		gone = append(gone, store.Row{Kind: store.RowScheduleRun, ID: name, Version: s.runVersion})
	}
	if err := m.store.PutRows(ctx, c, "delete", gone...); err != nil {
		m.doubt("")
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.schedules, name)
	return nil
}
