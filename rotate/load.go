package rotate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/store"
)

// load reads rotations and schedules, once. Rows that do not open are told by
// Reasons, and the others go on.
func (m *Manager) load(ctx context.Context) error {
	m.control.Lock()
	defer m.control.Unlock()
	m.mu.Lock()
	loaded := m.loaded
	m.mu.Unlock()
	if loaded {
		return nil
	}
	all, broken, err := m.read(ctx)
	if err != nil {
		return err
	}
	schedules, err := m.readSchedules(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rotations, m.schedules, m.broken, m.loaded = all, schedules, broken, true
	for _, r := range all {
		m.enlistParts(r)
	}
	return nil
}

// read reads every rotation with its parts.
func (m *Manager) read(ctx context.Context) (all map[string]*rotation, broken string, err error) {
	heads, err := m.rows(ctx, store.RowRotation, &broken)
	if err != nil {
		return nil, "", err
	}
	parts, err := m.rows(ctx, store.RowPart, &broken)
	if err != nil {
		return nil, "", err
	}
	all = map[string]*rotation{}
	for _, row := range heads {
		r := &rotation{id: row.ID, version: row.Version}
		if err := json.Unmarshal(row.Doc, &r.doc); err != nil {
			broken = fmt.Sprintf("rotation %s: %v", row.ID, err)
			continue
		}
		r.throttle()
		all[r.id] = r
	}
	for _, row := range parts {
		if err := m.attach(all, row); err != nil {
			broken = err.Error()
		}
	}
	for _, r := range all {
		r.order()
	}
	return all, broken, nil
}

// rows reads the rows of a kind. Some that do not open are noted.
func (m *Manager) rows(ctx context.Context, kind store.RowKind, broken *string) ([]store.Row, error) {
	rows, err := m.store.Rows(ctx, kind)
	if errors.Is(err, store.ErrIntegrity) {
		*broken = err.Error()
		err = nil
	}
	return rows, err
}

// attach adds a part to its rotation. A part without one was left by a rotation
// whose row does not open.
func (m *Manager) attach(all map[string]*rotation, row store.Row) error {
	id, _, _ := strings.Cut(row.ID, "/")
	r := all[id]
	if r == nil {
		return fmt.Errorf("the part %s has no rotation", row.ID)
	}
	p := &part{m: m, r: r, version: row.Version}
	if err := json.Unmarshal(row.Doc, &p.doc); err != nil {
		return fmt.Errorf("the part %s: %w", row.ID, err)
	}
	r.parts = append(r.parts, p)
	return nil
}

// order sorts the parts: integrations by name, the system domain last.
func (r *rotation) order() {
	slices.SortFunc(r.parts, func(a, b *part) int {
		if a.doc.System() != b.doc.System() {
			if a.doc.System() {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.doc.Integration, b.doc.Integration), cmp.Compare(a.doc.ID, b.doc.ID))
	})
}

// enlistParts has the parts of a rotation carried on that are not at an end. One
// whose parts all are, and that has not ended itself, is concluded by a step.
func (m *Manager) enlistParts(r *rotation) {
	if r.doc.State != "" || r.doc.Paused {
		return
	}
	ended := r.ended()
	for i, p := range r.parts {
		if !p.doc.Step.ended() && !p.doc.Failed || ended && i == 0 {
			m.crew.enlist(p)
		}
	}
}

func (r *rotation) jobIDs() []string {
	ids := make([]string, len(r.parts))
	for i, p := range r.parts {
		ids[i] = p.ID()
	}
	return ids
}

// settleDoubts finds out whether rotations were stored whose writing failed
// without saying so, and takes those over that were.
func (m *Manager) settleDoubts(ctx context.Context) error {
	m.mu.Lock()
	n := len(m.doubts)
	m.mu.Unlock()
	if n == 0 {
		return nil
	}
	m.control.Lock()
	defer m.control.Unlock()
	all, _, err := m.read(ctx)
	if err != nil {
		return err
	}
	schedules, err := m.readSchedules(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.doubts {
		if r := all[id]; r != nil && m.rotations[id] == nil {
			m.rotations[id] = r
			m.enlistParts(r)
		}
	}
	for id, r := range m.rotations {
		if r.doc.State != "" && all[id] == nil {
			delete(m.rotations, id)
		}
	}
	m.schedules = schedules
	clear(m.doubts)
	return nil
}
