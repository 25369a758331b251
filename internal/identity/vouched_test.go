package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/outbound"
	"strongroom/internal/uid"
	"strongroom/store"
)

// provider is an OpenID provider: discovery and keys over TLS.
type provider struct {
	*httptest.Server
	key    pair
	issuer atomic.Pointer[string] // what its discovery document says; nil: its URL
	asked  atomic.Int64
	down   atomic.Bool
}

func newProvider(t testing.TB) (*provider, *outbound.Guard) {
	t.Helper()
	p := &provider{key: newPair(t, "op-1", jose.RS256)}
	keys := setOf(t, p.key.public())
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		if p.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		issuer := p.URL
		if said := p.issuer.Load(); said != nil {
			issuer = *said
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys) })
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p, loopback(p.Server)
}

// token is what the provider says of a pod.
func (p *provider) token(r *realm) claimSet {
	return claimSet{
		"iss": p.URL, "aud": []string{"strongroom"}, "sub": "system:serviceaccount:prod:billing", "jti": uid.New().String(),
		"iat": r.now.Unix(), "exp": r.now.Add(10 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{"namespace": "prod", "pod": map[string]any{"name": "billing-7"}},
		"groups":        []string{"dev", "ops"}, "email": "ada@example.org", "email_verified": true, "level": 3,
	}
}

// trust registers the provider with rules.
func (r *realm) trust(p *provider, change func(*store.IssuerSpec), rules ...store.IssuerRule) {
	r.t.Helper()
	if rules == nil {
		rules = []store.IssuerRule{{Claims: map[string]string{"sub": "system:serviceaccount:prod:*"}, Client: "invoicing"}}
	}
	spec := store.IssuerSpec{URL: p.URL, Audiences: []string{"strongroom", "strongroom-eu"}, Rules: rules}
	if change != nil {
		change(&spec)
	}
	_, _, err := r.store.PutIssuer(context.Background(), r.store.Root(), "cluster", spec, store.Precondition{})
	r.must(err)
}

func (r *realm) vouchedBy(assertion string, pairs ...string) (Token, error) {
	form := url.Values{"grant_type": {grantJWT}, "assertion": {assertion}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return r.Exchange(context.Background(), Request{Form: form})
}

func newFederation(t testing.TB) (*realm, *provider) {
	t.Helper()
	p, fetch := newProvider(t)
	r := newRealm(t, fetch)
	r.put("invoicing", store.ClientAuth{})
	r.put("reporting", store.ClientAuth{Method: store.AuthTLS, TLSSanDNS: "a.example"})
	return r, p
}

func TestStoryOfAServiceAccount(t *testing.T) {
	r, p := newFederation(t)
	r.trust(p, nil)
	token, err := r.vouchedBy(p.key.sign(t, p.token(r)), "scope", "read:acme-*")
	r.must(err)
	if token.Lifetime != 10*time.Minute || token.Scope != "read:acme-*" {
		t.Errorf("the token lives %s with scope %q: it must not outlive the one that it was got by", token.Lifetime, token.Scope)
	}
	who, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal()))
	r.must(err)
	if who.Client != "invoicing" || !strings.HasPrefix(who.SecretID, "iss:") {
		t.Errorf("it speaks for %+v", who)
	}
	log := r.audit()
	for _, personal := range []string{"serviceaccount", "ada@example.org", "billing-7"} {
		if strings.Contains(log, personal) {
			t.Errorf("the audit log tells %s", personal)
		}
	}
	if !strings.Contains(log, `"target":"issuer/cluster"`) || !strings.Contains(log, `jwt-bearer: subject `) {
		t.Errorf("the audit log does not tell the issuer and the hashed subject: %s", log)
	}
}

func TestForgedTokensOfIssuersAreRefused(t *testing.T) {
	r, p := newFederation(t)
	r.trust(p, nil)
	stranger, elliptic := newPair(t, "op-1", jose.RS256), newPair(t, "op-1", jose.ES256)
	good := func(pairs ...any) string { return p.key.sign(t, p.token(r).with(pairs...)) }
	part := strings.Split(good(), ".")
	for name, assertion := range map[string]string{
		"another key under its kid":   stranger.sign(t, p.token(r)),
		"another kind of key":         elliptic.sign(t, p.token(r)),
		"an unknown kid":              pair{"op-2", jose.RS256, p.key.secret}.sign(t, p.token(r)),
		"alg none":                    b64(`{"alg":"none"}`) + "." + part[1] + ".",
		"HMAC under its public key":   r.confused(p.key, p.token(r)),
		"a key in the header":         r.embedded(stranger, p.token(r)),
		"unsigned":                    part[0] + "." + part[1] + ".",
		"for somebody else":           good("aud", "vault"),
		"for nobody":                  good("aud", nil),
		"expired":                     good("exp", r.now.Add(-time.Second).Unix()),
		"expiring now":                good("exp", r.now.Unix()),
		"without an expiry":           good("exp", nil),
		"from the future":             good("iat", r.now.Add(2*time.Minute).Unix()),
		"not yet valid":               good("nbf", r.now.Add(time.Hour).Unix()),
		"of another issuer":           good("iss", "https://issuer.example"),
		"of an issuer written longer": good("iss", p.URL+"/"),
		"without an issuer":           good("iss", nil),
		"without a subject":           good("sub", nil),
		"of a subject no rule names":  good("sub", "system:serviceaccount:test:billing"),
		"without an id":               good("jti", nil),
		"with an id that is a number": good("jti", 7),
		"with a long id":              good("jti", strings.Repeat("j", maxJTI+1)),
		"longer than can be kept":     good("exp", r.now.Add(48*time.Hour).Unix()),
		"a subject twice":             p.key.sign(t, fmt.Sprintf(`{"iss":%q,"aud":"strongroom","jti":"a","exp":%d,"sub":"x","sub":"system:serviceaccount:prod:a"}`, p.URL, r.now.Add(time.Minute).Unix())),
		"a claim twice":               p.key.sign(t, fmt.Sprintf(`{"iss":%q,"aud":"strongroom","jti":"b","exp":%d,"sub":"system:serviceaccount:prod:a","x":1,"x":2}`, p.URL, r.now.Add(time.Minute).Unix())),
		"too long":                    good("x", strings.Repeat("x", maxAssertion)),
		"noise":                       "a.b.c",
	} {
		if _, err := r.vouchedBy(assertion); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			refusedAs(t, err, "invalid_grant")
		}
	}
	_, err := r.vouchedBy(good())
	r.must(err)
}

func TestTokensOfIssuersCountOnce(t *testing.T) {
	r, p := newFederation(t)
	r.trust(p, nil)
	once := p.key.sign(t, p.token(r))
	_, err := r.vouchedBy(once)
	r.must(err)
	_, err = r.vouchedBy(once)
	refusedAs(t, err, "invalid_grant")
	r.trust(p, func(s *store.IssuerSpec) { s.Reuse = true })
	_, err = r.vouchedBy(p.key.sign(t, p.token(r).with("jti", nil)))
	r.must(err)
	for range 2 {
		_, err = r.vouchedBy(once)
		r.must(err)
	}
}

func TestRulesNameTheClient(t *testing.T) {
	r, p := newFederation(t)
	claims := func(pairs ...string) (m map[string]string) {
		m = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		name  string
		rules []store.IssuerRule
		ask   string // client_id
		want  string // empty: refused
	}{
		{"the first that fits", []store.IssuerRule{{Claims: claims("sub", "x"), Client: "reporting"}, {Claims: claims("sub", "*:billing"), Client: "invoicing"}, {Claims: claims("sub", "system:*"), Client: "reporting"}}, "", "invoicing"},
		{"the one that is asked for", []store.IssuerRule{{Claims: claims("sub", "*:billing"), Client: "invoicing"}, {Claims: claims("sub", "system:*"), Client: "reporting"}}, "reporting", "reporting"},
		{"none that is asked for", []store.IssuerRule{{Claims: claims("sub", "*:billing"), Client: "invoicing"}}, "reporting", ""},
		{"a claim below", []store.IssuerRule{{Claims: claims("kubernetes.io/namespace", "prod", "kubernetes.io/pod/name", "billing-*"), Client: "invoicing"}}, "", "invoicing"},
		{"all claims must fit", []store.IssuerRule{{Claims: claims("kubernetes.io/namespace", "prod", "sub", "x"), Client: "invoicing"}}, "", ""},
		{"a member of a list", []store.IssuerRule{{Claims: claims("groups", "ops"), Client: "invoicing"}}, "", "invoicing"},
		{"no member of a list", []store.IssuerRule{{Claims: claims("groups", "op"), Client: "invoicing"}}, "", ""},
		{"a boolean and a number", []store.IssuerRule{{Claims: claims("email_verified", "true", "level", "3"), Client: "invoicing"}}, "", "invoicing"},
		{"an object is no text", []store.IssuerRule{{Claims: claims("kubernetes.io", "*prod*"), Client: "invoicing"}}, "", ""},
		{"what is not there fits nothing", []store.IssuerRule{{Claims: claims("nothing", "*", "sub", "*billing"), Client: "invoicing"}}, "", ""},
	} {
		r.trust(p, nil, c.rules...)
		pairs := []string{}
		if c.ask != "" {
			pairs = append(pairs, "client_id", c.ask)
		}
		token, err := r.vouchedBy(p.key.sign(t, p.token(r)), pairs...)
		if c.want == "" {
			refusedAs(t, err, "invalid_grant")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if who, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); err != nil || who.Client != c.want {
			t.Errorf("%s: it speaks for %+v, %v", c.name, who, err)
		}
	}
}

func TestRulesThatFitEverybodyAreRefused(t *testing.T) {
	r, p := newFederation(t)
	for pointer, change := range map[string]func(*store.IssuerSpec){
		"/issuer":          func(s *store.IssuerSpec) { s.URL = "http://issuer.example" },
		"/audiences":       func(s *store.IssuerSpec) { s.Audiences = nil },
		"/audiences/0":     func(s *store.IssuerSpec) { s.Audiences = []string{""} },
		"/jwks_uri":        func(s *store.IssuerSpec) { s.JWKSURI = "file:///etc/passwd" },
		"/rules":           func(s *store.IssuerSpec) { s.Rules = nil },
		"/rules/0/client":  func(s *store.IssuerSpec) { s.Rules[0].Client = "nobody" },
		"/rules/0/claims":  func(s *store.IssuerSpec) { s.Rules[0].Claims = nil },
		"/rules/0/claims ": func(s *store.IssuerSpec) { s.Rules[0].Claims = map[string]string{"sub": "*", "aud": "***"} },
	} {
		spec := store.IssuerSpec{URL: p.URL, Audiences: []string{"a"}, Rules: []store.IssuerRule{{Claims: map[string]string{"sub": "x"}, Client: "invoicing"}}}
		change(&spec)
		_, _, err := r.store.PutIssuer(context.Background(), r.store.Root(), "cluster", spec, store.Precondition{})
		var bad *store.Invalid
		if !errors.As(err, &bad) || bad.Issues[0].Pointer != strings.TrimSpace(pointer) {
			t.Errorf("%s: %v", pointer, err)
		}
	}
	r.trust(p, nil)
	_, _, err := r.store.PutIssuer(context.Background(), r.store.Root(), "again", store.IssuerSpec{URL: p.URL, Audiences: []string{"a"},
		Rules: []store.IssuerRule{{Claims: map[string]string{"sub": "x"}, Client: "invoicing"}}}, store.Precondition{})
	if err == nil {
		t.Error("two issuers share a URL")
	}
}

func TestWhatEndsTokensOfIssuers(t *testing.T) {
	r, p := newFederation(t)
	fresh := func() Token {
		t.Helper()
		r.put("invoicing", store.ClientAuth{})
		r.trust(p, nil)
		token, err := r.vouchedBy(p.key.sign(t, p.token(r)))
		r.must(err)
		return token
	}
	root, ctx := r.store.Root(), context.Background()
	for name, end := range map[string]func(){
		"the issuer is deleted": func() { r.must(r.store.DeleteIssuer(ctx, root, "cluster")) },
		"the rule changes":      func() { r.trust(p, nil, store.IssuerRule{Claims: map[string]string{"sub": "x"}, Client: "invoicing"}) },
		"an audience goes":      func() { r.trust(p, func(s *store.IssuerSpec) { s.Audiences = s.Audiences[:1] }) },
		"the client is deleted": func() { r.must(r.store.DeleteClient(ctx, root, "invoicing")) },
		"a namesake comes": func() {
			r.must(r.store.DeleteClient(ctx, root, "invoicing"))
			r.put("invoicing", store.ClientAuth{})
		},
	} {
		token := fresh()
		if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); err != nil {
			t.Fatalf("%s: before it: %v", name, err)
		}
		end()
		if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); !errors.Is(err, ErrToken) {
			t.Errorf("%s: the token lives on: %v", name, err)
		}
	}
	// The rule meant the client that was there, not its later namesake.
	fresh()
	r.must(r.store.DeleteClient(ctx, root, "invoicing"))
	r.put("invoicing", store.ClientAuth{})
	_, err := r.vouchedBy(p.key.sign(t, p.token(r)))
	refusedAs(t, err, "invalid_grant")
}

func TestDiscoveryThatCannotBeTrusted(t *testing.T) {
	r, p := newFederation(t)
	r.trust(p, nil)
	other := "https://evil.example"
	p.issuer.Store(&other)
	if _, err := r.vouchedBy(p.key.sign(t, p.token(r))); !errors.Is(err, store.ErrRemoteKeys) || strings.Contains(err.Error(), "evil") {
		t.Errorf("a document of another issuer: %v", err)
	}
	for range 10 {
		_, _ = r.vouchedBy(p.key.sign(t, p.token(r)))
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("%d fetches in a moment", n)
	}
	p.issuer.Store(nil)
	r.now = r.now.Add(keysAtMost)
	_, err := r.vouchedBy(p.key.sign(t, p.token(r)))
	r.must(err)

	strict := newRealm(t, nil) // may not go to the loopback address
	strict.put("invoicing", store.ClientAuth{})
	strict.trust(p, nil)
	before := p.asked.Load()
	if _, err := strict.vouchedBy(p.key.sign(t, p.token(strict))); !errors.Is(err, store.ErrRemoteKeys) || p.asked.Load() != before {
		t.Errorf("a private address was asked: %v", err)
	}
}

func TestAnIssuerWithoutDiscovery(t *testing.T) {
	r, p := newFederation(t)
	p.down.Store(true)
	r.trust(p, func(s *store.IssuerSpec) { s.JWKSURI = p.URL + "/keys" })
	_, err := r.vouchedBy(p.key.sign(t, p.token(r)))
	r.must(err)
	if p.asked.Load() != 0 {
		t.Error("discovery was asked although the keys are known")
	}
}
