package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/internal/limits"
)

func TestStoryOfATokenBoundToAKey(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	secret := h.enter("app", "auditor")
	p := h.holder()
	token := p.signIn(asClient("app", secret))
	p.get("/v1/roles").want(200)
	other := h.holder()
	other.token, other.nonce = token, p.nonce
	other.get("/v1/roles").refused(401, "invalid_token").header("WWW-Authenticate", dpopChallenge("invalid_token"))
	if line := h.last(); !strings.Contains(line, "another key") || !strings.Contains(line, `"client":"app"`) ||
		!strings.Contains(line, `"binding":"dpop","thumbprint":"`+p.thumbprint()+`"`) {
		t.Errorf("the thief is audited as %s", line)
	}
	h.ask("/oauth2/introspect", asClient("app", secret, "token", token)).want(200).
		has(`"token_type":"DPoP"`).has(`"cnf":{"jkt":"` + p.thumbprint() + `"}`)
	h.as("").do("GET", "/.well-known/oauth-authorization-server", "").want(200).
		has(`"dpop_signing_alg_values_supported":["EdDSA"`).has(`"tls_client_certificate_bound_access_tokens":true`)
	h.ask("/oauth2/revoke", asClient("app", secret, "token", token)).want(200)
	p.get("/v1/roles").refused(401, "invalid_token")
}

func dpopChallenge(code string) string {
	return `DPoP realm="strongroom", algs="EdDSA Ed25519 ES256 RS256 PS256", error="` + code + `"`
}

// TestAttacksOnAStolenToken tries a token that is bound to a key, and what was
// heard of the proofs that it was sent with. Each attempt is refused with the
// code of the standard, and audited with its reason.
func TestAttacksOnAStolenToken(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	secret := h.enter("app", "auditor")
	p, second := h.holder(), h.holder()
	p.signIn(asClient("app", secret))
	second.signIn(asClient("app", secret))
	const path = "/v1/roles"
	used := p.sign(p.claims("GET", path))
	p.send("GET", path, used).want(200)
	good := func() members { return p.claims("GET", path) }
	private, err := (&jose.JSONWebKey{Key: p.key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ proof, code, reason string }{
		"twice":                  {used, "invalid_dpop_proof", "used before"},
		"by the Host header":     {p.sign(good().with(members{"htu": "https://evil.example" + path})), "invalid_dpop_proof", "another URI"},
		"for another method":     {p.sign(good().with(members{"htm": "POST"})), "invalid_dpop_proof", "another method"},
		"for another path":       {p.sign(p.claims("GET", "/v1/clients")), "invalid_dpop_proof", "another URI"},
		"old":                    {p.sign(good().with(members{"iat": time.Now().Add(-time.Hour).Unix()})), "invalid_dpop_proof", "too old"},
		"of the future":          {p.sign(good().with(members{"iat": time.Now().Add(time.Hour).Unix()})), "invalid_dpop_proof", "of the future"},
		"without a nonce":        {p.sign(good().with(members{"nonce": ""})), "use_dpop_nonce", "no nonce that counts"},
		"with a nonce of before": {p.sign(good().with(members{"nonce": rand.Text()})), "use_dpop_nonce", "no nonce that counts"},
		"of another token":       {p.sign(second.claims("GET", path)), "invalid_dpop_proof", "another access token"},
		"of no token":            {p.sign(good().with(members{"ath": ""})), "invalid_dpop_proof", "another access token"},
		"by another key":         {second.sign(good()), "invalid_token", "by another key"},
		"with its private key":   {unsigned(members{"typ": "dpop+jwt", "alg": "ES256", "jwk": json.RawMessage(private)}, good()) + "AAAA", "invalid_dpop_proof", "not well-formed"},
		"by alg none":            {unsigned(members{"typ": "dpop+jwt", "alg": "none"}, good()), "invalid_dpop_proof", "not well-formed"},
		"by a symmetric alg":     {unsigned(members{"typ": "dpop+jwt", "alg": "HS256"}, good()) + "AAAA", "invalid_dpop_proof", "not well-formed"},
		"an access token":        {p.token, "invalid_dpop_proof", "not a proof"},
		"huge":                   {strings.Repeat("x", 8000), "invalid_dpop_proof", "too long"},
		"none":                   {"", "invalid_dpop_proof", "no proof"},
	} {
		before := len(h.audited())
		a := h.as("").do("GET", path, "", "Authorization", "DPoP "+p.token, "DPoP", c.proof, "Host", "evil.example")
		if a.refused(401, c.code); c.code == "invalid_dpop_proof" {
			a.has(c.reason) // an honest client must find out what it does wrong
		}
		if a.Header.Get("WWW-Authenticate") != dpopChallenge(c.code) || a.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: the challenge is %q", name, a.Header.Get("WWW-Authenticate"))
		}
		if line := h.last(); len(h.audited()) != before+1 || !strings.Contains(line, c.reason) || !strings.Contains(line, `"client":"app"`) {
			t.Errorf("%s: audited as %s", name, line)
		}
	}
	h.as(p.token).do("GET", path, "").refused(401, "invalid_token")
	if line := h.last(); !strings.Contains(line, "came without a proof") {
		t.Errorf("a bound token under Bearer is audited as %s", line)
	}
	h.as(p.token).do("GET", path, "", "DPoP", p.sign(good())).refused(401, "invalid_token")
	p.get(path).want(200) // none of it has hurt the one whose it is
	if log := h.log.text(); strings.Contains(log, p.token) || strings.Contains(log, used) {
		t.Error("a token or a proof is in the log")
	}
}

// unsigned is a proof up to its signature.
func unsigned(header, claims members) string {
	head, _ := json.Marshal(header)
	body, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
}

// twice sends every proof in two header fields.
type twice struct{ next http.RoundTripper }

func (w *twice) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header["Dpop"] = append(r.Header["Dpop"], r.Header["Dpop"]...)
	return w.next.RoundTrip(r)
}

// keyClaims are what a client with a key says to this server.
func keyClaims(h *house, jti string) jwt.Claims {
	return jwt.Claims{Audience: jwt.Audience{h.web.URL}, ID: jti, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}
}

func TestTwoProofsAtOnce(t *testing.T) {
	h := newIssuingHouse(t)
	secret := h.enter("app", "auditor")
	p := h.holder()
	p.signIn(asClient("app", secret))
	h.client.Transport.(*recorder).next = &twice{h.client.Transport.(*recorder).next}
	p.get("/v1/roles").refused(401, "invalid_dpop_proof")
	p.ask(asClient("app", secret)).want(400).has("invalid_dpop_proof")
}

func TestAnUnboundTokenUnderDPoP(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	p := h.holder()
	p.nonce, p.token = h.server.Tokens.Nonce(), h.root.token
	p.get("/v1/roles").refused(401, "invalid_token")
	if line := h.last(); !strings.Contains(line, "not bound to a key") {
		t.Errorf("audited as %s", line)
	}
	h.as(h.root.token).do("GET", "/v1/roles", "", "DPoP", "x").want(200) // nobody asked for it
}

// TestStoryOfAMarkedClient: once a client is marked, what it had is worth
// nothing, and nothing unbound is given to it.
func TestStoryOfAMarkedClient(t *testing.T) {
	h := newIssuingHouse(t)
	secret := h.enter("app", "auditor")
	unbound := h.signIn("app", secret)
	p := h.holder()
	p.signIn(asClient("app", secret))
	h.root.do("PUT", "/v1/clients/app", `{"roles":["auditor"],"dpop_bound_access_tokens":true}`).want(200).has(`"dpop_bound_access_tokens":true`)
	h.as(unbound).do("GET", "/v1/roles", "").refused(401, "invalid_token")
	h.ask("/oauth2/introspect", asClient("app", secret, "token", unbound)).want(200).has(`{"active":false}`)
	p.get("/v1/roles").want(200)
	h.ask("/oauth2/token", asClient("app", secret)).want(400).has("invalid_request").has("must be bound")
	if line := h.last(); !strings.Contains(line, "must be bound") || !strings.Contains(line, `"client":"app"`) {
		t.Errorf("audited as %s", line)
	}
	h.root.do("PUT", "/v1/clients/app", `{"roles":["auditor"],"tls_client_certificate_bound_access_tokens":true}`).want(200)
	p.get("/v1/roles").refused(401, "invalid_token")
	p.ask(asClient("app", secret)).want(400).has("must be bound") // a proof is not what it is marked for
	h.root.do("PUT", "/v1/clients/app", `{"roles":["auditor"]}`).want(200)
	h.as(unbound).do("GET", "/v1/roles", "").want(200)
}

func TestAProofAtTheTokenEndpointCountsOnce(t *testing.T) {
	h := newIssuingHouse(t)
	secret := h.enter("app", "auditor")
	sign := h.keyed("signer")
	p := h.holder()
	p.nonce = h.server.Tokens.Nonce()
	proof := p.sign(p.claims("POST", "/oauth2/token"))
	h.ask("/oauth2/token", asClient("app", "wrong"), "DPoP", proof).want(401)
	h.ask("/oauth2/token", asClient("app", secret), "DPoP", proof).want(200) // nobody but its client uses it up
	h.ask("/oauth2/token", asClient("app", secret), "DPoP", proof).want(400).has("invalid_dpop_proof")
	if line := h.last(); !strings.Contains(line, "used before") || !strings.Contains(line, `"client":"app"`) {
		t.Errorf("audited as %s", line)
	}
	p.nonce = ""
	form := sign(keyClaims(h, "one"))
	p.ask(form).want(400).has("use_dpop_nonce")
	p.ask(form).want(200) // the assertion was not spent on the request that lacked the nonce
}

// TestStoryOfATokenBoundToACertificate: a token that was stolen from a client
// with a certificate is refused on every connection that does not show it.
func TestStoryOfATokenBoundToACertificate(t *testing.T) {
	h := newIssuingHouse(t)
	cert, set := selfSigned(t)
	stranger, _ := selfSigned(t)
	h.root.do("PUT", "/v1/clients/machine", `{"roles":["auditor"],"token_endpoint_auth_method":"self_signed_tls_client_auth",
		"tls_client_certificate_bound_access_tokens":true,"jwks":`+string(set)+`}`).want(201)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}}
	mine := h.showing(&cert)
	token := mine.ask("/oauth2/token", form).want(200).has(`"token_type":"Bearer"`).text("access_token")
	mine.as(token).do("GET", "/v1/roles", "").want(200)
	fingerprint := sha256.Sum256(cert.Certificate[0])
	for name, thief := range map[string]*house{"another certificate": h.showing(&stranger), "no certificate": h.showing(nil)} {
		before := len(h.audited())
		thief.as(token).do("GET", "/v1/roles", "").refused(401, "invalid_token").header("WWW-Authenticate", `Bearer realm="strongroom", error="invalid_token"`)
		if line := h.last(); len(h.audited()) != before+1 || !strings.Contains(line, "does not show the certificate") ||
			!strings.Contains(line, `"binding":"mtls","thumbprint":"`+base64.RawURLEncoding.EncodeToString(fingerprint[:])+`"`) {
			t.Errorf("%s is audited as %s", name, line)
		}
	}
	mine.ask("/oauth2/introspect", url.Values{"client_id": {"machine"}, "token": {token}}).want(200).
		has(`"token_type":"Bearer"`).has(`"cnf":{"x5t#S256":"` + base64.RawURLEncoding.EncodeToString(fingerprint[:]) + `"}`)
}

// TestEitherBindingSuffices: a client that is marked twice binds as it can; a
// token that is bound in both ways needs both.
func TestEitherBindingSuffices(t *testing.T) {
	h := newIssuingHouse(t)
	cert, _ := selfSigned(t)
	secret := h.enter("app", "auditor")
	h.root.do("PUT", "/v1/clients/app", `{"roles":["auditor"],"tls_client_certificate_bound_access_tokens":true,"dpop_bound_access_tokens":true}`).want(200)
	h.ask("/oauth2/token", asClient("app", secret)).want(400).has("must be bound")
	mine := h.showing(&cert)
	token := mine.ask("/oauth2/token", asClient("app", secret)).want(200).text("access_token")
	mine.as(token).do("GET", "/v1/roles", "").want(200)
	h.as(token).do("GET", "/v1/roles", "").refused(401, "invalid_token")
	p := h.holder()
	p.signIn(asClient("app", secret))
	p.get("/v1/roles").want(200)
	both := mine.holder()
	both.signIn(asClient("app", secret))
	both.get("/v1/roles").want(200)
	both.h = h // the key was stolen too, and the certificate's was not
	both.get("/v1/roles").refused(401, "invalid_token")
}

// TestANonceIsNoFailure: the first request of every client that sends proofs is
// refused for its nonce. That must not block the address that they share; proofs
// that do not count must.
func TestANonceIsNoFailure(t *testing.T) {
	h := newIssuingHouse(t)
	secret := h.enter("app", "auditor")
	p := h.holder()
	p.signIn(asClient("app", secret))
	var clock atomic.Int64 // token requests are limited by the second
	clock.Store(time.Now().UnixNano())
	gate := limits.NewGate(func() time.Time { return time.Unix(0, clock.Load()) }, nil)
	h.server.Gate = gate
	token := h.holder()
	for range 450 { // of other failures 400 block an address
		clock.Add(int64(40 * time.Millisecond))
		h.ask("/oauth2/token", asClient("app", secret), "DPoP", token.sign(token.claims("POST", "/oauth2/token"))).want(400).has("use_dpop_nonce")
		p.send("GET", "/v1/roles", p.sign(p.claims("GET", "/v1/roles").with(members{"nonce": ""}))).refused(401, "use_dpop_nonce")
	}
	if wait := gate.Guard.Blocked(loopback(t, h)); wait > 0 {
		t.Errorf("450 new clients block their address for %s", wait)
	}
	for i := 0; gate.Guard.Blocked(loopback(t, h)) == 0; i++ {
		if i > 1000 {
			t.Fatal("a thousand stolen tokens without their key block nobody")
		}
		p.send("GET", "/v1/roles", "").refused(401, "invalid_dpop_proof")
	}
	p.get("/v1/roles").want(200) // the one whose token it is gets in all the same
}
