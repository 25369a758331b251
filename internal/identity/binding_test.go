package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/jwks"
	"strongroom/store"
)

// proof signs a proof for a request to a server of the realm's name.
func (r *realm) proof(key pair, token string, claims claimSet) string {
	r.t.Helper()
	all := claimSet{"jti": rand.Text(), "htm": "GET", "htu": realmIssuer + "/v1/roles", "iat": r.now.Unix(), "nonce": r.Nonce()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		all["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	for name, value := range claims {
		all[name] = value
	}
	return signProof(r.t, key, all)
}

func signProof(t testing.TB, key pair, claims claimSet) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.alg, Key: key.secret},
		&jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asking is a token request of a client with a secret.
func (r *realm) asking(client, secret string) Request {
	return Request{Path: "/oauth2/token", Form: url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}}}
}

func (r *realm) secretOf(client string, auth store.ClientAuth) string {
	r.t.Helper()
	r.put(client, auth)
	made, err := r.store.CreateSecret(context.Background(), r.store.Root(), client, time.Hour, store.WriteOptions{})
	r.must(err)
	return made.Secret.Reveal()
}

// boundTo gets a token that is bound to a key.
func (r *realm) boundTo(key pair, q Request) string {
	r.t.Helper()
	q.Proofs = []string{r.proof(key, "", claimSet{"htm": "POST", "htu": realmIssuer + "/oauth2/token"})}
	token, err := r.Exchange(context.Background(), q)
	r.must(err)
	if token.Type != "DPoP" {
		r.t.Fatalf("the token is of type %s", token.Type)
	}
	return token.Value.Reveal()
}

// sent is a request with a proof of its own.
func (r *realm) sent(key pair, token string, claims claimSet) *Presented {
	return &Presented{Token: token, DPoP: true, Method: "GET", Path: "/v1/roles", Proofs: []string{r.proof(key, token, claims)}}
}

func TestABoundTokenKeepsItsBinding(t *testing.T) {
	r := newRealm(t, nil)
	key, other := newPair(t, "", jose.ES256), newPair(t, "", jose.ES256)
	token := r.boundTo(key, r.asking("app", r.secretOf("app", store.ClientAuth{})))
	public, err := jwks.Public(key.public())
	r.must(err)
	for range 3 { // the first verifies the token, the others find it
		p, err := r.Authenticate(t.Context(), r.sent(key, token, nil))
		r.must(err)
		if p.Binding != store.BoundByDPoP || p.Thumbprint != public.ID {
			t.Fatalf("the principal is bound by %q to %q", p.Binding, p.Thumbprint)
		}
		if _, err := r.Authenticate(t.Context(), r.sent(other, token, nil)); !errors.Is(err, ErrToken) {
			t.Fatalf("by another key: %v", err)
		}
		if _, err := r.Authenticate(t.Context(), bearer(token)); !errors.Is(err, ErrToken) {
			t.Fatalf("without a proof: %v", err)
		}
	}
	r.restart(nil)
	if _, err := r.Authenticate(t.Context(), r.sent(key, token, nil)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestANonceOfLongAgo: a proof that was made with a nonce of the past is refused
// however fresh the rest of it is, and with it one that was made in advance.
func TestANonceOfLongAgo(t *testing.T) {
	r := newRealm(t, nil)
	key := newPair(t, "", jose.EdDSA)
	token := r.boundTo(key, r.asking("app", r.secretOf("app", store.ClientAuth{})))
	old := r.Nonce()
	r.now = r.now.Add(5 * time.Minute)
	if _, err := r.Authenticate(t.Context(), r.sent(key, token, claimSet{"nonce": old})); !errors.Is(err, ErrNonce) {
		t.Errorf("got %v", err)
	}
	if log := r.audit(); !strings.Contains(log, "access token: the proof has no nonce that counts now") {
		t.Errorf("audited as %s", log)
	}
	if _, err := r.Authenticate(t.Context(), r.sent(key, token, nil)); err != nil {
		t.Errorf("with the nonce of now: %v", err)
	}
}

// TestWhatWasUsedBeforeARestart: the process that forgot a proof does not know
// its nonce either.
func TestWhatWasUsedBeforeARestart(t *testing.T) {
	r := newRealm(t, nil)
	key := newPair(t, "", jose.ES256)
	token := r.boundTo(key, r.asking("app", r.secretOf("app", store.ClientAuth{})))
	q := r.sent(key, token, nil)
	_, err := r.Authenticate(t.Context(), q)
	r.must(err)
	if _, err := r.Authenticate(t.Context(), q); !errors.Is(err, ErrProof) {
		t.Errorf("twice: %v", err)
	}
	r.restart(nil)
	if _, err := r.Authenticate(t.Context(), q); !errors.Is(err, ErrNonce) {
		t.Errorf("after a restart: %v", err)
	}
}

func TestAVouchedTokenIsBoundToo(t *testing.T) {
	r, p := newFederation(t)
	r.trust(p, nil)
	r.put("invoicing", store.ClientAuth{DPoPBound: true})
	_, err := r.vouchedBy(p.key.sign(t, p.token(r)))
	refusedAs(t, err, "invalid_request")
	key := newPair(t, "", jose.ES256)
	token := r.boundTo(key, Request{Path: "/oauth2/token", Form: url.Values{"grant_type": {grantJWT}, "assertion": {p.key.sign(t, p.token(r))}}})
	if who, err := r.Authenticate(t.Context(), r.sent(key, token, nil)); err != nil || who.Client != "invoicing" {
		t.Errorf("got %v", err)
	}
}

func TestAnotherNameOfTheServer(t *testing.T) {
	r := newRealm(t, nil)
	a, err := New(Config{Directory: r.store.Store, Issuer: realmIssuer, Origins: []string{"https://inside.example:8443"}, Now: func() time.Time { return r.now }})
	r.must(err)
	r.Authority = a
	key := newPair(t, "", jose.ES256)
	token := r.boundTo(key, r.asking("app", r.secretOf("app", store.ClientAuth{})))
	if _, err := r.Authenticate(t.Context(), r.sent(key, token, claimSet{"htu": "https://inside.example:8443/v1/roles"})); err != nil {
		t.Error(err)
	}
	if _, err := r.Authenticate(t.Context(), r.sent(key, token, claimSet{"htu": "https://inside.example/v1/roles"})); !errors.Is(err, ErrProof) {
		t.Errorf("a name that was not given: %v", err)
	}
}

// onConnection is a bearer request over a connection that shows a certificate.
func onConnection(token string, cert *x509.Certificate) *Presented {
	q := bearer(token)
	if cert != nil {
		q.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	}
	return q
}

func TestACertificateBoundHitAllocatesNoMore(t *testing.T) {
	r := newRealm(t, nil)
	cert, other := r.certificate(nil).cert, r.certificate(nil).cert
	q := r.asking("app", r.secretOf("app", store.ClientAuth{TLSBound: true}))
	_, err := r.Exchange(t.Context(), q)
	refusedAs(t, err, "invalid_request")
	q.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	made, err := r.Exchange(t.Context(), q)
	r.must(err)
	token := made.Value.Reveal()
	mine, thief, none := onConnection(token, cert), onConnection(token, other), onConnection(token, nil)
	n := testing.AllocsPerRun(100, func() {
		if p, err := r.Authenticate(t.Context(), mine); err != nil || p.Binding != store.BoundByTLS {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations a hit", n)
	}
	for _, q := range []*Presented{thief, none} {
		if _, err := r.Authenticate(t.Context(), q); !errors.Is(err, ErrToken) {
			t.Errorf("on another connection: %v", err)
		}
	}
}

func BenchmarkAuthenticateCertificate(b *testing.B) {
	r := newRealm(b, nil)
	cert := r.certificate(nil).cert
	q := r.asking("app", r.secretOf("app", store.ClientAuth{TLSBound: true}))
	q.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	made, err := r.Exchange(b.Context(), q)
	r.must(err)
	mine := onConnection(made.Value.Reveal(), cert)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Authenticate(b.Context(), mine); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthenticateBound is what a request costs whose token is bound to a
// key: the proof's signature, mostly.
func BenchmarkAuthenticateBound(b *testing.B) {
	r := newRealm(b, nil)
	secret := r.secretOf("app", store.ClientAuth{})
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA} {
		key := newPair(b, "", alg)
		token := r.boundTo(key, r.asking("app", secret))
		b.Run(string(alg), func(b *testing.B) {
			requests := make([]*Presented, 1000)
			for i := range requests {
				requests[i] = r.sent(key, token, nil)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(requests) == 0 {
					b.StopTimer()
					for n := range requests {
						requests[n] = r.sent(key, token, nil)
					}
					b.StartTimer()
				}
				if _, err := r.Authenticate(b.Context(), requests[i%len(requests)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
