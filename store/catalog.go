package store

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
)

// catalog is the control plane as it stands, opened and compiled. It is never
// changed: a change makes the next one, and a request keeps the one that it
// began with.
type catalog struct {
	integrations map[string]*integration
	roles        map[string]*role
	clients      map[string]*client
	issuers      map[string]*issuer
	vouchers     map[string]uid.UID // credentials that issuers' rules stand for: the client
	limits       map[string]*limit
	signing      []SigningKey
	attest       []attestKey // what reports and certificates are signed with
	purges       map[uid.UID]*purge
	changes      map[string]*pendingChange
	approvals    *approvalBook
	governance   governance
	breakGlass   breakGlass
	damaged      map[string]error // kind 00 id of what did not open

	policies  sync.Map // role names joined by a space: *access.Policy
	decisions sync.Map // decisionKey: *access.Decision
	decided   atomic.Int64
}

// maxDecisions bounds the decisions that a catalog keeps; beyond it they are
// made anew each time.
const maxDecisions = 50_000

type integration struct {
	name        string
	doc         integrationDoc
	version     uint64
	generation  generation
	collections map[string]*collection
}

type collection struct {
	name        string
	integration *integration
	doc         collectionDoc
	version     uint64
	schema      *schema.Schema
	fields      []access.FieldInfo
	names       map[string]string // the paths of fields, to share their strings
	ttl         time.Duration
	undeleteFor time.Duration
	retention   int
	indexed     []schema.Field
	tokenBits   int
	filling     map[string]bool  // indexed fields that cannot be searched yet
	guards      map[string]guard // fields that need a purpose or an approval; nil: none
}

type role struct {
	doc     roleDoc
	version uint64
	role    *access.Role
}

type client struct {
	name    string
	doc     clientDoc
	version uint64
	policy  *access.Policy
	secrets map[string]*clientSecret
	proof   proof // how it authenticates, compiled from doc
}

type clientSecret struct {
	doc     secretDoc
	version uint64
	use     *lastUse
}

type purge struct {
	doc     purgeDoc
	version uint64
}

func newCatalog() *catalog {
	return &catalog{
		integrations: map[string]*integration{},
		roles:        map[string]*role{},
		clients:      map[string]*client{},
		issuers:      map[string]*issuer{},
		limits:       map[string]*limit{},
		purges:       map[uid.UID]*purge{},
		changes:      map[string]*pendingChange{},
		approvals:    newApprovalBook(),
		damaged:      map[string]error{},
	}
}

// next returns a copy to be changed before it is published. What its maps
// point to is shared: a change replaces it. Decisions start anew.
func (c *catalog) next() *catalog {
	return &catalog{
		integrations: maps.Clone(c.integrations),
		roles:        maps.Clone(c.roles),
		clients:      maps.Clone(c.clients),
		issuers:      maps.Clone(c.issuers),
		vouchers:     c.vouchers,
		limits:       maps.Clone(c.limits),
		signing:      c.signing,
		attest:       c.attest,
		purges:       maps.Clone(c.purges),
		changes:      maps.Clone(c.changes),
		approvals:    c.approvals,
		governance:   c.governance,
		breakGlass:   c.breakGlass,
		damaged:      maps.Clone(c.damaged),
	}
}

// collectionOf returns a collection, nil when there is none.
func (c *catalog) collectionOf(ref CollectionRef) *collection {
	if in := c.integrations[ref.Integration]; in != nil {
		return in.collections[ref.Collection]
	}
	return nil
}

// collectionByUID returns a collection, nil when there is none.
func (c *catalog) collectionByUID(id uid.UID) *collection {
	for _, in := range c.integrations {
		for _, coll := range in.collections {
			if coll.doc.UID == id {
				return coll
			}
		}
	}
	return nil
}

// damage returns why a control-plane value did not open, nil when it did.
func (c *catalog) damage(kind, id string) error { return c.damaged[kind+"\x00"+id] }

type decisionKey struct {
	policy     *access.Policy
	collection *collection
}

// decide returns what the policy grants on the collection.
func (c *catalog) decide(p *access.Policy, coll *collection) *access.Decision {
	key := decisionKey{p, coll}
	if d, ok := c.decisions.Load(key); ok {
		return d.(*access.Decision)
	}
	d := p.For(coll.integration.name, coll.name, coll.fields)
	if c.decided.Add(1) <= maxDecisions {
		c.decisions.Store(key, d)
	}
	return d
}

// policyOf compiles the roles of a client, once for all clients with the same.
func (c *catalog) policyOf(names []string, dev bool) *access.Policy {
	key := strings.Join(names, " ")
	if p, ok := c.policies.Load(key); ok {
		return p.(*access.Policy)
	}
	roles := make(map[string]*access.Role, len(names))
	for _, name := range names {
		if r := c.roles[name]; r != nil {
			roles[name] = r.role
		}
	}
	p := access.NewPolicy(roles, names, dev)
	c.policies.Store(key, p)
	return p
}

// repolicy gives every client a policy of the roles as they are now.
func (c *catalog) repolicy(dev bool) {
	for name, cl := range c.clients {
		next := *cl
		next.policy = c.policyOf(cl.doc.Roles, dev)
		c.clients[name] = &next
	}
}

// replaceIntegration puts a changed copy of an integration, and of the
// collections that point to it, in its place.
func (c *catalog) replaceIntegration(in *integration) {
	for name, coll := range in.collections {
		moved := *coll
		moved.integration = in
		in.collections[name] = &moved
	}
	c.integrations[in.name] = in
}

// changed returns a copy of an integration to be changed.
func (in *integration) changed() *integration {
	next := *in
	next.collections = maps.Clone(in.collections)
	return &next
}

// sortedNames returns the keys of a map of names in order.
func sortedNames[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// Defaults of a collection.
const (
	defaultRevisions       = 10
	defaultExpectedRecords = 1_000_000
	credentialUndelete     = 168 * time.Hour
)

// newCollection compiles a definition.
func newCollection(in *integration, name string, doc collectionDoc, version uint64) (*collection, error) {
	compiled, err := schema.Compile(doc.Schema)
	if err != nil {
		return nil, err
	}
	coll := &collection{name: name, integration: in, doc: doc, version: version, schema: compiled, retention: defaultRevisions}
	if r := doc.Spec.Retention; r != nil {
		coll.retention = r.Revisions
	}
	if coll.ttl, err = parseDuration(doc.Spec.TTL); err != nil {
		return nil, err
	}
	if coll.undeleteFor, err = undeleteFor(doc.Spec); err != nil {
		return nil, err
	}
	coll.describeFields()
	return coll, nil
}

func undeleteFor(spec CollectionSpec) (time.Duration, error) {
	if spec.UndeleteFor == "" && isCredential(spec.Preset) {
		return credentialUndelete, nil
	}
	return parseDuration(spec.UndeleteFor)
}

// isCredential tells the presets that hold what opens something else.
func isCredential(preset string) bool {
	return preset != "" && preset != "webhook_event"
}

func (coll *collection) describeFields() {
	for _, f := range coll.schema.Fields() {
		coll.fields = append(coll.fields, access.FieldInfo{Path: f.Path, Mask: f.Mask, High: f.High})
		if f.Index != schema.IndexNone {
			coll.indexed = append(coll.indexed, f)
		}
	}
	for _, f := range coll.doc.Retired {
		coll.fields = append(coll.fields, access.FieldInfo{Path: f.Path, Mask: f.Mask, High: f.High})
	}
	if b := coll.doc.Backfill; b != nil {
		coll.filling = make(map[string]bool, len(b.Fields))
		for _, path := range b.Fields {
			coll.filling[path] = true
		}
	}
	coll.names = make(map[string]string, len(coll.fields))
	for _, f := range coll.fields {
		coll.names[f.Path] = f.Path
	}
	coll.tokenBits = tokenBits(coll.doc.Spec.ExpectedRecords)
	coll.guards = guardsOf(coll)
}

// indexedField returns the declaration of an indexed field.
func (coll *collection) indexedField(path string) (schema.Field, bool) {
	for _, f := range coll.indexed {
		if f.Path == path {
			return f, true
		}
	}
	return schema.Field{}, false
}

// parseDuration reads a duration member; empty is none.
func parseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
