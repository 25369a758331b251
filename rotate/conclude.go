package rotate

import (
	"context"

	"strongroom/store"
)

// conclude ends a rotation whose parts all have, and forgets old ones. It is
// part of the last step, and is tried again like one.
func (m *Manager) conclude(ctx context.Context, r *rotation) error {
	if r.doc.State != "" || !r.ended() {
		return nil
	}
	if err := m.finish(ctx, r); err != nil {
		return err
	}
	m.control.Lock()
	defer m.control.Unlock()
	if err := m.settle(ctx, r); err != nil || r.doc.State != "" {
		return err
	}
	now := m.now().UTC()
	doc := r.doc
	doc.State, doc.FinishedAt = r.final(), &now
	rows := []store.Row{r.row(doc)}
	s := m.schedule(doc.Schedule)
	var run runDoc
	if done := s != nil && doc.State == StateDone; done {
		run = s.run
		run.LastDone = &now
		rows = append(rows, s.runRow(run))
	} else {
		s = nil
	}
	old := m.oldest(&rows)
	if err := m.store.PutRows(ctx, internal, "end-rotation", rows...); err != nil {
		r.unsure = true
		m.doubt(r.id)
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.doc, r.version = doc, r.version+1
	if s != nil {
		s.run, s.runVersion = run, s.runVersion+1
	}
	for _, o := range old {
		delete(m.rotations, o.id)
	}
	m.changedLocked(r)
	return nil
}

// finish does what belongs to a rotation as a whole. A rotation of the system
// domain in depth replaces the keys that tokens and reports are signed with, too:
// they lay under what was replaced.
func (m *Manager) finish(ctx context.Context, r *rotation) error {
	if r.doc.Direction != Forward {
		return nil
	}
	if r.doc.System && r.doc.Depth == DepthData {
		if err := m.store.RenewSigners(ctx, r.doc.Compromised != ""); err != nil {
			return err
		}
	}
	if r.doc.Compact {
		return m.Compact(ctx)
	}
	return nil
}

// oldest adds the deletion of rotations that need not be kept any longer, a
// few at a time.
func (m *Manager) oldest(rows *[]store.Row) []*rotation {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.outdated(m.now())
	for i, r := range old {
		if len(*rows) > 1000 {
			return old[:i]
		}
		*rows = append(*rows, store.Row{Kind: store.RowRotation, ID: r.id, Version: r.version})
		for _, p := range r.parts {
			*rows = append(*rows, store.Row{Kind: store.RowPart, ID: p.ID(), Version: p.version})
		}
	}
	return old
}
