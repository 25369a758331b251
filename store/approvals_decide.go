package store

import (
	"context"
	"fmt"

	"strongroom/internal/access"
)

// ApproveRead lets a client read what an approval was asked for, for minutes
// from now. It takes a second person: not who asked, nor who is to read, nor
// anybody whom one of them made or was made by.
func (s *Store) ApproveRead(ctx context.Context, c Caller, id string) (Approval, error) {
	return s.decideRead(ctx, c, id, "approve", func(a *approval) (string, error) {
		cat := s.catalog.Load()
		strict := cat.governance.doc.TwoPerson
		switch {
		case !c.Policy.Can(access.ApproveReads):
			return "", ErrForbidden
		case cat.kin(c.ClientUID, a.doc.RequesterUID, strict) || cat.kin(c.ClientUID, a.doc.ClientUID, strict):
			return "", ErrSameHand
		}
		return stateApproved, a.expect(s, statePending)
	})
}

// RejectRead refuses what an approval was asked for.
func (s *Store) RejectRead(ctx context.Context, c Caller, id string) (Approval, error) {
	return s.decideRead(ctx, c, id, "reject", func(a *approval) (string, error) {
		if !c.Policy.Can(access.ApproveReads) {
			return "", ErrForbidden
		}
		return stateRejected, a.expect(s, statePending)
	})
}

// RevokeRead ends an approval, given or only asked for. Whoever could give it
// can, and who asked, and who was to read.
func (s *Store) RevokeRead(ctx context.Context, c Caller, id string) (Approval, error) {
	return s.decideRead(ctx, c, id, "revoke", func(a *approval) (string, error) {
		own := a.doc.RequesterUID == c.ClientUID || a.doc.ClientUID == c.ClientUID
		if !own && !c.Policy.Can(access.ApproveReads) {
			return "", ErrForbidden
		}
		return stateRevoked, a.expect(s, statePending, stateApproved)
	})
}

func (a *approval) expect(s *Store, states ...string) error {
	is := a.state(s.now())
	for _, state := range states {
		if is == state {
			return nil
		}
	}
	return fmt.Errorf("%w: the approval is %s", ErrConflict, is)
}

func (s *Store) decideRead(ctx context.Context, c Caller, id string, action access.Action, judge func(*approval) (string, error)) (out Approval, err error) {
	op := s.start(c, action, target{control: kindApproval + "/" + id})
	defer func() { err = op.end(err) }()
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	book := s.catalog.Load().approvals
	book.mu.Lock()
	defer book.mu.Unlock()
	a, err := book.of(c, id)
	if err != nil {
		return out, err
	}
	op.concern(a)
	state, err := judge(a)
	if err != nil {
		return out, err
	}
	next := s.decidedRead(a, c, state)
	writes := []controlWrite{{kind: kindApproval, id: id, replaces: a.version, doc: next.doc}}
	if err := s.changeBook(ctx, op, writes, func() { book.byID[id] = next }); err != nil {
		return out, err
	}
	return next.describe(s.now()), nil
}

func (s *Store) decidedRead(a *approval, c Caller, state string) *approval {
	now := s.now().UTC()
	next := &approval{id: a.id, doc: a.doc, version: a.version + 1}
	next.doc.State, next.doc.Decider, next.doc.DecidedAt = state, c.Client, &now
	if state == stateApproved {
		next.doc.ExpiresAt = now.Add(a.doc.TTL)
	}
	return next
}

// concern notes in the audit entry what an approval is about, and who asked.
func (op *operation) concern(a *approval) {
	e, d := &op.entry, &a.doc
	e.Approval, e.Purpose, e.Requester = a.id, d.Purpose, d.Requester
	e.Integration, e.Collection, e.Records, e.Fields = d.Integration, d.Collection, d.Records, d.Fields
}
