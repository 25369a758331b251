package rotate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/uid"
	"strongroom/store"
)

// Create makes a rotation, which begins at once. A domain that another one
// works on is a store.Conflict that names it.
func (m *Manager) Create(ctx context.Context, c store.Caller, r Request) (Rotation, error) {
	return m.CreateWith(ctx, c, r, nil)
}

// CreateWith is Create, and writes rows that also makes for the rotation's id in
// the same transaction.
func (m *Manager) CreateWith(ctx context.Context, c store.Caller, r Request, also func(id string) []store.Row) (Rotation, error) {
	return m.create(ctx, c, rotationDoc{Request: r}, also)
}

func (m *Manager) create(ctx context.Context, c store.Caller, doc rotationDoc, also func(id string) []store.Row) (Rotation, error) {
	now := m.now().UTC()
	id := uid.NewV7(now)
	if err := m.store.AuthoriseRow(c, "rotate", store.RowRotation, id); err != nil {
		return Rotation{}, err
	}
	var bad faults
	if doc.Request.check("", &bad); bad.err() != nil {
		return Rotation{}, bad.err()
	}
	if err := m.load(ctx); err != nil {
		return Rotation{}, err
	}
	doc.Request = doc.Request.completed(m.grace)
	domains, err := m.domains(ctx, c, &doc.Request)
	if err != nil {
		return Rotation{}, err
	}
	doc.Direction, doc.By, doc.CreatedAt = Forward, c.Client, now
	made := &rotation{id: id, doc: doc}
	for _, d := range domains {
		for _, p := range doc.Request.parts(d) {
			made.parts = append(made.parts, &part{m: m, r: made, doc: p})
		}
	}
	made.order()
	made.throttle()
	return m.keep(ctx, c, made, also)
}

// domains returns the domains that a request is for. Of a key that others know
// they are written into the request.
func (m *Manager) domains(ctx context.Context, c store.Caller, r *Request) ([]store.KeyDomain, error) {
	if r.Compromised != "" {
		inventory, err := m.store.Keys(ctx, c)
		if err != nil {
			return nil, err
		}
		found := having(inventory, r.Compromised)
		if len(found) == 0 {
			var bad faults
			bad.add("/compromised", "no key with this id is in the inventory")
			return nil, bad.err()
		}
		for _, d := range found {
			if d.System() {
				r.System = true
			} else {
				r.Integrations = append(r.Integrations, d.Integration)
			}
		}
	}
	all, err := m.store.KeyDomains(c)
	if err != nil {
		return nil, err
	}
	return r.selects(all)
}

// keep stores a rotation and has it carried on.
func (m *Manager) keep(ctx context.Context, c store.Caller, made *rotation, also func(id string) []store.Row) (Rotation, error) {
	m.control.Lock()
	defer m.control.Unlock()
	if err := m.free(made); err != nil {
		return Rotation{}, err
	}
	rows := []store.Row{made.row(made.doc)}
	for _, p := range made.parts {
		rows = append(rows, p.row(&p.doc))
	}
	if also != nil {
		rows = append(rows, also(made.id)...)
	}
	if err := m.store.PutRows(ctx, c, "rotate", rows...); err != nil {
		m.doubt(made.id)
		return Rotation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	made.version = 1
	for _, p := range made.parts {
		p.version = 1
	}
	m.rotations[made.id] = made
	m.enlistParts(made)
	return made.describe(m.now(), true), nil
}

// doubt notes that a rotation may have been stored although its writing failed.
func (m *Manager) doubt(id string) {
	m.mu.Lock()
	m.doubts[id] = true
	m.mu.Unlock()
	m.crew.rouse()
}

// free refuses a rotation of a domain that another one works on.
func (m *Manager) free(made *rotation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.rotations {
		for _, p := range made.parts {
			if other != made && !p.doc.Step.ended() && other.holds(p.doc.KeyDomain) {
				return &store.Conflict{Detail: fmt.Sprintf("rotation %s works on %s", other.id, p.doc.KeyDomain)}
			}
		}
	}
	return nil
}

// Bounds of what is kept of rotations that ended: their rows are read at each
// start.
const (
	keptRotations = 500
	keptParts     = 10_000
	keptFor       = 400 * 24 * time.Hour
)

// outdated returns the rotations that need not be kept any longer, whose rows
// are deleted with the next rotation that ends. What is young is kept as long as
// there is room.
func (m *Manager) outdated(now time.Time) (old []*rotation) {
	var ended []*rotation
	for _, r := range m.rotations {
		if r.doc.State != "" {
			ended = append(ended, r)
		}
	}
	slices.SortFunc(ended, func(a, b *rotation) int {
		return cmp.Or(b.doc.FinishedAt.Compare(*a.doc.FinishedAt), cmp.Compare(b.id, a.id))
	})
	parts := 0
	for i, r := range ended {
		parts += len(r.parts)
		if i >= keptRotations || parts > keptParts && i > 0 || now.Sub(*r.doc.FinishedAt) > keptFor {
			old = append(old, r)
		}
	}
	return old
}
