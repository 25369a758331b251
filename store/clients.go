package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// PutClient makes a client or changes its roles, its labels, how it
// authenticates and whether it is disabled. It takes effect on the client's
// next request: tokens that were got in a way that counts no more end with it.
func (s *Store) PutClient(ctx context.Context, c Caller, name string, spec ClientSpec, p Precondition) (out Client, res PutResult, err error) {
	op := s.start(c, "put", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return out, res, err
	}
	return s.putClient(ctx, op, name, spec, p)
}

func (s *Store) putClient(ctx context.Context, op *operation, name string, spec ClientSpec, p Precondition) (out Client, res PutResult, err error) {
	if err := checkName("client", name); err != nil {
		return out, res, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	next, ready, err := s.clientChange(cat, op.caller, name, spec, p)
	if err != nil {
		return out, res, err
	}
	if s.waits(op.caller, cat, func() bool { return s.widerClient(cat, cat.clients[name], next) }) {
		doc, err := json.Marshal(spec)
		if err != nil {
			return out, res, fmt.Errorf("store: encode client: %w", err)
		}
		return out, res, s.hold(ctx, op, changeDoc{Kind: changePutClient, Name: name, Document: doc, Base: next.version - 1}, controlChange{})
	}
	if err := s.change(ctx, op, ready); err != nil {
		return out, res, err
	}
	return next.describe(), PutResult{Created: next.version == 1}, nil
}

// clientChange makes ready what saves a client.
func (s *Store) clientChange(cat *catalog, c Caller, name string, spec ClientSpec, p Precondition) (*client, controlChange, error) {
	if err := s.ownClient(c, name); err != nil {
		return nil, controlChange{}, err
	}
	if err := s.checkClient(cat, spec); err != nil {
		return nil, controlChange{}, err
	}
	old := cat.clients[name]
	if old == nil && cat.damage(kindClient, name) != nil {
		return nil, controlChange{}, fmt.Errorf("%w: client %s; delete it and put it again", ErrIntegrity, name)
	}
	next, err := s.nextClient(old, name, spec)
	if err != nil {
		return nil, controlChange{}, err
	}
	next.doc.Makers = cat.makersOf(old, next, c)
	if err := s.keepAdministrator(cat, name, next); err != nil {
		return nil, controlChange{}, err
	}
	return next, controlChange{
		writes:  []controlWrite{{kind: kindClient, id: name, replaces: next.version - 1, doc: next.doc}},
		publish: func(cat *catalog) { s.enrol(cat, next) },
		notes:   disabledNotes(old, next),
	}, p.check(next.version - 1)
}

// disabledNotes tells that a client was disabled by this change.
func disabledNotes(old, next *client) []ledger.Note {
	if old == nil || old.doc.Disabled || !next.doc.Disabled {
		return nil
	}
	return []ledger.Note{{Kind: ledger.ClientRevoked, Client: next.doc.UID, Name: next.name, Version: next.version}}
}

func (s *Store) nextClient(old *client, name string, spec ClientSpec) (*client, error) {
	now := s.now().UTC()
	proof, err := spec.ClientAuth.compile()
	if err != nil {
		return nil, err
	}
	next := &client{
		name: name, version: 1, secrets: map[string]*clientSecret{}, proof: proof,
		doc: clientDoc{
			UID: uid.New(), Roles: spec.Roles, Labels: spec.Labels, Disabled: spec.Disabled,
			ClientAuth: spec.ClientAuth, CreatedAt: now, UpdatedAt: now,
		},
	}
	if old != nil {
		next.version, next.secrets = old.version+1, old.secrets
		next.doc.UID, next.doc.CreatedAt = old.doc.UID, old.doc.CreatedAt
	}
	return next, nil
}

// enrol puts a client into a catalog that is being changed.
func (s *Store) enrol(cat *catalog, cl *client) {
	cl.policy = cat.policyOf(cl.doc.Roles, s.dev)
	cat.clients[cl.name] = cl
}

// checkClient refuses roles that do not exist: a client that names one would
// get what a later role of that name grants.
func (s *Store) checkClient(cat *catalog, spec ClientSpec) error {
	if len(spec.Roles) > 64 {
		return invalid("/roles", "a client has at most 64 roles")
	}
	for i, name := range spec.Roles {
		pointer := fmt.Sprintf("/roles/%d", i)
		switch {
		case slices.Index(spec.Roles, name) != i:
			return invalid(pointer, "this role stands there twice")
		case name == access.RoleEverything && !s.dev:
			return invalid(pointer, "the role everything exists in dev mode alone")
		case access.Reserved(name), cat.roles[name] != nil:
		default:
			return invalid(pointer, "there is no such role")
		}
	}
	return checkLabels(spec.Labels)
}

func (cl *client) describe() Client {
	return Client{
		Name: cl.name, UID: cl.doc.UID, Roles: slices.Clone(cl.doc.Roles), Labels: maps.Clone(cl.doc.Labels),
		Disabled: cl.doc.Disabled, ClientAuth: cl.doc.ClientAuth, Version: cl.version, CreatedAt: cl.doc.CreatedAt, UpdatedAt: cl.doc.UpdatedAt,
	}
}

// GetClient describes a client.
func (s *Store) GetClient(ctx context.Context, c Caller, name string) (out Client, err error) {
	op := s.start(c, "describe", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageClients, access.ReadAudit) {
		return out, ErrForbidden
	}
	cl, err := s.findClient(name)
	if err != nil {
		return out, err
	}
	return cl.describe(), nil
}

func (s *Store) findClient(name string) (*client, error) {
	cat := s.catalog.Load()
	if cat.damage(kindClient, name) != nil {
		return nil, fmt.Errorf("%w: client %s", ErrIntegrity, name)
	}
	if cl := cat.clients[name]; cl != nil {
		return cl, nil
	}
	return nil, ErrNotFound
}

// ListClients describes all clients by name.
func (s *Store) ListClients(ctx context.Context, c Caller) (out []Client, err error) {
	op := s.start(c, "describe", target{control: kindClient})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageClients, access.ReadAudit) {
		return nil, ErrForbidden
	}
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.clients) {
		out = append(out, cat.clients[name].describe())
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}

// DeleteClient removes a client with its secrets, a damaged one too. Its
// tokens are worth nothing from the next request on.
func (s *Store) DeleteClient(ctx context.Context, c Caller, name string) (err error) {
	op := s.start(c, "delete", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	if err := s.ownClient(c, name); err != nil {
		return err
	}
	version, err := s.storedVersion(ctx, kindClient, name)
	if err != nil {
		return err
	}
	if err := s.keepAdministrator(s.catalog.Load(), name, nil); err != nil {
		return err
	}
	if cl := s.catalog.Load().clients[name]; cl != nil {
		ready := clientRemoval(cl)
		ready.writes[0].replaces = version
		return s.change(ctx, op, ready)
	}
	return s.change(ctx, op, controlChange{
		writes:  []controlWrite{{kind: kindClient, id: name, replaces: version}},
		publish: func(cat *catalog) { delete(cat.damaged, kindClient+"\x00"+name) },
	})
}

// clientRemoval makes ready what removes a client with its secrets.
func clientRemoval(cl *client) controlChange {
	writes := []controlWrite{{kind: kindClient, id: cl.name, replaces: cl.version}}
	for id, sec := range cl.secrets {
		writes = append(writes, controlWrite{kind: kindSecret, id: secretControlID(cl, id), replaces: sec.version})
	}
	return controlChange{
		writes: writes,
		notes:  []ledger.Note{{Kind: ledger.ClientRevoked, Client: cl.doc.UID, Name: cl.name, Reason: noteDeleted}},
		also: func(tx kv.Tx) {
			dropControl(tx, keysUnder(tx, kv.Control, controlKey(kindSecret, cl.doc.UID.String()+"/"))...)
			dropControl(tx, keysUnder(tx, kv.Control, controlKey(kindUse, cl.doc.UID.String()+"/"))...)
		},
		publish: func(cat *catalog) {
			delete(cat.clients, cl.name)
			delete(cat.damaged, kindClient+"\x00"+cl.name)
		},
	}
}

// keysUnder returns every key that begins with prefix: for ranges that are
// known to be short.
func keysUnder(tx kv.ReadTx, t kv.Table, prefix []byte) (keys [][]byte) {
	tx.Scan(t, prefix, after(prefix), func(key, _ []byte) bool {
		keys = append(keys, append([]byte(nil), key...))
		return true
	})
	return keys
}
