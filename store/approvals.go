package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// ErrApprovalRequired comes when a value is asked for that is read only with a
// purpose, or with a second person's approval, and this request has none that
// is good for it.
var ErrApprovalRequired error = &refusal{"this value is read only for a purpose, and where its schema says so with a second person's approval"}

// Bounds of approvals. They are for minutes: what is needed for longer is a
// role.
const (
	approvalTTL        = 15 * time.Minute
	maxApprovalTTL     = time.Hour
	approvalWaits      = 24 * time.Hour // to be decided; then it expires
	approvalKept       = 30 * 24 * time.Hour
	maxApprovals       = 1000 // that wait or are good
	maxOwnApprovals    = 50   // of those, asked for by one client
	maxApprovalsKept   = 5000 // with those that ended; the oldest of them go first
	maxApprovalRecords = 100
	maxApprovalFields  = 64
	maxApprovalUses    = 1000
	maxReason          = 500
)

// approvalDoc is a second person's leave to read some fields of some records.
// It is bound to the uids of the client and the collection, so that it opens
// nothing of a namesake.
type approvalDoc struct {
	Client        string        `json:"client"`
	ClientUID     uid.UID       `json:"client_uid"`
	Purpose       string        `json:"purpose"`
	Integration   string        `json:"integration"`
	Collection    string        `json:"collection"`
	CollectionUID uid.UID       `json:"collection_uid"`
	Records       []string      `json:"records"`
	Fields        []string      `json:"fields"`
	Uses          int           `json:"uses"`
	Used          int           `json:"used"`
	TTL           time.Duration `json:"ttl"`
	Reason        string        `json:"reason,omitempty"`
	Requester     string        `json:"requester"`
	RequesterUID  uid.UID       `json:"requester_uid"`
	RequestedAt   time.Time     `json:"requested_at"`
	ExpiresAt     time.Time     `json:"expires_at"` // to be decided by; once approved, to be used by
	State         string        `json:"state"`
	Decider       string        `json:"decider,omitempty"`
	DecidedAt     *time.Time    `json:"decided_at,omitempty"`
}

type approval struct {
	id      string
	doc     approvalDoc
	version uint64
}

// approvalBook holds the approvals. It changes with every use, so it is shared
// by the catalogs that follow each other, and has a lock of its own; the lock is
// held while a use is written, so that two reads cannot both take the last one.
type approvalBook struct {
	mu   sync.Mutex
	byID map[string]*approval
}

func newApprovalBook() *approvalBook { return &approvalBook{byID: map[string]*approval{}} }

// ApprovalSpec is what an approval is asked for.
type ApprovalSpec struct {
	Client      string   `json:"client,omitempty"` // who is to read; default: who asks
	Purpose     string   `json:"purpose"`
	Integration string   `json:"integration"`
	Collection  string   `json:"collection"`
	Records     []string `json:"records"`
	Fields      []string `json:"fields"`
	Uses        int      `json:"uses,omitempty"` // default 1
	TTL         string   `json:"ttl,omitempty"`  // from the moment of approval; default 15m
	Reason      string   `json:"reason,omitempty"`
}

// Approval is a second person's leave to read, asked for or given.
type Approval struct {
	ID string `json:"id"`
	ApprovalSpec
	UsesLeft    int        `json:"uses_left"`
	State       string     `json:"state"`
	Requester   string     `json:"requester"`
	RequestedAt time.Time  `json:"requested_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	Decider     string     `json:"decider,omitempty"`
	DecidedAt   *time.Time `json:"decided_at,omitempty"`
}

func (a *approval) state(now time.Time) string {
	switch d := &a.doc; {
	case d.State == stateApproved && d.Used >= d.Uses:
		return stateUsed
	case (d.State == statePending || d.State == stateApproved) && !now.Before(d.ExpiresAt):
		return stateExpired
	}
	return a.doc.State
}

func (a *approval) describe(now time.Time) Approval {
	d := &a.doc
	return Approval{
		ID: a.id, ApprovalSpec: ApprovalSpec{
			Client: d.Client, Purpose: d.Purpose, Integration: d.Integration, Collection: d.Collection,
			Records: d.Records, Fields: d.Fields, Uses: d.Uses, TTL: d.TTL.String(), Reason: d.Reason,
		},
		UsesLeft: d.Uses - d.Used, State: a.state(now), Requester: d.Requester, RequestedAt: d.RequestedAt,
		ExpiresAt: d.ExpiresAt, Decider: d.Decider, DecidedAt: d.DecidedAt,
	}
}

// ValidPurpose reports whether a text can be a purpose: 1 to 64 lower-case
// letters, digits and hyphens, fit for the audit log.
func ValidPurpose(text string) bool {
	for i := range len(text) {
		if c := text[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return len(text) >= 1 && len(text) <= 64
}

// RequestApproval asks for an approval, for the caller or, for whoever manages
// clients, for another one, who must have a role that lets it read there.
func (s *Store) RequestApproval(ctx context.Context, c Caller, spec ApprovalSpec) (out Approval, err error) {
	op := s.start(c, "request", target{integration: spec.Integration, collection: spec.Collection, control: kindApproval})
	defer func() { err = op.end(err) }()
	if err := spec.check(); err != nil {
		return out, err
	}
	doc, err := s.draftApproval(c, spec)
	if err != nil {
		return out, err
	}
	a := &approval{id: uid.NewV7(s.now()), doc: doc, version: 1}
	op.entry.Approval, op.entry.Purpose, op.entry.Records, op.entry.Fields = a.id, doc.Purpose, doc.Records, doc.Fields
	if err := s.addApproval(ctx, op, a); err != nil {
		return out, err
	}
	return a.describe(s.now()), nil
}

func (spec *ApprovalSpec) check() error {
	ttl, err := parseDuration(spec.TTL)
	switch {
	case err != nil || spec.TTL != "" && (ttl < time.Minute || ttl > maxApprovalTTL):
		return invalid("/ttl", "an approval is good for one minute up to one hour, such as 15m")
	case !ValidPurpose(spec.Purpose):
		return invalid("/purpose", "want 1 to 64 lower-case letters, digits and hyphens")
	case spec.Uses < 0 || spec.Uses > maxApprovalUses:
		return invalid("/uses", "an approval is good for 1 up to "+strconv.Itoa(maxApprovalUses)+" reads")
	case len(spec.Records) == 0 || len(spec.Records) > maxApprovalRecords:
		return invalid("/records", "name 1 up to "+strconv.Itoa(maxApprovalRecords)+" records")
	case len(spec.Fields) == 0 || len(spec.Fields) > maxApprovalFields:
		return invalid("/fields", "name 1 up to "+strconv.Itoa(maxApprovalFields)+" fields")
	case len(spec.Reason) > maxReason:
		return invalid("/reason", "a reason has up to "+strconv.Itoa(maxReason)+" bytes")
	}
	for i, id := range spec.Records {
		if err := checkRecordID("/records/"+strconv.Itoa(i), id); err != nil {
			return err
		}
	}
	return checkText("/reason", spec.Reason)
}

func (s *Store) draftApproval(c Caller, spec ApprovalSpec) (doc approvalDoc, err error) {
	reader, err := s.readerOf(c, spec.Client)
	if err != nil {
		return doc, err
	}
	ref := CollectionRef{spec.Integration, spec.Collection}
	reader.Purpose = spec.Purpose // what it asks with is not what it will read with
	sc, err := s.authoriseAs(reader, access.ActionRead, ref, reader.ClientUID == c.ClientUID)
	if err != nil {
		return doc, err
	}
	for i, path := range spec.Fields {
		if !sc.collection.guards[path].approval || sc.decision.CouldRead(access.ActionRead, path).Kind == access.None {
			return doc, invalid("/fields/"+strconv.Itoa(i), "this is no field that the client could read with an approval")
		}
	}
	now := s.now().UTC()
	ttl, _ := parseDuration(spec.TTL)
	return approvalDoc{
		Client: reader.Client, ClientUID: reader.ClientUID, Purpose: spec.Purpose,
		Integration: spec.Integration, Collection: spec.Collection, CollectionUID: sc.collection.doc.UID,
		Records: spec.Records, Fields: spec.Fields, Uses: cmp.Or(spec.Uses, 1), TTL: cmp.Or(ttl, approvalTTL), Reason: spec.Reason,
		Requester: c.Client, RequesterUID: c.ClientUID, RequestedAt: now, ExpiresAt: now.Add(approvalWaits), State: statePending,
	}, nil
}

// readerOf returns the client that an approval is asked for, as a principal that
// the caller of this may change.
func (s *Store) readerOf(c Caller, name string) (*access.Principal, error) {
	if name == "" || name == c.Client {
		reader := *c
		return &reader, nil
	}
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return nil, err
	}
	cl, err := s.findClient(name)
	if errors.Is(err, ErrNotFound) {
		return nil, invalid("/client", "there is no such client")
	}
	if err != nil {
		return nil, err
	}
	return &access.Principal{Client: cl.name, ClientUID: cl.doc.UID, Roles: cl.doc.Roles, Policy: cl.policy, Labels: cl.doc.Labels}, nil
}

// addApproval stores a new approval and lets go of those that ended long ago.
func (s *Store) addApproval(ctx context.Context, op *operation, a *approval) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	book := s.catalog.Load().approvals
	book.mu.Lock()
	defer book.mu.Unlock()
	old, err := book.makeRoom(a.doc.RequesterUID, s.now())
	if err != nil {
		return err
	}
	writes := []controlWrite{{kind: kindApproval, id: a.id, doc: a.doc}}
	for _, other := range old {
		writes = append(writes, controlWrite{kind: kindApproval, id: other.id, replaces: other.version})
	}
	return s.changeBook(ctx, op, writes, func() {
		book.byID[a.id] = a
		for _, other := range old {
			delete(book.byID, other.id)
		}
	})
}

// makeRoom returns the approvals that need not be kept any longer, and refuses
// one more when too many wait or are good already.
func (b *approvalBook) makeRoom(requester uid.UID, now time.Time) (old []*approval, err error) {
	var ended []*approval
	own := 0
	for _, a := range b.byID {
		switch state := a.state(now); {
		case state != statePending && state != stateApproved:
			ended = append(ended, a)
		case a.doc.RequesterUID == requester:
			own++
		}
	}
	if open := len(b.byID) - len(ended); open >= maxApprovals || own >= maxOwnApprovals {
		return nil, fmt.Errorf("%w: too many approvals wait or are good already", ErrConflict)
	}
	slices.SortFunc(ended, func(x, y *approval) int { return x.doc.ExpiresAt.Compare(y.doc.ExpiresAt) })
	beyond := len(b.byID) + 1 - maxApprovalsKept
	for i, a := range ended {
		if i < beyond || now.Sub(a.doc.ExpiresAt) > approvalKept {
			old = append(old, a)
		}
	}
	return old, nil
}

// changeBook writes approvals, audited as intended with the operation. The
// caller holds the locks of the control plane and of the book.
func (s *Store) changeBook(ctx context.Context, op *operation, writes []controlWrite, done func()) error {
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	if err := op.intent(); err != nil {
		return err
	}
	err := s.updateSealed(ctx, kv.Interactive, writes, nil, func(tx kv.Tx) error {
		if err := applyControl(tx, writes); err != nil {
			return err
		}
		op.put(tx, op.entry.Target)
		return nil
	})
	if err != nil {
		return s.changeFailed(ctx, err)
	}
	done()
	return nil
}

// ListApprovals tells of the approvals that concern the caller, the newest
// first: all of them for whoever decides or audits.
func (s *Store) ListApprovals(ctx context.Context, c Caller) (out []Approval, err error) {
	op := s.start(c, "describe", target{control: kindApproval})
	defer func() { err = op.end(err) }()
	book := s.catalog.Load().approvals
	book.mu.Lock()
	defer book.mu.Unlock()
	for _, a := range book.byID {
		if a.concerns(c) {
			out = append(out, a.describe(s.now()))
		}
	}
	slices.SortFunc(out, func(x, y Approval) int { return cmp.Or(y.RequestedAt.Compare(x.RequestedAt), cmp.Compare(y.ID, x.ID)) })
	op.entry.Count = uint64(len(out))
	return out, nil
}

// GetApproval returns an approval that concerns the caller.
func (s *Store) GetApproval(ctx context.Context, c Caller, id string) (out Approval, err error) {
	op := s.start(c, "describe", target{control: kindApproval + "/" + id})
	defer func() { err = op.end(err) }()
	book := s.catalog.Load().approvals
	book.mu.Lock()
	defer book.mu.Unlock()
	a, err := book.of(c, id)
	if err != nil {
		return out, err
	}
	return a.describe(s.now()), nil
}

// of returns an approval that concerns the caller.
func (b *approvalBook) of(c Caller, id string) (*approval, error) {
	a := b.byID[id]
	if a == nil || !a.concerns(c) {
		return nil, ErrNotFound
	}
	return a, nil
}

func (a *approval) concerns(c Caller) bool {
	return c.Policy.CanAny(access.ApproveReads|access.ReadAudit) || a.doc.RequesterUID == c.ClientUID || a.doc.ClientUID == c.ClientUID
}

// guard is what a field asks of who reads it in clear.
type guard struct{ approval, purpose bool }

// guardsOf gathers what the fields of a collection ask for. A nested field that
// is not declared any more may be back in its parent: the parent then asks for
// what it asked for.
func guardsOf(coll *collection) map[string]guard {
	guards := map[string]guard{}
	add := func(path string, g guard) {
		if g != (guard{}) {
			was := guards[path]
			guards[path] = guard{was.approval || g.approval, was.purpose || g.purpose}
		}
	}
	for _, f := range coll.schema.Fields() {
		add(f.Path, guard{approval: f.Approval, purpose: f.Purpose})
	}
	for _, f := range coll.doc.Retired {
		add(f.Path, guard{approval: f.Approval, purpose: f.Purpose})
		if parent, ok := coll.ancestor(f.Path, true); ok {
			add(parent.Path, guard{approval: f.Approval, purpose: f.Purpose})
		}
	}
	if len(guards) == 0 {
		return nil
	}
	return guards
}
