package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/uid"
)

// Bounds of an issuer's definition.
const (
	maxAudiences   = 16
	maxIssuerRules = 64
	maxRuleClaims  = 16
	maxClaimText   = 512
)

// Issuer is an outside issuer of tokens: an OpenID provider whose word, by
// rules on what it claims, makes somebody one of our clients.
type Issuer struct {
	Name string  `json:"name"`
	UID  uid.UID `json:"uid"`
	IssuerSpec
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// IssuerSpec is what a caller says of an issuer.
type IssuerSpec struct {
	URL       string       `json:"issuer"`    // the iss claim, to the letter
	Audiences []string     `json:"audiences"` // a token is for one of these
	JWKSURI   string       `json:"jwks_uri,omitempty"`
	Reuse     bool         `json:"reuse,omitempty"` // a token may be exchanged again until it expires
	Rules     []IssuerRule `json:"rules"`
}

// IssuerRule names the client that a token speaks for when each of the claims
// is as its pattern says. A claim is named by its path (a JSON Pointer without
// its first slash); in a pattern `*` stands for any run of characters.
type IssuerRule struct {
	Claims map[string]string `json:"claims"`
	Client string            `json:"client"`
}

// issuerDoc keeps the uid of each rule's client too: a later client of the same
// name is not the one that was meant.
type issuerDoc struct {
	UID       uid.UID    `json:"uid"`
	Spec      IssuerSpec `json:"spec"`
	Clients   []uid.UID  `json:"clients"`          // by rule
	Makers    []uid.UID  `json:"makers,omitempty"` // who has said what it vouches for; see kinship
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

type issuer struct {
	name    string
	doc     issuerDoc
	version uint64
}

func (i *issuer) describe() Issuer {
	return Issuer{Name: i.name, UID: i.doc.UID, IssuerSpec: i.doc.Spec, Version: i.version, CreatedAt: i.doc.CreatedAt, UpdatedAt: i.doc.UpdatedAt}
}

// credential is what a token carries that was got by a rule. It changes with
// everything that the rule's meaning depends on: what was got by the old one
// then ends.
func (i *issuer) credential(rule int) string {
	text, _ := json.Marshal(struct {
		UID       uid.UID
		URL       string
		Audiences []string
		JWKSURI   string
		Rule      IssuerRule
		Client    uid.UID
	}{i.doc.UID, i.doc.Spec.URL, i.doc.Spec.Audiences, i.doc.Spec.JWKSURI, i.doc.Spec.Rules[rule], i.doc.Clients[rule]})
	return "iss:" + shortHash(string(text))
}

// vouch puts together which credentials the issuers of a catalog stand for.
func (c *catalog) vouch() {
	c.vouchers = map[string]uid.UID{}
	for _, i := range c.issuers {
		for n, client := range i.doc.Clients {
			c.vouchers[i.credential(n)] = client
		}
	}
}

// PutIssuer makes or replaces an outside issuer. Two of them never share a URL.
func (s *Store) PutIssuer(ctx context.Context, c Caller, name string, spec IssuerSpec, p Precondition) (out Issuer, res PutResult, err error) {
	op := s.start(c, "put", target{control: kindIssuer + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return out, res, err
	}
	if err := checkName(kindIssuer, name); err != nil {
		return out, res, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	next, ready, err := s.issuerChange(cat, c, name, spec, p)
	if err != nil {
		return out, res, err
	}
	if s.waits(c, cat, func() bool { return s.widerIssuer(cat, cat.issuers[name], next) }) {
		doc, err := json.Marshal(spec)
		if err != nil {
			return out, res, fmt.Errorf("store: encode issuer: %w", err)
		}
		return out, res, s.hold(ctx, op, changeDoc{Kind: changePutIssuer, Name: name, Document: doc, Base: next.version - 1}, controlChange{})
	}
	if err := s.change(ctx, op, ready); err != nil {
		return out, res, err
	}
	return next.describe(), PutResult{Created: next.version == 1}, nil
}

// issuerChange makes ready what saves an issuer. Nobody has one vouch for
// itself.
func (s *Store) issuerChange(cat *catalog, c Caller, name string, spec IssuerSpec, p Precondition) (*issuer, controlChange, error) {
	old := cat.issuers[name]
	if old == nil && cat.damage(kindIssuer, name) != nil {
		return nil, controlChange{}, fmt.Errorf("%w: issuer %s; delete it and put it again", ErrIntegrity, name)
	}
	clients, err := cat.checkIssuer(name, spec)
	if err != nil {
		return nil, controlChange{}, err
	}
	next := s.nextIssuer(old, name, spec, clients)
	next.doc.Makers = cat.makersBy(c.ClientUID)
	if old != nil {
		next.doc.Makers = union(next.doc.Makers, old.doc.Makers)
	}
	for _, named := range next.vouchesAnew(old) {
		if named == c.ClientUID {
			return nil, controlChange{}, ErrSelfEdit
		}
	}
	return next, controlChange{
		writes:  []controlWrite{{kind: kindIssuer, id: name, replaces: next.version - 1, doc: next.doc}},
		publish: func(cat *catalog) { cat.issuers[name] = next; cat.vouch() },
	}, p.check(next.version - 1)
}

// vouchesAnew returns the clients that an issuer stands for by a rule that it
// did not have before.
func (i *issuer) vouchesAnew(old *issuer) (clients []uid.UID) {
	had := map[string]bool{}
	if old != nil {
		for n := range old.doc.Clients {
			had[old.credential(n)] = true
		}
	}
	for n, named := range i.doc.Clients {
		if !had[i.credential(n)] {
			clients = append(clients, named)
		}
	}
	return clients
}

func (s *Store) nextIssuer(old *issuer, name string, spec IssuerSpec, clients []uid.UID) *issuer {
	now := s.now().UTC()
	next := &issuer{name: name, version: 1, doc: issuerDoc{UID: uid.New(), Spec: spec, Clients: clients, CreatedAt: now, UpdatedAt: now}}
	if old != nil {
		next.version = old.version + 1
		next.doc.UID, next.doc.CreatedAt = old.doc.UID, old.doc.CreatedAt
	}
	return next
}

// checkIssuer refuses what cannot be meant, and returns the client of each
// rule.
func (c *catalog) checkIssuer(name string, spec IssuerSpec) ([]uid.UID, error) {
	if err := checkHTTPS("/issuer", spec.URL); err != nil {
		return nil, err
	}
	for other, i := range c.issuers {
		if other != name && i.doc.Spec.URL == spec.URL {
			return nil, invalid("/issuer", "another issuer has this URL")
		}
	}
	if spec.JWKSURI != "" {
		if err := checkHTTPS("/jwks_uri", spec.JWKSURI); err != nil {
			return nil, err
		}
	}
	if len(spec.Audiences) == 0 || len(spec.Audiences) > maxAudiences {
		return nil, invalid("/audiences", "want 1 to 16 audiences: a token that is meant for somebody else must not count here")
	}
	for i, a := range spec.Audiences {
		if a == "" || len(a) > maxURL || !printable(a) {
			return nil, invalid(fmt.Sprintf("/audiences/%d", i), "want 1 to 1024 bytes of UTF-8 without control characters")
		}
	}
	return c.checkIssuerRules(spec.Rules)
}

func (c *catalog) checkIssuerRules(rules []IssuerRule) ([]uid.UID, error) {
	if len(rules) == 0 || len(rules) > maxIssuerRules {
		return nil, invalid("/rules", "want 1 to 64 rules")
	}
	clients := make([]uid.UID, len(rules))
	for i, r := range rules {
		pointer := fmt.Sprintf("/rules/%d", i)
		cl := c.clients[r.Client]
		if cl == nil {
			return nil, invalid(pointer+"/client", "there is no such client")
		}
		if err := checkClaims(pointer+"/claims", r.Claims); err != nil {
			return nil, err
		}
		clients[i] = cl.doc.UID
	}
	return clients, nil
}

// checkClaims refuses a rule that everybody's token would fit.
func checkClaims(pointer string, claims map[string]string) error {
	if len(claims) > maxRuleClaims {
		return invalid(pointer, "want 1 to 16 claims")
	}
	narrow := false
	for path, pattern := range claims {
		if path == "" || len(path) > maxClaimText || pattern == "" || len(pattern) > maxClaimText || !printable(path) || !printable(pattern) {
			return invalid(pointer, "a claim's path and its pattern have 1 to 512 bytes of UTF-8 and no control characters")
		}
		narrow = narrow || !access.MatchesAll(pattern)
	}
	if !narrow {
		return invalid(pointer, "want a claim whose pattern is more than *: everybody's token would fit")
	}
	return nil
}

// GetIssuer describes an issuer.
func (s *Store) GetIssuer(ctx context.Context, c Caller, name string) (out Issuer, err error) {
	op := s.start(c, "describe", target{control: kindIssuer + "/" + name})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageClients, access.ReadAudit) {
		return out, ErrForbidden
	}
	cat := s.catalog.Load()
	if cat.damage(kindIssuer, name) != nil {
		return out, fmt.Errorf("%w: issuer %s", ErrIntegrity, name)
	}
	if i := cat.issuers[name]; i != nil {
		return i.describe(), nil
	}
	return out, ErrNotFound
}

// ListIssuers describes all issuers by name.
func (s *Store) ListIssuers(ctx context.Context, c Caller) (out []Issuer, err error) {
	op := s.start(c, "describe", target{control: kindIssuer})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageClients, access.ReadAudit) {
		return nil, ErrForbidden
	}
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.issuers) {
		out = append(out, cat.issuers[name].describe())
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}

// DeleteIssuer removes an issuer, a damaged one too. Tokens that were got by
// its word are worth nothing from the next request on.
func (s *Store) DeleteIssuer(ctx context.Context, c Caller, name string) (err error) {
	op := s.start(c, "delete", target{control: kindIssuer + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	version, err := s.storedVersion(ctx, kindIssuer, name)
	if err != nil {
		return err
	}
	return s.change(ctx, op, controlChange{
		writes: []controlWrite{{kind: kindIssuer, id: name, replaces: version}},
		publish: func(cat *catalog) {
			delete(cat.issuers, name)
			delete(cat.damaged, kindIssuer+"\x00"+name)
			cat.vouch()
		},
	})
}
