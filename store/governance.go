package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// governs is what it takes to say whether two persons are wanted.
const governs = access.ManageRoles | access.ManageClients

// twoPersonID is the only id of its kind.
const twoPersonID = "two-person"

// governanceDoc says whether changes that widen access wait for a second
// person. It lies in the store, sealed, and not in the configuration alone: else
// whoever can edit a file and restart a server could switch it off unseen.
type governanceDoc struct {
	TwoPerson bool      `json:"two_person"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by"`
}

type governance struct {
	doc     governanceDoc
	version uint64
}

// Governance is how changes of access are governed.
type Governance struct {
	TwoPerson bool       `json:"two_person"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	UpdatedBy string     `json:"updated_by,omitempty"`
}

func (d governanceDoc) describe() Governance {
	out := Governance{TwoPerson: d.TwoPerson, UpdatedBy: d.UpdatedBy}
	if !d.UpdatedAt.IsZero() {
		out.UpdatedAt = &d.UpdatedAt
	}
	return out
}

// GetGovernance says whether changes that widen access wait.
func (s *Store) GetGovernance(ctx context.Context, c Caller) (out Governance, err error) {
	op := s.start(c, "describe", target{control: kindGovernance + "/" + twoPersonID})
	defer func() { err = op.end(err) }()
	if !mayFollow(c) {
		return out, ErrForbidden
	}
	return s.catalog.Load().governance.doc.describe(), nil
}

// PutGovernance says whether changes that widen access wait. Switching that off
// is such a change.
func (s *Store) PutGovernance(ctx context.Context, c Caller, twoPerson bool) (out Governance, err error) {
	op := s.start(c, "put", target{control: kindGovernance + "/" + twoPersonID})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, governs); err != nil {
		return out, err
	}
	return s.setTwoPerson(ctx, op, twoPerson)
}

// TwoPersons reports whether changes that widen access wait.
func (s *Store) TwoPersons() bool { return s.catalog.Load().governance.doc.TwoPerson }

// RequireTwoPersons switches the wait for a second person on, by whoever holds
// the machine: a configuration can only switch it on.
func (s *Store) RequireTwoPersons(ctx context.Context) (err error) {
	if s.TwoPersons() {
		return nil
	}
	op := s.startInternal("put", kindGovernance+"/"+twoPersonID)
	defer func() { err = op.end(err) }()
	_, err = s.setTwoPerson(ctx, op, true)
	return err
}

func (s *Store) setTwoPerson(ctx context.Context, op *operation, on bool) (Governance, error) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	if cat.governance.doc.TwoPerson == on {
		return cat.governance.doc.describe(), nil
	}
	if s.waits(op.caller, cat, func() bool { return !on }) {
		return Governance{}, s.hold(ctx, op, changeDoc{
			Kind: changeTwoPerson, Name: twoPersonID, Document: []byte(`{"two_person":false}`), Base: cat.governance.version,
		}, controlChange{})
	}
	if err := s.change(ctx, op, s.twoPersonChange(op.caller, on)); err != nil {
		return Governance{}, err
	}
	return s.catalog.Load().governance.doc.describe(), nil
}

func (s *Store) twoPersonChange(c Caller, on bool) controlChange {
	was := s.catalog.Load().governance
	next := governance{doc: governanceDoc{TwoPerson: on, UpdatedAt: s.now().UTC(), UpdatedBy: c.Client}, version: was.version + 1}
	return controlChange{
		writes:  []controlWrite{{kind: kindGovernance, id: twoPersonID, replaces: was.version, doc: next.doc}},
		publish: func(cat *catalog) { cat.governance = next },
	}
}

// errGovernance is the cause when the setting is not there that must be.
var errGovernance = fmt.Errorf("%w: whether two persons are wanted", errMissing)

// governance loads what governs changes of access. A setting that does not
// open, or is not there, counts as on: whoever damages it must not gain by it.
func (l *loader) governance(tx kv.ReadTx) {
	openControl(l.system, tx, kindGovernance, func(_ string, v uint64, doc governanceDoc) {
		l.catalog.governance = governance{doc: doc, version: v}
	}, func(id string, err error) {
		l.catalog.governance.doc.TwoPerson = true
		l.damaged(kindGovernance)(id, err)
	})
	if g := l.catalog.governance; l.governed && g.version == 0 && !g.doc.TwoPerson {
		l.catalog.governance.doc.TwoPerson = true
		l.damaged(kindGovernance)(twoPersonID, errGovernance)
	}
	openControl(l.system, tx, kindChange, func(id string, v uint64, doc changeDoc) {
		l.catalog.changes[id] = &pendingChange{id: id, doc: doc, version: v}
	}, l.damaged(kindChange))
	openControl(l.system, tx, kindApproval, func(id string, v uint64, doc approvalDoc) {
		l.catalog.approvals.byID[id] = &approval{id: id, doc: doc, version: v}
	}, l.damaged(kindApproval))
	openControl(l.system, tx, kindBreakGlass, func(_ string, v uint64, doc breakGlassDoc) {
		l.catalog.breakGlass = breakGlass{doc: doc, version: v}
	}, l.damaged(kindBreakGlass))
}

// governanceVersions adds the versions of what this file loads. Approvals are
// left out: their versions rise with every use, while fsck compares.
func (c *catalog) governanceVersions(all map[string]uint64) {
	if c.governance.version > 0 {
		all[kindGovernance+"\x00"+twoPersonID] = c.governance.version
	}
	if c.breakGlass.version > 0 {
		all[kindBreakGlass+"\x00"+breakGlassID] = c.breakGlass.version
	}
	for id, ch := range c.changes {
		all[kindChange+"\x00"+id] = ch.version
	}
}

// governanceReasons are what somebody who watches the store should know of how
// access is governed. None of them keeps it from serving.
func (s *Store) governanceReasons(cat *catalog) (reasons []Reason) {
	notice := func(code, detail string) {
		reasons = append(reasons, Reason{Code: code, Detail: detail, Degraded: true, Notice: true})
	}
	switch {
	case !cat.governance.doc.TwoPerson && !s.dev:
		notice("two_person_off", "one administrator alone can give itself access to values; switch two_person on")
	case cat.governance.doc.TwoPerson && !s.canAgree(cat):
		notice("second_person_missing", "two_person is on and no two administrators are independent of each other: no change that widens access can be approved; `strongroom break-glass` makes an administrator that nobody made")
	}
	if at := cat.breakGlass.doc.At; !at.IsZero() && s.now().Sub(at) < breakGlassShown {
		notice("break_glass", fmt.Sprintf("the administrator %s was restored on the machine at %s", cat.breakGlass.doc.Client, at.UTC().Format(time.RFC3339)))
	}
	return reasons
}

// canAgree reports whether there are two clients that could ask for a change of
// roles and clients, and approve it.
func (s *Store) canAgree(cat *catalog) bool {
	var asking, approving []map[uid.UID]bool
	all, now := cat.lineage(), s.now()
	for _, cl := range cat.clients {
		if cl.doc.Disabled || !cl.authenticates(now) || !cl.policy.CanAny(governs|access.ApproveChanges) {
			continue
		}
		line := all.line(cl.doc.UID)
		if cl.policy.CanAny(governs) {
			asking = append(asking, line)
		}
		if cl.policy.Can(access.ApproveChanges) {
			approving = append(approving, line)
		}
	}
	for _, a := range asking {
		if slices.ContainsFunc(approving, func(b map[uid.UID]bool) bool { return !meet(a, b) }) {
			return true
		}
	}
	return false
}
