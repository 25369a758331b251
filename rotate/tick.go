package rotate

import (
	"context"
	"time"

	"strongroom/internal/audit"
	"strongroom/store"
)

// byClock is who the rotations of schedules are asked for by: whoever put the
// schedule was authorised then.
var byClock = store.Internal("schedule")

// retryDue is how long a due rotation waits that could not start: its domains
// are worked on, say.
const retryDue = time.Minute

// never is longer than anything waits.
const never = time.Duration(1<<63 - 1)

// tick starts what is due, and says for how long nothing else will be.
func (m *Manager) tick(ctx context.Context) time.Duration {
	if err := m.settleDoubts(ctx); err != nil {
		m.logger.Warn("it is not known yet whether a rotation was stored", "error", err)
		return backoffLeast
	}
	wait := never
	for _, s := range m.listed() {
		m.watchAge(s)
		wait = min(wait, m.start(ctx, s))
	}
	return wait
}

func (m *Manager) listed() []*schedule {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*schedule, 0, len(m.schedules))
	for _, s := range m.schedules {
		all = append(all, s)
	}
	return all
}

// start starts what is due of a schedule, once however much of it passed, and
// says when it is to be looked at again.
func (m *Manager) start(ctx context.Context, s *schedule) time.Duration {
	m.mu.Lock()
	now, at := m.now(), later(s.starts, s.retry)
	idle := s.doc.Paused || s.next.IsZero()
	run := s.run
	m.mu.Unlock()
	if idle {
		return never
	}
	if at.After(now) {
		return at.Sub(now)
	}
	if opens := s.table.opens(now); opens.After(now) { // it was missed, and the window closed
		return m.postpone(s, opens, "the maintenance window is closed")
	}
	due, others := s.table.due(run.Dealt, now)
	if due.IsZero() {
		return never
	}
	err := m.startDue(ctx, s, run, due, others)
	if err != nil {
		m.logger.Warn("a scheduled rotation could not start and will be tried again", "schedule", s.name, "error", err)
		return m.postpone(s, now.Add(retryDue), err.Error())
	}
	return 0
}

func (m *Manager) postpone(s *schedule, until time.Time, why string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.retry, s.detail = until, why
	return until.Sub(m.now())
}

// startDue makes the rotation of a due instant. The row that says so is written
// in the same transaction, in place of the version that was read: whatever
// happens in between, it is made once.
func (m *Manager) startDue(ctx context.Context, s *schedule, run runDoc, due time.Time, others uint64) error {
	now := m.now().UTC()
	run.Dealt, run.LastDue, run.LastStarted = due, &due, &now
	run.Missed += others
	doc := rotationDoc{Request: s.doc.Request, Schedule: s.name, Due: &due}
	_, err := m.create(ctx, byClock, doc, func(id string) []store.Row {
		run.LastRotation = id
		return []store.Row{s.runRow(run)}
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.run, s.runVersion = run, s.runVersion+1
	s.retry, s.detail = time.Time{}, ""
	s.look()
	return nil
}

// watchAge audits that a schedule's maximum age has passed, once.
func (m *Manager) watchAge(s *schedule) {
	m.mu.Lock()
	now := m.now()
	overdue := s.isOverdue(now)
	tell := overdue && !s.overdue
	s.overdue = overdue
	age := s.age(now)
	m.mu.Unlock()
	if !tell {
		return
	}
	m.logger.Error("the maximum age of keys has passed", "schedule", s.name, "age", age)
	if m.audit == nil {
		return
	}
	entry := &audit.Entry{
		Phase: audit.Event, Time: now, Event: "rotation_overdue", Target: string(store.RowSchedule) + "/" + s.name,
		Detail: "no rotation has ended well for " + age.Truncate(time.Second).String(),
	}
	if err := m.audit(entry); err != nil {
		m.logger.Error("the audit log cannot be written", "error", err)
	}
}
