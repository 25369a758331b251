package rotate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"strongroom/store"
)

// Reasons says for /readyz what is not as it should be: rotations that failed
// or wait, schedules whose maximum age has passed.
func (m *Manager) Reasons() (out []store.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.broken != "" {
		out = append(out, store.Reason{Code: "integrity", Degraded: true, Detail: "some rows of rotations cannot be read: " + m.broken})
	}
	for _, r := range m.rotations {
		switch state, why := r.state(); state {
		case StateFailed:
			out = append(out, store.Reason{Code: "rotation_failed", Degraded: true, Detail: "rotation " + r.id + ": " + why})
		case StateWaiting:
			out = append(out, store.Reason{Code: "rotation_waiting", Notice: true, Detail: "rotation " + r.id + ": " + why})
		}
	}
	for _, s := range m.schedules {
		if s.isOverdue(now) {
			out = append(out, store.Reason{Code: "rotation_overdue", Degraded: true, Detail: fmt.Sprintf(
				"no rotation of schedule %s has ended well for %s; its maximum age is %s", s.name, s.age(now).Truncate(time.Minute), s.doc.MaxAge)})
		}
	}
	slices.SortFunc(out, func(a, b store.Reason) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
	})
	return out
}

// Reasons says for /readyz which erasures failed, or are kept waiting by what
// nobody expected: a key service that is away, say. That one waits for its
// rotation is told by the rotation.
func (e *Erasures) Reasons() (out []store.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range e.all {
		switch {
		case j.doc.Failed != "":
			out = append(out, store.Reason{Code: "erasure_failed", Degraded: true, Detail: "erasure " + j.id + ": " + j.doc.Failed})
		case j.held:
			out = append(out, store.Reason{Code: "erasure_waiting", Notice: true, Detail: "erasure " + j.id + ": " + j.waits})
		}
	}
	slices.SortFunc(out, func(a, b store.Reason) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
	})
	return out
}

// Stats returns what an operator watches.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	out := Stats{Rotations: map[State]int{}, Moved: m.moved, Pauses: m.pacer.Rests()}
	for _, r := range m.rotations {
		state, _ := r.state()
		out.Rotations[state]++
		if !state.Ended() {
			out.Active = append(out.Active, Active{ID: r.id, State: state, Depth: r.doc.Depth, Progress: r.progress(now)})
		}
	}
	for _, s := range m.schedules {
		age := Age{Name: s.name, Age: s.age(now), MaxAge: s.doc.MaxAge.Or(0), Overdue: s.isOverdue(now)}
		if !s.doc.Paused && !s.next.IsZero() {
			age.Next = later(s.starts, s.retry)
		}
		out.Schedules = append(out.Schedules, age)
	}
	slices.SortFunc(out.Active, func(a, b Active) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.Schedules, func(a, b Age) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
