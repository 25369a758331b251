package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/store/kv"
)

// ExplainQuery asks what a client may do, and why.
type ExplainQuery struct {
	Client string
	CollectionRef
	Record  string        // empty: of any record
	Action  access.Action // empty: read
	Purpose string        // what request.purpose would be, and so on
	Address string
	Binding string
	At      time.Time // zero: now
}

// Explanation is the answer. It holds no value of a field or a label.
type Explanation struct {
	Client      string        `json:"client"`
	Disabled    bool          `json:"disabled,omitempty"`
	Roles       []string      `json:"roles"`
	Integration string        `json:"integration"`
	Collection  string        `json:"collection"`
	Record      string        `json:"record,omitempty"`
	Action      access.Action `json:"action"`
	access.Explanation
}

// ExplainAccess says what a client may do with a collection, or with one of its
// records, field by field, and which rules decided. It is for administrators
// and auditors, who read no field by it. Of labels it tells whether conditions
// on them hold, and which are missing, never their values; whoever may write
// roles could ask for one by guesses, and each guess is in the audit log.
func (s *Store) ExplainAccess(ctx context.Context, c Caller, q ExplainQuery) (out Explanation, err error) {
	op := s.start(c, "explain", target{
		integration: q.Integration, collection: q.Collection, record: q.Record, control: kindClient + "/" + q.Client,
	})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageRoles, access.ReadAudit) {
		return out, ErrForbidden
	}
	if q.Action == "" {
		q.Action = access.ActionRead
	}
	if !q.Action.Known() {
		return out, invalid("/action", "there is no such action")
	}
	cat := s.catalog.Load()
	cl, coll, err := s.explained(cat, q)
	if err != nil {
		return out, err
	}
	facts, err := s.factsOf(ctx, cl, coll, q)
	if err != nil {
		return out, err
	}
	decision := cat.decide(cl.policy, coll)
	out = Explanation{
		Client: cl.name, Disabled: cl.doc.Disabled, Roles: append([]string{}, cl.doc.Roles...),
		Integration: q.Integration, Collection: q.Collection, Record: q.Record, Action: q.Action,
		Explanation: decision.Explain(q.Action, coll.fields, facts),
	}
	if decision = decision.ForRequest(facts); facts.Labels != nil {
		decision = decision.ForRecord(facts)
	}
	for i := range out.Fields {
		if g, guarded := coll.guards[out.Fields[i].Path]; guarded {
			g.explain(&out.Fields[i], decision, q)
		}
	}
	return out, nil
}

// explain says of a field that asks for more than a role what is left without
// it: the query names a purpose or none, and no approval. At best is with both.
func (g guard) explain(f *access.FieldExplanation, d *access.Decision, q ExplainQuery) {
	f.Needs = []string{"purpose"}
	if g.approval {
		f.Needs = append(f.Needs, "approval")
	}
	named := ValidPurpose(q.Purpose)
	if g.approval || !named {
		f.Grant = access.Restrained(d.Read(q.Action, f.Path), f.Mask).String()
		f.Reason += " The field asks for more than a role, and is read as this says only with what it needs."
	}
	if g.approval && q.Action != access.ActionRead {
		f.AtBest = access.Restrained(d.CouldRead(q.Action, f.Path), f.Mask).String()
	}
	f.Search, f.SearchAtBest = f.Search && !g.approval && named, f.SearchAtBest && !g.approval
	f.Write = slices.DeleteFunc(f.Write, func(a access.Action) bool { return !d.MayWriteMasked(a, f.Path) })
	if d.Settled() {
		f.WriteAtBest = f.Write
	}
	if len(f.Write) == 0 && f.WriteReason == "" {
		f.WriteReason = "The field is read masked without what it needs, and no rule names it in write: a mask must not be written back."
	}
}

// explained finds what a query is about.
func (s *Store) explained(cat *catalog, q ExplainQuery) (*client, *collection, error) {
	cl, coll := cat.clients[q.Client], cat.collectionOf(q.CollectionRef)
	switch {
	case cat.damage(kindClient, q.Client) != nil:
		return nil, nil, fmt.Errorf("%w: client %s", ErrIntegrity, q.Client)
	case cl == nil:
		return nil, nil, fmt.Errorf("client: %w", ErrNotFound)
	case coll == nil:
		return nil, nil, fmt.Errorf("collection: %w", ErrNotFound)
	case coll.integration.doc.DestroyAt != nil:
		return nil, nil, ErrDisabled
	}
	if role, bad := cat.damagedRole(cl.doc.Roles); bad {
		return nil, nil, fmt.Errorf("%w: role %s", ErrIntegrity, role)
	}
	return cl, coll, nil
}

// factsOf puts together what conditions are judged by. A record's labels are
// looked at once its header is authentic; no field is opened.
func (s *Store) factsOf(ctx context.Context, cl *client, coll *collection, q ExplainQuery) (*access.Facts, error) {
	facts := &access.Facts{
		Who: &access.Principal{
			Client: cl.name, Labels: cl.doc.Labels, Purpose: q.Purpose, Address: q.Address, Binding: q.Binding,
		},
		At: q.At,
	}
	if q.At.IsZero() {
		facts.At = s.now()
	}
	if q.Record == "" {
		return facts, nil
	}
	if checkRecordID("", q.Record) != nil {
		return nil, ErrNotFound
	}
	err := s.view(ctx, coll.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		f, err := s.findCurrent(tx, coll, dom, q.Record)
		if err == nil && f.visibleRevision() == 0 {
			err = ErrNotFound
		}
		facts.Record, facts.Labels = q.Record, labelSet(f.revision.header.labels)
		return err
	})
	return facts, err
}
