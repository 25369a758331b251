package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/uid"
)

// Bounds of changes that wait for a second person.
const (
	changeWaits = 72 * time.Hour      // then it expires
	changeKept  = 30 * 24 * time.Hour // after it was decided or expired
	maxPending  = 200
	maxChanges  = 1000 // with those decided; the oldest of them go first
)

// The kinds of change that can wait.
const (
	changePutRole       = "put-role"
	changeDeleteRole    = "delete-role"
	changePutClient     = "put-client"
	changeCreateSecret  = "create-secret"
	changePutIssuer     = "put-issuer"
	changePutCollection = "put-collection"
	changePutLimit      = "put-limit"
	changeDeleteLimit   = "delete-limit"
	changeTwoPerson     = "two-person"
)

// The states of a change, and of an approval.
const (
	statePending   = "pending"
	stateApproved  = "approved"
	stateRejected  = "rejected"
	stateWithdrawn = "withdrawn"
	stateRevoked   = "revoked"
	stateUsed      = "used"
	stateExpired   = "expired" // never stored: the clock says it
)

// changeDoc is a change of the control plane that waits for a second person,
// or did. Base and Stamp say what it was made from: the version of what it
// replaces, and a digest of whatever decides what it gives to whom. It is carried
// out only while both stand.
type changeDoc struct {
	Kind         string          `json:"kind"`
	Integration  string          `json:"integration,omitempty"`
	Name         string          `json:"name"`
	Document     json.RawMessage `json:"document,omitempty"` // as it is to be put
	Secret       *secretDoc      `json:"secret,omitempty"`   // hash of a secret that does not count yet
	SecretID     string          `json:"secret_id,omitempty"`
	Base         uint64          `json:"base,omitempty"`
	Affects      []string        `json:"affects,omitempty"`
	Stamp        []byte          `json:"stamp"`
	Requester    string          `json:"requester"`
	RequesterUID uid.UID         `json:"requester_uid"`
	RequestedAt  time.Time       `json:"requested_at"`
	ExpiresAt    time.Time       `json:"expires_at"`
	State        string          `json:"state"`
	Decider      string          `json:"decider,omitempty"`
	DeciderUID   uid.UID         `json:"decider_uid,omitzero"`
	DecidedAt    *time.Time      `json:"decided_at,omitempty"`
}

type pendingChange struct {
	id      string
	doc     changeDoc
	version uint64
}

// ChangePending comes when a change widens access to values and two persons are
// wanted: nothing was changed, and the change waits to be approved.
type ChangePending struct {
	Change Change
	Secret *NewSecret // of a secret that waits: it counts once it is approved
}

// Error names the change.
func (e *ChangePending) Error() string {
	return "this widens access: the change " + e.Change.ID + " waits for a second person"
}

// Change is a change that waits for a second person, or did.
type Change struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"`
	Target      string          `json:"target"`
	State       string          `json:"state"`
	Requester   string          `json:"requester"`
	RequestedAt time.Time       `json:"requested_at"`
	ExpiresAt   time.Time       `json:"expires_at"`
	Decider     string          `json:"decider,omitempty"`
	DecidedAt   *time.Time      `json:"decided_at,omitempty"`
	SecretID    string          `json:"secret_id,omitempty"`
	BaseVersion uint64          `json:"base_version,omitempty"` // of what it replaces
	Affects     []string        `json:"affects"`                // with their versions: whom a role is given to, what roles a client gets
	Document    json.RawMessage `json:"document,omitempty"`     // what it is to become
	Current     json.RawMessage `json:"current,omitempty"`      // what it is now
}

// state returns where a change is at an instant.
func (ch *pendingChange) state(now time.Time) string {
	if ch.doc.State == statePending && !now.Before(ch.doc.ExpiresAt) {
		return stateExpired
	}
	return ch.doc.State
}

// target names what a change is about, as the audit log does.
func (d *changeDoc) target() target {
	switch d.Kind {
	case changePutRole, changeDeleteRole:
		return target{control: kindRole + "/" + d.Name}
	case changePutIssuer:
		return target{control: kindIssuer + "/" + d.Name}
	case changePutLimit, changeDeleteLimit:
		return target{control: kindLimit + "/" + d.Name}
	case changePutCollection:
		return collectionTarget(CollectionRef{d.Integration, d.Name})
	case changeTwoPerson:
		return target{control: kindGovernance + "/" + d.Name}
	}
	return target{control: kindClient + "/" + d.Name}
}

func (ch *pendingChange) describe(now time.Time) Change {
	d := &ch.doc
	out := Change{
		ID: ch.id, Kind: d.Kind, Target: d.target().control, State: ch.state(now), Requester: d.Requester,
		RequestedAt: d.RequestedAt, ExpiresAt: d.ExpiresAt, Decider: d.Decider, DecidedAt: d.DecidedAt,
		SecretID: d.SecretID, BaseVersion: d.Base, Affects: d.Affects, Document: d.Document,
	}
	if d.Integration != "" {
		out.Target = kindIntegration + "/" + d.Integration + "/" + out.Target
	}
	if out.Affects == nil {
		out.Affects = []string{}
	}
	return out
}

// waits reports whether what the caller would change has to wait: two
// persons are wanted, and it widens. The machine's owner, who has no uid, waits
// for nobody: it holds the keys.
func (s *Store) waits(c Caller, cat *catalog, widens func() bool) bool {
	return cat.governance.doc.TwoPerson && !c.ClientUID.IsZero() && widens()
}

// hold keeps a change for a second person to decide. It always returns an
// error: *ChangePending when it was kept. The caller holds controlMu.
func (s *Store) hold(ctx context.Context, op *operation, doc changeDoc, also controlChange) error {
	cat, now := s.catalog.Load(), s.now().UTC()
	removed, waiting := cat.outdatedChanges(now)
	if waiting >= maxPending {
		return fmt.Errorf("%w: %d changes wait already; decide about some first", ErrConflict, waiting)
	}
	doc.Requester, doc.RequesterUID, doc.State = op.caller.Client, op.caller.ClientUID, statePending
	doc.RequestedAt, doc.ExpiresAt = now, now.Add(changeWaits)
	doc.Affects, doc.Stamp = cat.surroundings(&doc)
	ch := &pendingChange{id: uid.NewV7(now), doc: doc, version: 1}
	op.entry.Change = ch.id
	writes := []controlWrite{{kind: kindChange, id: ch.id, doc: doc}}
	for _, old := range removed {
		writes = append(writes, controlWrite{kind: kindChange, id: old.id, replaces: old.version})
	}
	err := s.change(ctx, op, controlChange{writes: writes, idem: also.idem, made: also.made, publish: func(next *catalog) {
		next.changes[ch.id] = ch
		for _, old := range removed {
			delete(next.changes, old.id)
		}
	}})
	if err != nil {
		return err
	}
	return &ChangePending{Change: ch.describe(now)}
}

// outdatedChanges returns the changes that need not be kept any longer, and how
// many still wait.
func (c *catalog) outdatedChanges(now time.Time) (old []*pendingChange, waiting int) {
	var ended []*pendingChange
	for _, ch := range c.changes {
		if ch.state(now) == statePending {
			waiting++
		} else {
			ended = append(ended, ch)
		}
	}
	slices.SortFunc(ended, func(a, b *pendingChange) int { return a.doc.ExpiresAt.Compare(b.doc.ExpiresAt) })
	beyond := len(c.changes) + 1 - maxChanges
	for i, ch := range ended {
		if i < beyond || now.Sub(ch.doc.ExpiresAt) > changeKept {
			old = append(old, ch)
		}
	}
	return old, waiting
}

// mayFollow lets whoever manages, decides or audits see what waits.
func mayFollow(c Caller) bool {
	return c.Policy.CanAny(access.ManageRoles | access.ManageClients | access.ManageCollections | access.ApproveChanges | access.ReadAudit)
}

// ListChanges tells of the changes that wait and waited, the newest first,
// without their documents.
func (s *Store) ListChanges(ctx context.Context, c Caller) (out []Change, err error) {
	op := s.start(c, "describe", target{control: kindChange})
	defer func() { err = op.end(err) }()
	if !mayFollow(c) {
		return nil, ErrForbidden
	}
	for _, ch := range s.catalog.Load().changes {
		shown := ch.describe(s.now())
		shown.Document = nil
		out = append(out, shown)
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Or(b.RequestedAt.Compare(a.RequestedAt), cmp.Compare(b.ID, a.ID)) })
	op.entry.Count = uint64(len(out))
	return out, nil
}

// GetChange returns a change with what is and what it is to become.
func (s *Store) GetChange(ctx context.Context, c Caller, id string) (out Change, err error) {
	op := s.start(c, "describe", target{control: kindChange + "/" + id})
	defer func() { err = op.end(err) }()
	if !mayFollow(c) {
		return out, ErrForbidden
	}
	cat := s.catalog.Load()
	ch := cat.changes[id]
	if ch == nil {
		return out, ErrNotFound
	}
	out = ch.describe(s.now())
	out.Current = cat.currentOf(&ch.doc)
	return out, nil
}

// currentOf returns the document that a change would replace.
func (c *catalog) currentOf(d *changeDoc) json.RawMessage {
	var doc any
	switch d.Kind {
	case changePutRole, changeDeleteRole:
		if r := c.roles[d.Name]; r != nil {
			return r.doc.Raw
		}
	case changePutClient, changeCreateSecret:
		if cl := c.clients[d.Name]; cl != nil {
			doc = cl.describe()
		}
	case changePutIssuer:
		if i := c.issuers[d.Name]; i != nil {
			doc = i.describe()
		}
	case changePutCollection:
		if coll := c.collectionOf(CollectionRef{d.Integration, d.Name}); coll != nil {
			doc = coll.describe()
		}
	case changePutLimit, changeDeleteLimit:
		if l := c.limits[d.Name]; l != nil {
			return l.doc.Raw
		}
	case changeTwoPerson:
		doc = c.governance.doc.describe()
	}
	if doc == nil {
		return nil
	}
	raw, _ := json.Marshal(doc)
	return raw
}
