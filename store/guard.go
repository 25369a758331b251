package store

import (
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/limits"
)

// refusal is a sentinel that is an ErrForbidden with a sentence and a code of
// its own.
type refusal struct{ sentence string }

func (r *refusal) Error() string        { return r.sentence }
func (r *refusal) Is(target error) bool { return target == ErrForbidden }

var (
	// ErrSelfEdit comes when a client would change itself or a role that it
	// holds, wider or narrower, or loosen a budget that bounds what it reads: that
	// is for another administrator to do.
	ErrSelfEdit error = &refusal{"nobody changes itself, a role that it holds, or a budget that bounds what it reads: another administrator can"}
	// ErrSameHand comes when a client is to decide about what it asked for, or
	// what somebody asked for who can have acted as it, or it as them.
	ErrSameHand error = &refusal{"a second person has to decide: not who asked, nor who made it or was made by it"}
)

// ownRole refuses that somebody changes a role that it holds.
func (s *Store) ownRole(cat *catalog, c Caller, name string) error {
	if me := cat.clients[c.Client]; slices.Contains(c.Roles, name) || me != nil && me.doc.UID == c.ClientUID && slices.Contains(me.doc.Roles, name) {
		return ErrSelfEdit
	}
	return nil
}

// ownClient refuses that somebody changes itself.
func (s *Store) ownClient(c Caller, name string) error {
	if c.Client == name && !c.ClientUID.IsZero() {
		return ErrSelfEdit
	}
	return nil
}

// ownLimit refuses that somebody who reads loosens a budget of its own.
func (s *Store) ownLimit(cat *catalog, c Caller, old, next *limits.Definition) error {
	if c.ClientUID.IsZero() || !limits.Loosens(old, next) || !old.Exposes(c.Client, c.Roles) {
		return nil
	}
	if access.Wider(nil, s.holding(cat, c.Roles, nil).roles) {
		return ErrSelfEdit
	}
	return nil
}

// administers reports whether a client can manage clients and roles now: it is
// enabled, has the built-in role, and a way to authenticate.
func (cl *client) administers(now time.Time) bool {
	return cl != nil && !cl.doc.Disabled && slices.Contains(cl.doc.Roles, access.RoleAdministrator) && cl.authenticates(now)
}

// authenticates reports whether the client has a way to show who it is that is
// its own: an outside issuer's word is not counted on.
func (cl *client) authenticates(now time.Time) bool {
	if cl.proof.method != AuthSecret {
		return true // its keys or its certificate stand in its document
	}
	for _, sec := range cl.secrets {
		if sec.valid(now) {
			return true
		}
	}
	return false
}

// keepAdministrator refuses a change after which nobody could manage clients
// and roles any more: what becomes of the named client is next, nil when it is
// deleted. A store that has no administrator already is not held to it.
func (s *Store) keepAdministrator(cat *catalog, name string, next *client) error {
	now := s.now()
	if !cat.clients[name].administers(now) || next.administers(now) {
		return nil
	}
	for other, cl := range cat.clients {
		if other != name && cl.administers(now) {
			return nil
		}
	}
	return ErrLastAdministrator
}
