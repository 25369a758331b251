package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"strongroom/internal/access"
	"strongroom/internal/identity"
	"strongroom/internal/metrics"
	"strongroom/store/storetest"
)

// newIssuingHouse is a house whose issuer is its own URL, as in production, and
// which asks its clients for a certificate.
func newIssuingHouse(t testing.TB) *house {
	t.Helper()
	h := &house{fixture: &fixture{t: t, log: &lockedBuffer{}}, store: storetest.Open(t)}
	web := httptest.NewUnstartedServer(nil)
	web.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	tokens, err := identity.New(identity.Config{Directory: h.store.Store, Issuer: "https://" + web.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	jobs, keys, erasures := h.jobs()
	h.server, err = New(Config{Store: h.store.Store, Jobs: jobs, Keys: keys, Erasures: erasures, Tokens: tokens, Metrics: metrics.New("test", h.store.Ready),
		Logger: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler, web.EnableHTTP2 = h.server.Handler(), true
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	web.StartTLS()
	t.Cleanup(web.Close)
	h.web, h.client = web, web.Client()
	h.client.Transport = &recorder{t, h.client.Transport}
	h.enter("root", access.Builtins()...)
	return h
}

// enter makes a client by whoever holds the machine, and signs it in.
func (h *house) enter(name string, roles ...string) (secret string) {
	h.t.Helper()
	made, err := h.store.InitialClient(context.Background(), name, roles)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.root.f == nil {
		h.root = h.as(h.signIn(name, made.Secret.Reveal()))
	}
	return made.Secret.Reveal()
}

// ask posts a form to one of the OAuth endpoints.
func (h *house) ask(path string, form url.Values, headers ...string) answer {
	h.t.Helper()
	return h.as("").do("POST", path, form.Encode(), append([]string{"Content-Type", mediaForm}, headers...)...)
}

func asClient(name, secret string, pairs ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {name}, "client_secret": {secret}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func TestMetadataLeadsEverywhere(t *testing.T) {
	h := newIssuingHouse(t)
	var m map[string]any
	if err := json.Unmarshal([]byte(h.as("").do("GET", "/.well-known/oauth-authorization-server", "").want(200).body), &m); err != nil {
		t.Fatal(err)
	}
	if m["issuer"] != h.web.URL {
		t.Errorf("the issuer is %v, and the document was found at %s", m["issuer"], h.web.URL)
	}
	for name, method := range map[string]string{"jwks_uri": "GET", "token_endpoint": "POST", "introspection_endpoint": "POST", "revocation_endpoint": "POST", "service_documentation": "GET"} {
		path, ours := strings.CutPrefix(m[name].(string), h.web.URL)
		if !ours {
			t.Fatalf("%s is %v", name, m[name])
		}
		if method == "GET" {
			h.as("").do(method, path, "").want(200)
			continue
		}
		h.ask(path, url.Values{}).want(400, 401)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.as("").do("GET", "/.well-known/jwks.json", "").want(200).body), &keys); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseSigned(h.root.token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := token.Claims(keys, &claims); err != nil || claims.Issuer != h.web.URL {
		t.Errorf("a resource server cannot verify our token by our key set: %v", err)
	}
}

// TestForeignClient drives the server by an OAuth client that nobody here
// wrote.
func TestForeignClient(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	secret := h.enter("foreign", "auditor")
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, h.client)
	for name, style := range map[string]oauth2.AuthStyle{"in the header": oauth2.AuthStyleInHeader, "in the form": oauth2.AuthStyleInParams, "by trial": oauth2.AuthStyleAutoDetect} {
		config := clientcredentials.Config{ClientID: "foreign", ClientSecret: secret, TokenURL: h.web.URL + "/oauth2/token", AuthStyle: style, Scopes: []string{"auditor", "read:acme-*"}}
		token, err := config.Token(ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if token.TokenType != "Bearer" || token.Extra("scope") != "auditor read:acme-*" || time.Until(token.Expiry) < 10*time.Minute {
			t.Errorf("%s: a token of type %s until %s", name, token.TokenType, token.Expiry)
		}
		resp, err := config.Client(ctx).Get(h.web.URL + "/v1/clients")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: the list of clients answers %d", name, resp.StatusCode)
		}
	}
	wrong := clientcredentials.Config{ClientID: "foreign", ClientSecret: "wrong", TokenURL: h.web.URL + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}
	if _, err := wrong.Token(ctx); err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("a wrong secret: %v", err)
	}
}

// keyed makes a client that authenticates by a key, and returns what signs for
// it.
func (h *house) keyed(name string) func(claims jwt.Claims) url.Values {
	h.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	set, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1"}}})
	h.root.do("PUT", "/v1/clients/"+name, `{"roles":["auditor"],"token_endpoint_auth_method":"private_key_jwt","jwks":`+string(set)+`}`).
		want(201).has(`"token_endpoint_auth_method":"private_key_jwt"`).has(`"kid":"k1"`)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "k1"}}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return func(c jwt.Claims) url.Values {
		c.Issuer, c.Subject = name, name
		text, err := jwt.Signed(signer).Claims(c).Serialize()
		if err != nil {
			h.t.Fatal(err)
		}
		return url.Values{"grant_type": {"client_credentials"}, "client_assertion": {text},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	}
}

func TestStoryOfAClientWithAKey(t *testing.T) {
	h := newIssuingHouse(t)
	sign := h.keyed("signer")
	claims := func(jti string) jwt.Claims {
		return jwt.Claims{Audience: jwt.Audience{h.web.URL}, ID: jti, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}
	}
	form := sign(claims("one"))
	token := h.ask("/oauth2/token", form).want(200).text("access_token")
	h.as(token).do("GET", "/v1/roles", "").want(200)
	h.ask("/oauth2/token", form).want(401).has("invalid_client")
	h.root.do("POST", "/v1/clients/signer/secrets", `{"ttl":"1h"}`).refused(409, "conflict").has("private_key_jwt")
	h.root.do("PUT", "/v1/clients/signer", `{"roles":["auditor"]}`).want(200)
	h.as(token).do("GET", "/v1/roles", "").refused(401, "invalid_token")
	h.root.do("PUT", "/v1/clients/signer", `{"roles":[],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[],"x":null}}`).want(400)
	h.root.do("PUT", "/v1/clients/signer", `{"roles":[],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://a.example"}`).refused(422, "invalid", "/jwks_uri")
	h.root.do("PUT", "/v1/clients/signer", `{"roles":[],"ClientAuth":{}}`).want(400)
}

func TestStoryOfRevocation(t *testing.T) {
	h := newIssuingHouse(t)
	mine, others := h.enter("mine", "auditor"), h.enter("others", "operator")
	token := h.signIn("mine", mine)
	inspect := func(name, secret string) answer {
		return h.ask("/oauth2/introspect", asClient(name, secret, "token", token)).want(200)
	}
	inspect("mine", mine).has(`"active":true`).has(`"client_id":"mine"`).has(`"token_type":"Bearer"`)
	if told := inspect("others", others).body; told != `{"active":false}` {
		t.Errorf("another client is told %s", told)
	}
	h.ask("/oauth2/introspect", asClient("mine", mine, "token", marker)).want(200).has(`{"active":false}`)
	h.ask("/oauth2/introspect", asClient("mine", mine)).want(400).has("invalid_request")
	h.ask("/oauth2/introspect", asClient("mine", "wrong", "token", token)).want(401)
	h.ask("/oauth2/introspect", url.Values{"token": {token}}, "Authorization", "Bearer "+token).want(401)

	h.ask("/oauth2/revoke", asClient("others", others, "token", token)).want(400).has("unauthorized_client")
	h.as(token).do("GET", "/v1/roles", "").want(200)
	h.ask("/oauth2/revoke", asClient("mine", mine, "token", token, "token_type_hint", "refresh_token")).want(200)
	h.as(token).do("GET", "/v1/roles", "").refused(401, "invalid_token")
	if told := inspect("mine", mine).body; told != `{"active":false}` {
		t.Errorf("a revoked token is %s", told)
	}
	h.ask("/oauth2/revoke", asClient("mine", mine, "token", token)).want(200)
	h.ask("/oauth2/revoke", asClient("mine", mine, "token", marker)).want(200)
	if log := h.log.text(); strings.Contains(log, token) || strings.Contains(log, marker) {
		t.Error("a token is in the log")
	}
}

func TestStoryOfScopes(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	h.root.do("PUT", customers+"/records/r", `{"fields":{"email":"a@b.c","plan":"gold"}}`).want(201)
	h.root.do("PUT", "/v1/roles/all", `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read","list","update","delete"],"read":{"*":"clear","email":"clear"},"write":["*"]}]}`).want(201)
	secret := h.enter("worker", "all", "auditor")
	with := func(scope string) actor {
		a := h.ask("/oauth2/token", asClient("worker", secret, "scope", scope)).want(200)
		return h.as(a.text("access_token"))
	}
	one := customers + "/records/r"
	h.as(h.signIn("worker", secret)).do("GET", "/v1/roles", "").want(200)
	reader := with("read:acme-*/customers")
	reader.do("GET", one, "").want(200).has(`"email":"a@b.c"`)
	for _, refused := range []answer{
		reader.do("GET", customers+"/records", ""), reader.do("PATCH", one, `{"fields":{"plan":"x"}}`, "Content-Type", mediaMerge),
		reader.do("DELETE", one, ""), reader.do("GET", "/v1/roles", ""), with("read:globex").do("GET", one, ""), with("auditor").do("GET", one, ""),
		with("delete export").do("GET", one, ""), with("administrator").do("PUT", "/v1/clients/x", `{"roles":[]}`),
	} {
		refused.refused(403, "forbidden")
	}
	with("auditor").do("GET", "/v1/roles", "").want(200)
	with("update:acme-crm/cust*").do("PATCH", one, `{"fields":{"plan":"silver"}}`, "Content-Type", mediaMerge).want(200)
	h.ask("/oauth2/token", asClient("worker", secret, "scope", "read:"+marker+"!")).want(400).has("invalid_scope")
	scoped := h.ask("/oauth2/token", asClient("worker", secret, "scope", "update read")).want(200).text("access_token")
	h.ask("/oauth2/introspect", asClient("worker", secret, "token", scoped)).want(200).has(`"scope":"read update"`)
	h.root.do("PUT", "/v1/roles/all", `{"rules":[]}`).want(200)
	reader.do("GET", one, "").refused(403, "forbidden")
}

func TestStoryOfTwoSecrets(t *testing.T) {
	h := newIssuingHouse(t)
	h.root.do("PUT", "/v1/clients/app", `{"roles":[]}`).want(201)
	old := h.root.do("POST", "/v1/clients/app/secrets", `{"ttl":"1h"}`).want(201).has(`"last_used_at":null`)
	next := h.root.do("POST", "/v1/clients/app/secrets", "").want(201)
	h.root.do("POST", "/v1/clients/app/secrets", "").refused(409, "conflict").has("two secrets")
	for _, made := range []answer{old, next} {
		h.signIn("app", made.text("client_secret"))
	}
	list := h.root.do("GET", "/v1/clients/app/secrets", "").want(200)
	if strings.Contains(list.body, `"last_used_at":null`) {
		t.Errorf("the last use is not told: %s", list.body)
	}
	h.root.do("DELETE", "/v1/clients/app/secrets/"+old.text("secret_id"), "").want(204)
	h.root.do("POST", "/v1/clients/app/secrets", "").want(201)
}

func TestStoryOfARoleInUse(t *testing.T) {
	h := newIssuingHouse(t)
	h.root.do("PUT", "/v1/roles/held", `{"rules":[]}`).want(201)
	h.root.do("PUT", "/v1/clients/one", `{"roles":["held"]}`).want(201)
	h.root.do("DELETE", "/v1/roles/held", "").refused(409, "conflict").has("held by clients (1)")
	h.root.do("PUT", "/v1/clients/one", `{"roles":[]}`).want(200)
	h.root.do("DELETE", "/v1/roles/held", "").want(204)
}

func TestStoryOfIssuerDefinitions(t *testing.T) {
	h := newIssuingHouse(t)
	h.root.do("PUT", "/v1/clients/invoicing", `{"roles":[]}`).want(201)
	const github = `{"issuer":"https://token.actions.githubusercontent.com","audiences":["strongroom"],"rules":[{"claims":{"sub":"repo:acme/billing:*"},"client":"invoicing"}]}`
	tag := h.root.do("PUT", "/v1/issuers/github", github).want(201).has(`"client":"invoicing"`).Header.Get("ETag")
	h.root.do("GET", "/v1/issuers/github", "", "If-None-Match", tag).want(304)
	h.root.do("GET", "/v1/issuers", "").want(200).has(`"name":"github"`)
	h.root.do("PUT", "/v1/issuers/github", github, "If-None-Match", "*").refused(412, "precondition_failed")
	h.root.do("PUT", "/v1/issuers/github", strings.Replace(github, `"repo:acme/billing:*"`, `"*"`, 1)).refused(422, "invalid", "/rules/0/claims")
	h.root.do("PUT", "/v1/issuers/github", strings.Replace(github, `"sub"`, `"sub":"x","sub"`, 1)).want(400)
	h.as(h.signIn("auditor", h.enter("auditor", "auditor"))).do("PUT", "/v1/issuers/mine", github).refused(403, "forbidden")
	h.root.do("DELETE", "/v1/issuers/github", "").want(204)
	h.root.do("GET", "/v1/issuers/github", "").refused(404, "not_found")
}

// selfSigned makes a certificate that nobody vouches for.
func selfSigned(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "machine"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "c1", Certificates: []*x509.Certificate{cert}}}})
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, set
}

// showing is an actor whose connections show a certificate.
func (h *house) showing(cert *tls.Certificate) *house {
	transport := h.web.Client().Transport.(*recorder).next.(*http.Transport).Clone()
	if cert != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*cert}
	}
	f := *h.fixture
	f.client = &http.Client{Transport: &recorder{h.t, transport}}
	return &house{fixture: &f, store: h.store}
}

func TestStoryOfARegisteredCertificate(t *testing.T) {
	h := newIssuingHouse(t)
	cert, set := selfSigned(t)
	stranger, _ := selfSigned(t)
	h.root.do("PUT", "/v1/clients/machine", `{"roles":["auditor"],"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":`+string(set)+`}`).want(201)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}}
	token := h.showing(&cert).ask("/oauth2/token", form).want(200).text("access_token")
	h.as(token).do("GET", "/v1/roles", "").want(200)
	h.showing(&stranger).ask("/oauth2/token", form).want(401)
	h.showing(nil).ask("/oauth2/token", form).want(401)
	h.root.do("PUT", "/v1/clients/machine", `{"roles":["auditor"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=machine"}`).want(200)
	h.showing(&cert).ask("/oauth2/token", form).want(401) // no authority vouches for it
	h.as(token).do("GET", "/v1/roles", "").refused(401, "invalid_token")
}

func TestStoryOfAnIssuedCertificate(t *testing.T) {
	h := newIssuingHouse(t)
	cert, _ := selfSigned(t)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	h.root.do("PUT", "/v1/clients/machine", `{"roles":[],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=machine"}`).want(201)
	strict := httptest.NewUnstartedServer(h.server.Handler())
	strict.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: x509.NewCertPool()}
	strict.TLS.ClientCAs.AddCert(leaf)
	strict.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	strict.StartTLS()
	t.Cleanup(strict.Close)
	strict.Client().Transport = &recorder{t, strict.Client().Transport}
	f := *h.fixture
	f.web, f.client = strict, strict.Client()
	there := &house{fixture: &f, store: h.store}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}}
	there.showing(&cert).ask("/oauth2/token", form).want(200)
	there.showing(nil).ask("/oauth2/token", form).want(401)
	h.root.do("PUT", "/v1/clients/machine", `{"roles":[],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=machine2"}`).want(200)
	there.showing(&cert).ask("/oauth2/token", form).want(401)
}
