package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/outbound"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/storetest"
)

// realm is an authority over a real store, with a clock that a test turns.
type realm struct {
	*Authority
	t     testing.TB
	store *storetest.Fixture
	now   time.Time
}

const realmIssuer = "https://strongroom.example"

func newRealm(t testing.TB, fetch *outbound.Guard) *realm {
	t.Helper()
	r := &realm{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	r.store = storetest.OpenWith(t, storetest.Options{Now: clock})
	r.restart(fetch)
	return r
}

// restart is a new process on the same store.
func (r *realm) restart(fetch *outbound.Guard) {
	r.t.Helper()
	if r.Authority != nil {
		r.store.Reopen()
	}
	a, err := New(Config{Directory: r.store.Store, Issuer: realmIssuer, Outbound: fetch, Now: func() time.Time { return r.now }})
	r.must(err)
	r.Authority = a
}

func (r *realm) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *realm) put(name string, auth store.ClientAuth) {
	r.t.Helper()
	_, _, err := r.store.PutClient(context.Background(), r.store.Root(), name, store.ClientSpec{ClientAuth: auth}, store.Precondition{})
	r.must(err)
}

// audit returns what the audit log holds.
func (r *realm) audit() string {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.store.AuditDir, "*"))
	r.must(err)
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		r.must(err)
		all.Write(text)
	}
	return all.String()
}

// refusedAs checks that a request was refused with a code of OAuth.
func refusedAs(t testing.TB, err error, code string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// pair is a key that a test signs with.
type pair struct {
	kid    string
	alg    jose.SignatureAlgorithm
	secret crypto.Signer
}

func newPair(t testing.TB, kid string, alg jose.SignatureAlgorithm) pair {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair{kid, alg, key}
}

func (p pair) public() jose.JSONWebKey { return jose.JSONWebKey{Key: p.secret.Public(), KeyID: p.kid} }

func setOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sign signs claims, or a text as it is.
func (p pair) sign(t testing.TB, claims any) string {
	t.Helper()
	payload, isText := claims.(string)
	if !isText {
		raw, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		payload = string(raw)
	}
	if p.alg == "Ed25519" { // which package jose does not sign by
		head := b64(`{"alg":"Ed25519","kid":"`+p.kid+`"}`) + "." + b64(payload)
		return head + "." + b64(string(ed25519.Sign(p.secret.(ed25519.PrivateKey), []byte(head))))
	}
	key := jose.SigningKey{Algorithm: p.alg, Key: jose.JSONWebKey{Key: p.secret, KeyID: p.kid}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claimSet are claims that a test changes.
type claimSet map[string]any

// with returns the claims with some changed; nil takes one away.
func (c claimSet) with(pairs ...any) claimSet {
	out := maps.Clone(c)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		} else {
			out[pairs[i].(string)] = pairs[i+1]
		}
	}
	return out
}

// assertion is what a client says to this realm, fresh each time.
func (r *realm) assertion(client string) claimSet {
	return claimSet{"iss": client, "sub": client, "aud": realmIssuer, "jti": uid.New().String(), "iat": r.now.Unix(), "exp": r.now.Add(time.Minute).Unix()}
}

func (r *realm) byJWT(assertion string) (Token, error) {
	return r.Exchange(context.Background(), Request{Form: url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}})
}

// keyServer serves a key set over TLS on the loopback address.
type keyServer struct {
	*httptest.Server
	body  atomic.Pointer[[]byte]
	asked atomic.Int64
	down  atomic.Bool
}

func newKeyServer(t testing.TB) (*keyServer, *outbound.Guard) {
	t.Helper()
	k := &keyServer{}
	k.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.asked.Add(1)
		if k.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(*k.body.Load())
	}))
	t.Cleanup(k.Close)
	return k, loopback(k.Server)
}

func (k *keyServer) serve(body []byte) { k.body.Store(&body) }

// loopback is a client that may go to the loopback address, and trusts a server.
func loopback(s *httptest.Server) *outbound.Guard {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return outbound.New(outbound.Options{RootCAs: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

// headerOf changes the header of a token and leaves its signature.
func headerOf(token, header string) string {
	parts := strings.Split(token, ".")
	return b64(header) + "." + parts[1] + "." + parts[2]
}

// bearer is a request that brings a token and nothing else.
func bearer(token string) *Presented { return &Presented{Token: token} }
