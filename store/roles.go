package store

import (
	"context"
	"fmt"
	"slices"

	"strongroom/internal/access"
)

// PutRole saves a role. Paths that no matching schema declares are warned of:
// naming one grants nothing.
func (s *Store) PutRole(ctx context.Context, c Caller, name string, raw []byte, p Precondition) (out Role, res PutResult, err error) {
	op := s.start(c, "put", target{control: kindRole + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageRoles); err != nil {
		return out, res, err
	}
	parsed, err := checkRole(name, raw)
	if err != nil {
		return out, res, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	next, ready, err := s.roleChange(cat, c, name, raw, parsed, p)
	if err != nil {
		return out, res, err
	}
	if s.waits(c, cat, func() bool { return s.widerRole(cat, name, parsed) }) {
		return out, res, s.hold(ctx, op, changeDoc{Kind: changePutRole, Name: name, Document: raw, Base: next.version - 1}, controlChange{})
	}
	if err := s.change(ctx, op, ready); err != nil {
		return out, res, err
	}
	return next.describe(name), PutResult{Created: next.version == 1, Warnings: cat.roleWarnings(parsed)}, nil
}

// roleChange makes ready what saves a role.
func (s *Store) roleChange(cat *catalog, c Caller, name string, raw []byte, parsed *access.Role, p Precondition) (*role, controlChange, error) {
	if err := s.ownRole(cat, c, name); err != nil {
		return nil, controlChange{}, err
	}
	old := cat.roles[name]
	if old == nil && cat.damage(kindRole, name) != nil {
		return nil, controlChange{}, fmt.Errorf("%w: role %s; delete it and put it again", ErrIntegrity, name)
	}
	now := s.now().UTC()
	next := &role{doc: roleDoc{Raw: raw, CreatedAt: now, UpdatedAt: now}, version: 1, role: parsed}
	if old != nil {
		next.version, next.doc.CreatedAt = old.version+1, old.doc.CreatedAt
	}
	return next, controlChange{
		writes:  []controlWrite{{kind: kindRole, id: name, replaces: next.version - 1, doc: next.doc}},
		publish: func(cat *catalog) { cat.roles[name] = next; cat.repolicy(s.dev) },
	}, p.check(next.version - 1)
}

func checkRole(name string, raw []byte) (*access.Role, error) {
	if err := checkName("role", name); err != nil {
		return nil, err
	}
	if access.Reserved(name) {
		return nil, invalid("", "this name belongs to a built-in role")
	}
	parsed, err := access.ParseRole(raw)
	if err != nil {
		return nil, asDefinition(err)
	}
	return parsed, nil
}

func (r *role) describe(name string) Role {
	return Role{Name: name, Version: r.version, Role: *r.role, Raw: r.doc.Raw, CreatedAt: r.doc.CreatedAt, UpdatedAt: r.doc.UpdatedAt}
}

// GetRole returns a role as it was put.
func (s *Store) GetRole(ctx context.Context, c Caller, name string) (out Role, err error) {
	op := s.start(c, "describe", target{control: kindRole + "/" + name})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageRoles, access.ReadAudit) {
		return out, ErrForbidden
	}
	cat := s.catalog.Load()
	if cat.damage(kindRole, name) != nil {
		return out, fmt.Errorf("%w: role %s", ErrIntegrity, name)
	}
	r := cat.roles[name]
	if r == nil {
		return out, ErrNotFound
	}
	return r.describe(name), nil
}

// ListRoles returns the stored roles by name.
func (s *Store) ListRoles(ctx context.Context, c Caller) (out []Role, err error) {
	op := s.start(c, "describe", target{control: kindRole})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageRoles, access.ReadAudit) {
		return nil, ErrForbidden
	}
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.roles) {
		out = append(out, cat.roles[name].describe(name))
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}

// DeleteRole removes a role. One that clients hold stays: a later role of the
// same name would be theirs at once, and a client may be granted more without
// it, since a role can also take away. A damaged one can be removed all the same,
// to be put again: those who hold it are refused until then or get less.
func (s *Store) DeleteRole(ctx context.Context, c Caller, name string) (err error) {
	op := s.start(c, "delete", target{control: kindRole + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageRoles); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	ready, err := s.roleRemoval(ctx, cat, c, name, Precondition{})
	if err != nil {
		return err
	}
	// One that is held is damaged: who was refused because of it no longer is.
	if s.waits(c, cat, func() bool { return cat.holders(name) > 0 }) {
		return s.hold(ctx, op, changeDoc{Kind: changeDeleteRole, Name: name, Base: ready.writes[0].replaces}, controlChange{})
	}
	return s.change(ctx, op, ready)
}

// roleRemoval makes ready what removes a role.
func (s *Store) roleRemoval(ctx context.Context, cat *catalog, c Caller, name string, p Precondition) (controlChange, error) {
	if err := s.ownRole(cat, c, name); err != nil {
		return controlChange{}, err
	}
	version, err := s.storedVersion(ctx, kindRole, name)
	if err != nil {
		return controlChange{}, err
	}
	if n := cat.holders(name); n > 0 && cat.damage(kindRole, name) == nil {
		return controlChange{}, &Conflict{fmt.Sprintf("the role is held by clients (%d): take it from them first", n)}
	}
	return controlChange{
		writes: []controlWrite{{kind: kindRole, id: name, replaces: version}},
		publish: func(cat *catalog) {
			delete(cat.roles, name)
			delete(cat.damaged, kindRole+"\x00"+name)
			cat.repolicy(s.dev)
		},
	}, p.check(version)
}

// holders counts the clients that hold a role.
func (c *catalog) holders(role string) (n int) {
	for _, cl := range c.clients {
		if slices.Contains(cl.doc.Roles, role) {
			n++
		}
	}
	return n
}

// damagedRole returns a role of the list that failed its integrity check.
// A client that has one is refused: with a role less it might be granted more,
// since a role can also take away.
func (c *catalog) damagedRole(names []string) (string, bool) {
	for _, name := range names {
		if c.damage(kindRole, name) != nil {
			return name, true
		}
	}
	return "", false
}

// roleWarnings says what of a role has no effect as the collections are now.
func (c *catalog) roleWarnings(r *access.Role) []string {
	var declared []access.Declared
	for _, in := range c.integrations {
		for _, coll := range in.collections {
			d := access.Declared{Integration: in.name, Collection: coll.name}
			for _, f := range coll.fields {
				d.Paths = append(d.Paths, f.Path)
			}
			declared = append(declared, d)
		}
	}
	var warnings []string
	for _, issue := range slices.Concat(r.Unmatched(declared), r.Idle(), r.Surprising()) {
		warnings = append(warnings, issue.Pointer+": "+issue.Detail)
	}
	return warnings
}
