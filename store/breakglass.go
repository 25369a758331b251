package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// breakGlassShown is how long a store says that the glass was broken.
const breakGlassShown = 24 * time.Hour

const breakGlassID = "last"

// breakGlassDoc says when an administrator was last restored on the machine.
type breakGlassDoc struct {
	Client string    `json:"client"`
	At     time.Time `json:"at"`
}

type breakGlass struct {
	doc     breakGlassDoc
	version uint64
}

// BreakGlass restores one administrator by whoever holds the machine and its
// keys, and returns its new secret. A client of that name is made, or, when
// there is one, enabled and given the role; its other secrets end, since it is
// not known who has them. It is audited as an event of its own, before anything
// is done, and the store tells of it for a day.
func (s *Store) BreakGlass(ctx context.Context, name string) (out NewSecret, err error) {
	if err := s.auditBreakGlass(name); err != nil {
		return out, err
	}
	op := s.startInternal("break-glass", kindClient+"/"+name)
	defer func() { err = op.end(err) }()
	if err := checkName("client", name); err != nil {
		return out, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	version, err := s.storedVersion(ctx, kindClient, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return out, err
	}
	out, secret := s.mintSecret(0)
	cl := s.restored(cat, name, version)
	cl.secrets = map[string]*clientSecret{out.ID: {doc: secret, version: 1, use: &lastUse{}}}
	glass := breakGlass{doc: breakGlassDoc{Client: name, At: s.now().UTC()}, version: cat.breakGlass.version + 1}
	ended := s.endSecrets(cat.clients[name])
	ch := controlChange{
		writes: append(ended,
			controlWrite{kind: kindClient, id: name, replaces: version, doc: cl.doc},
			controlWrite{kind: kindSecret, id: secretControlID(cl, out.ID), doc: secret},
			controlWrite{kind: kindBreakGlass, id: breakGlassID, replaces: cat.breakGlass.version, doc: glass.doc}),
		also: func(tx kv.Tx) { forgetUses(tx, ended) },
		publish: func(next *catalog) {
			delete(next.damaged, kindClient+"\x00"+name)
			s.enrol(next, cl)
			next.breakGlass = glass
		},
	}
	if err := s.change(ctx, op, ch); err != nil {
		return NewSecret{}, err
	}
	return out, nil
}

// restored returns an administrator of that name. One that exists is made anew,
// under a uid of its own: whoever made it, or has a token of it, has nothing to
// do with the new one. It keeps the built-in roles that it had, none of which
// reads a value.
func (s *Store) restored(cat *catalog, name string, version uint64) *client {
	now := s.now().UTC()
	cl := &client{
		name: name, version: version + 1, proof: proof{method: AuthSecret, credentials: map[string]bool{}},
		doc: clientDoc{UID: uid.New(), CreatedAt: now, UpdatedAt: now},
	}
	for _, role := range access.Builtins() {
		old := cat.clients[name]
		held := old != nil && role != access.RoleEverything && slices.Contains(old.doc.Roles, role)
		if held || role == access.RoleAdministrator {
			cl.doc.Roles = append(cl.doc.Roles, role)
		}
	}
	return cl
}

func (s *Store) endSecrets(cl *client) (writes []controlWrite) {
	if cl == nil {
		return nil
	}
	for id, sec := range cl.secrets {
		writes = append(writes, controlWrite{kind: kindSecret, id: secretControlID(cl, id), replaces: sec.version})
	}
	return writes
}

func (s *Store) auditBreakGlass(name string) error {
	e := audit.Entry{
		Phase: audit.Event, Time: s.now(), Event: "break_glass", Outcome: audit.Allowed, Target: loggable(kindClient + "/" + name),
		Detail: "an administrator is being restored on the machine, outside of every role",
	}
	if err := s.audit.Write(&e); err != nil {
		return fmt.Errorf("%w: %w", ErrAuditUnavailable, err)
	}
	s.logger.Warn("break-glass: an administrator is being restored on the machine", "client", loggable(name))
	return nil
}
