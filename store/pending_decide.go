package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"strongroom/internal/access"
	"strongroom/internal/limits"
)

// ApproveChange carries a change out in the name of both: who asked for it, who
// must still be there and allowed to, and the caller, a second person.
func (s *Store) ApproveChange(ctx context.Context, c Caller, id string) (out Change, err error) {
	op := s.start(c, "approve", target{control: kindChange + "/" + id})
	defer func() { err = op.end(err) }()
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	ch, err := s.undecided(op, id)
	if err != nil {
		return out, err
	}
	if err := s.judge(c, ch); err != nil {
		return out, err
	}
	decided := s.decided(ch, c, stateApproved)
	prepare := func() (controlChange, error) {
		ready, err := s.ready(ctx, ch)
		return ready.and(decided.write(ch), func(next *catalog) { next.changes[id] = decided }), err
	}
	ready, err := prepare()
	if err != nil {
		return out, err
	}
	if err := s.carryOut(ctx, op, ready, prepare); err != nil {
		return out, err
	}
	s.wake() // it may have begun to fill an index
	return decided.describe(s.now()), nil
}

// RejectChange ends a change that waits. Saying no needs no second hand.
func (s *Store) RejectChange(ctx context.Context, c Caller, id string) (Change, error) {
	return s.endChange(ctx, c, id, "reject", stateRejected, func(*pendingChange) bool { return c.Policy.Can(access.ApproveChanges) })
}

// WithdrawChange ends a change that the caller asked for.
func (s *Store) WithdrawChange(ctx context.Context, c Caller, id string) (Change, error) {
	return s.endChange(ctx, c, id, "withdraw", stateWithdrawn, func(ch *pendingChange) bool { return ch.doc.RequesterUID == c.ClientUID })
}

func (s *Store) endChange(ctx context.Context, c Caller, id string, action access.Action, state string, may func(*pendingChange) bool) (out Change, err error) {
	op := s.start(c, action, target{control: kindChange + "/" + id})
	defer func() { err = op.end(err) }()
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	ch, err := s.undecided(op, id)
	if err != nil {
		return out, err
	}
	if !may(ch) {
		return out, ErrForbidden
	}
	decided := s.decided(ch, c, state)
	err = s.change(ctx, op, controlChange{
		writes:  []controlWrite{decided.write(ch)},
		publish: func(next *catalog) { next.changes[id] = decided },
	})
	if err != nil {
		return out, err
	}
	return decided.describe(s.now()), nil
}

// undecided finds a change that waits, and notes in the audit entry who asked
// for it and what it is about.
func (s *Store) undecided(op *operation, id string) (*pendingChange, error) {
	if !mayFollow(op.caller) {
		return nil, ErrForbidden
	}
	ch := s.catalog.Load().changes[id]
	if ch == nil {
		return nil, ErrNotFound
	}
	t := ch.doc.target()
	op.entry.Change, op.entry.Requester = ch.id, ch.doc.Requester
	op.entry.Integration, op.entry.Collection, op.entry.Target = t.integration, t.collection, t.control
	if state := ch.state(s.now()); state != statePending {
		return nil, fmt.Errorf("%w: the change is %s", ErrConflict, state)
	}
	return ch, nil
}

// decided returns a change as the caller decided it.
func (s *Store) decided(ch *pendingChange, c Caller, state string) *pendingChange {
	now := s.now().UTC()
	next := &pendingChange{id: ch.id, doc: ch.doc, version: ch.version + 1}
	next.doc.State, next.doc.Decider, next.doc.DeciderUID, next.doc.DecidedAt = state, c.Client, c.ClientUID, &now
	return next
}

func (ch *pendingChange) write(old *pendingChange) controlWrite {
	return controlWrite{kind: kindChange, id: ch.id, replaces: old.version, doc: ch.doc}
}

// judge refuses whoever may not be the second person: without the right, of one
// hand with who asked, or one whom the change is about.
func (s *Store) judge(c Caller, ch *pendingChange) error {
	cat := s.catalog.Load()
	switch {
	case !c.Policy.Can(access.ApproveChanges):
		return ErrForbidden
	case cat.kin(c.ClientUID, ch.doc.RequesterUID, true):
		return ErrSameHand
	case ch.doc.Kind == changePutClient || ch.doc.Kind == changeCreateSecret:
		return s.ownClient(c, ch.doc.Name)
	case ch.doc.Kind == changePutRole || ch.doc.Kind == changeDeleteRole:
		return s.ownRole(cat, c, ch.doc.Name)
	case ch.doc.Kind == changePutIssuer:
		return s.ownIssuer(c, &ch.doc)
	case ch.doc.Kind == changePutLimit || ch.doc.Kind == changeDeleteLimit:
		next, _ := limits.Parse(ch.doc.Document) // nil of a deletion
		return s.ownLimit(cat, c, cat.limits[ch.doc.Name].definition(), next)
	}
	return nil
}

// ownIssuer refuses that somebody decides about who may act as it.
func (s *Store) ownIssuer(c Caller, d *changeDoc) error {
	var spec IssuerSpec
	if err := json.Unmarshal(d.Document, &spec); err != nil {
		return damaged(kindChange, err)
	}
	for _, r := range spec.Rules {
		if err := s.ownClient(c, r.Client); err != nil {
			return err
		}
	}
	return nil
}

// ready makes a change again, from what is now, and refuses it when what it
// was asked for on top of is not what is now, or who asked could not ask today.
func (s *Store) ready(ctx context.Context, ch *pendingChange) (controlChange, error) {
	cat := s.catalog.Load()
	asker, err := s.asker(cat, ch)
	if err != nil {
		return controlChange{}, err
	}
	if _, stamp := cat.surroundings(&ch.doc); !bytes.Equal(stamp, ch.doc.Stamp) {
		return controlChange{}, fmt.Errorf("%w: who or what the change is about is not what it was when it was asked for", ErrPrecondition)
	}
	base := Precondition{IfMatch: []uint64{ch.doc.Base}}
	if ch.doc.Base == 0 {
		base = Precondition{Absent: true}
	}
	switch d := &ch.doc; d.Kind {
	case changePutRole:
		parsed, err := checkRole(d.Name, d.Document)
		if err != nil {
			return controlChange{}, err
		}
		_, ready, err := s.roleChange(cat, asker, d.Name, d.Document, parsed, base)
		return ready, err
	case changeDeleteRole:
		return s.roleRemoval(ctx, cat, asker, d.Name, base)
	case changePutClient:
		spec, err := specOf[ClientSpec](d)
		if err != nil {
			return controlChange{}, err
		}
		_, ready, err := s.clientChange(cat, asker, d.Name, spec, base)
		return ready, err
	case changeCreateSecret:
		return s.secretChange(d)
	case changePutIssuer:
		spec, err := specOf[IssuerSpec](d)
		if err != nil {
			return controlChange{}, err
		}
		_, ready, err := s.issuerChange(cat, asker, d.Name, spec, base)
		return ready, err
	case changePutCollection:
		spec, err := specOf[CollectionSpec](d)
		if err != nil {
			return controlChange{}, err
		}
		_, _, ready, err := s.collectionChange(ctx, CollectionRef{d.Integration, d.Name}, spec, base)
		return ready, err
	case changePutLimit:
		def, err := checkLimit(d.Name, d.Document)
		if err != nil {
			return controlChange{}, err
		}
		_, ready, err := s.limitChange(cat, asker, d.Name, d.Document, def, base)
		return ready, err
	case changeDeleteLimit:
		return s.limitRemoval(ctx, cat, asker, d.Name, base)
	case changeTwoPerson:
		return s.twoPersonChange(asker, false), nil
	}
	return controlChange{}, damaged(kindChange, errLayout)
}

// specOf reads what a change would put.
func specOf[T any](d *changeDoc) (spec T, err error) {
	if err := json.Unmarshal(d.Document, &spec); err != nil {
		return spec, damaged(kindChange, err)
	}
	return spec, nil
}

// asker returns who asked for a change, as it is now: gone, disabled or without
// the right it can't have anything changed any more.
func (s *Store) asker(cat *catalog, ch *pendingChange) (Caller, error) {
	need := map[string]access.Capability{
		changePutRole: access.ManageRoles, changeDeleteRole: access.ManageRoles, changePutClient: access.ManageClients,
		changeCreateSecret: access.ManageClients, changePutIssuer: access.ManageClients, changePutCollection: access.ManageCollections, changeTwoPerson: governs,
		changePutLimit: access.ManageRoles, changeDeleteLimit: access.ManageRoles,
	}[ch.doc.Kind]
	cl := cat.clients[ch.doc.Requester]
	if cl == nil || cl.doc.UID != ch.doc.RequesterUID || cl.doc.Disabled || need == 0 || !cl.policy.Can(need) {
		return nil, fmt.Errorf("%w: who asked for this change may not make it any more", ErrConflict)
	}
	return &access.Principal{Client: cl.name, ClientUID: cl.doc.UID, Roles: cl.doc.Roles, Policy: cl.policy, Labels: cl.doc.Labels}, nil
}

// and adds a write to a change.
func (ch controlChange) and(w controlWrite, publish func(*catalog)) controlChange {
	first := ch.publish
	ch.writes = append(ch.writes, w)
	ch.publish = func(next *catalog) {
		first(next)
		publish(next)
	}
	return ch
}
