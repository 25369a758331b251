package rotate

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"strongroom/store"
)

// Get returns a rotation.
func (m *Manager) Get(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	r, err := m.look(ctx, c, id)
	if err != nil {
		return Rotation{}, err
	}
	return m.describe(r, true), nil
}

// stand is Get for what waits for a rotation here: it looks often, for days, and
// is not audited.
func (m *Manager) stand(ctx context.Context, id string) (Rotation, error) {
	if err := m.load(ctx); err != nil {
		return Rotation{}, err
	}
	r, err := m.find(id)
	if err != nil {
		return Rotation{}, err
	}
	return m.describe(r, true), nil
}

func (m *Manager) look(ctx context.Context, c store.Caller, id string) (*rotation, error) {
	if err := m.store.DescribeRow(c, store.RowRotation, id); err != nil {
		return nil, err
	}
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	return m.find(id)
}

func (m *Manager) describe(r *rotation, parts bool) Rotation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.describe(m.now(), parts)
}

// List returns the rotations that are kept, the newest first, without their
// parts.
func (m *Manager) List(ctx context.Context, c store.Caller) ([]Rotation, error) {
	if err := m.store.DescribeRow(c, store.RowRotation, ""); err != nil {
		return nil, err
	}
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Rotation, 0, len(m.rotations))
	for _, r := range m.rotations {
		out = append(out, r.describe(m.now(), false))
	}
	slices.SortFunc(out, func(a, b Rotation) int { return cmp.Compare(b.ID, a.ID) })
	return out, nil
}

// turn is how a rotation is to go on: its document, and the parts that go on
// elsewhere.
type turn struct {
	doc   rotationDoc
	parts map[*part]Part
}

// Pause stops a rotation where it is, until it is resumed.
func (m *Manager) Pause(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return m.steer(ctx, c, "pause", id, func(r *rotation) (turn, error) {
		t := turn{doc: r.doc}
		t.doc.Paused = true
		return t, nil
	})
}

// Resume lets a rotation go on that was paused, waits or has failed.
func (m *Manager) Resume(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return m.steer(ctx, c, "resume", id, func(r *rotation) (turn, error) {
		t := turn{doc: r.doc, parts: map[*part]Part{}}
		t.doc.Paused = false
		for _, p := range r.parts {
			if p.doc.Failed {
				t.parts[p] = p.to(p.doc.Step, revive)
			}
		}
		return t, nil
	})
}

// revive lets a part that failed try again.
func revive(d *Part) { d.Failed, d.Detail, d.Sweeps = false, "", 0 }

// Cancel ends a rotation whose new keys are not primary anywhere yet, and
// removes them. After that it is a store.Conflict: finish it, or roll it back.
// One that has failed is given up: what it made stays, and the next rotation of
// those domains clears it up.
func (m *Manager) Cancel(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return m.steer(ctx, c, "cancel", id, func(r *rotation) (turn, error) {
		t := turn{doc: r.doc, parts: map[*part]Part{}}
		t.doc.Direction, t.doc.Paused = Cancel, false
		for _, p := range r.parts {
			step, ok := p.doc.stopped()
			if !ok {
				return t, &store.Conflict{Detail: fmt.Sprintf("%s is at %s, between two keys: let the rotation finish, or roll it back", p.doc.KeyDomain, p.doc.Step)}
			}
			t.reach(p, step)
		}
		return t, nil
	})
}

// Rollback makes the former keys primary again, moves back what is under the
// new ones, and destroys those. It works until the former ones are destroyed.
func (m *Manager) Rollback(ctx context.Context, c store.Caller, id string) (Rotation, error) {
	return m.steer(ctx, c, "rollback", id, func(r *rotation) (turn, error) {
		if r.doc.Compromised != "" {
			return turn{}, &store.Conflict{Detail: "the former keys may be known to others and do not become primary again"}
		}
		t := turn{doc: r.doc, parts: map[*part]Part{}}
		t.doc.Direction, t.doc.Paused = Back, false
		for _, p := range r.parts {
			if step, ok := p.doc.turned(); ok {
				t.reach(p, step)
			}
		}
		if len(t.parts) == 0 {
			return t, &store.Conflict{Detail: "the former keys are destroyed, or none was replaced: there is nothing to go back to"}
		}
		return t, nil
	})
}

// reach has a part go on at a step.
func (t *turn) reach(p *part, step Step) {
	if step != p.doc.Step {
		t.parts[p] = p.to(step, revive)
	}
}

// Throttle changes how many values a rotation moves in a second; 0: as many as
// leave requests unharmed.
func (m *Manager) Throttle(ctx context.Context, c store.Caller, id string, rate uint64) (Rotation, error) {
	return m.steer(ctx, c, "throttle", id, func(r *rotation) (turn, error) {
		if rate > maxRate {
			var bad faults
			bad.add("/rate", "is out of range")
			return turn{}, bad.err()
		}
		t := turn{doc: r.doc}
		t.doc.Rate = rate
		return t, nil
	})
}

// steer changes how a rotation goes on, while no step of it is under way.
func (m *Manager) steer(ctx context.Context, c store.Caller, action, id string, decide func(*rotation) (turn, error)) (Rotation, error) {
	if err := m.store.AuthoriseRow(c, action, store.RowRotation, id); err != nil {
		return Rotation{}, err
	}
	if err := m.load(ctx); err != nil {
		return Rotation{}, err
	}
	r, err := m.find(id)
	if err != nil {
		return Rotation{}, err
	}
	release, err := m.crew.hold(ctx, r.jobIDs()...)
	if err != nil {
		return Rotation{}, err
	}
	defer release()
	m.control.Lock()
	defer m.control.Unlock()
	if err := m.settle(ctx, r); err != nil {
		return Rotation{}, err
	}
	if r.doc.State != "" {
		return Rotation{}, &store.Conflict{Detail: "this rotation has ended: it is " + string(r.doc.State)}
	}
	t, err := decide(r)
	if err != nil {
		return Rotation{}, err
	}
	if err := m.turn(ctx, c, action, r, t); err != nil {
		return Rotation{}, err
	}
	return m.describe(r, true), nil
}

// settle reads a rotation again of which it is not known what was stored.
func (m *Manager) settle(ctx context.Context, r *rotation) error {
	if !r.unsure && !slices.ContainsFunc(r.parts, func(p *part) bool { return p.unsure }) {
		return nil
	}
	all, _, err := m.read(ctx)
	if err != nil {
		return err
	}
	found := all[r.id]
	if found == nil {
		return store.ErrNotFound
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.doc, r.version, r.unsure = found.doc, found.version, false
	for _, p := range r.parts {
		for _, q := range found.parts {
			if p.doc.ID == q.doc.ID {
				p.doc, p.version, p.unsure = q.doc, q.version, false
			}
		}
	}
	return nil
}

// turn stores how a rotation goes on, and has its parts do so.
func (m *Manager) turn(ctx context.Context, c store.Caller, action string, r *rotation, t turn) error {
	rows := []store.Row{r.row(t.doc)}
	for p, doc := range t.parts {
		rows = append(rows, p.row(&doc))
	}
	if err := m.store.PutRows(ctx, c, action, rows...); err != nil {
		r.unsure = true
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.doc, r.version = t.doc, r.version+1
	r.throttle()
	for p, doc := range t.parts {
		p.doc, p.version, p.sweeper = doc, p.version+1, nil
	}
	for _, p := range r.parts {
		p.waiting = ""
	}
	m.crew.remove(r.jobIDs()...)
	m.enlistParts(r)
	m.changedLocked(r)
	return nil
}
