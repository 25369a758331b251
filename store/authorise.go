package store

import (
	"fmt"
	"time"

	"strongroom/internal/access"
)

// scope is what an authorised call on a collection works with: the control
// plane as it stood when the call began, and what the caller may do. What
// depends on a record is open in decision until on settles it.
type scope struct {
	catalog    *catalog
	collection *collection
	decision   *access.Decision
	spending   *spending        // of the client's budgets of exposure
	base       *access.Decision // decision as it was before any record was looked at
	own        *access.Decision // of a revision that is not current, by its own labels; else nil
	caller     Caller
	at         time.Time
	permit     permit // of fields that ask for more than a role
}

// authorise judges an action on a collection. What no rule could allow is
// forbidden, whether or not the collection exists; only a caller that some
// rule lets near it learns that it does not. Where a rule depends on the record
// the action is allowed for now: who goes on settles the decision.
func (s *Store) authorise(c Caller, action access.Action, ref CollectionRef) (scope, error) {
	return s.authoriseAs(c, action, ref, true)
}

// authoriseAs is authorise for a client that may be another than who asks: its
// request is not there yet, and what depends on it is allowed for now.
func (s *Store) authoriseAs(c Caller, action access.Action, ref CollectionRef, asks bool) (scope, error) {
	cat := s.catalog.Load()
	coll := cat.collectionOf(ref)
	if coll == nil {
		return scope{}, cat.missing(c, action, ref)
	}
	sc := scope{catalog: cat, collection: coll, decision: cat.decide(c.Policy, coll), caller: c, spending: s.spendingOf(c), permit: allowsPurpose(c)}
	if asks && !sc.decision.Settled() {
		sc.at = s.now()
		sc.decision = sc.decision.ForRequest(&access.Facts{Who: c, At: sc.at})
	}
	sc.base = sc.decision
	if !sc.decision.Could(action) {
		return scope{}, ErrForbidden
	}
	if coll.integration.doc.DestroyAt != nil {
		return scope{}, ErrDisabled
	}
	return sc, nil
}

// missing says why there is no such collection, to a caller that may know.
func (c *catalog) missing(p Caller, action access.Action, ref CollectionRef) error {
	if !p.Policy.For(ref.Integration, ref.Collection, nil).Could(action) {
		return ErrForbidden
	}
	if cause := c.damage(kindIntegration, ref.Integration); cause != nil {
		return fmt.Errorf("%w: the definition of integration %s", ErrIntegrity, ref.Integration)
	}
	in := c.integrations[ref.Integration]
	if in == nil {
		return fmt.Errorf("integration: %w", ErrNotFound)
	}
	if cause := c.damage(kindCollection, collectionID(in, ref.Collection)); cause != nil {
		return fmt.Errorf("%w: the definition of collection %s", ErrIntegrity, ref.Collection)
	}
	return fmt.Errorf("collection: %w", ErrNotFound)
}

// authoriseControl judges an act on the control plane.
func authoriseControl(c Caller, need access.Capability) error {
	if !c.Policy.Can(need) {
		return ErrForbidden
	}
	return nil
}

// may describes an integration to the caller: whoever manages it, and whoever
// has a rule that matches it.
func mayDescribe(c Caller, integration string) bool {
	return canAny(c, access.ManageIntegrations, access.ManageCollections, access.OperateKeys, access.ReadAudit) || c.Policy.Touches(integration)
}

func canAny(c Caller, needs ...access.Capability) bool {
	for _, need := range needs {
		if c.Policy.Can(need) {
			return true
		}
	}
	return false
}

func collectionID(in *integration, name string) string {
	return in.doc.UID.String() + "/" + name
}
