package identity

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/internal/access"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store"
)

// directory is a Directory with one client, which has a secret.
type directory struct {
	Directory // nil: nothing else is asked
	client    store.VerifiedClient
	secret    string
	keys      []store.SigningKey
	gone      atomic.Bool  // the client, or its secret, was deleted
	down      atomic.Bool  // the key service is away
	fetches   atomic.Int64 // of the signing keys
	last      store.Attempt
	policy    *access.Policy
}

func (d *directory) VerifySecret(_ context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error) {
	d.last = a
	if d.down.Load() {
		return store.VerifiedClient{}, store.ErrKeyServiceUnavailable
	}
	if a.Client != d.client.Client || value.Reveal() != d.secret || d.gone.Load() {
		return store.VerifiedClient{}, store.ErrUnauthenticated
	}
	return d.client, nil
}

func (d *directory) Principal(t *store.TokenRef) (*access.Principal, error) {
	if d.gone.Load() || t.Client != d.client.Client || t.ClientUID != d.client.ClientUID || t.SecretID != d.client.SecretID {
		return nil, store.ErrUnauthenticated
	}
	return &access.Principal{Client: t.Client, ClientUID: t.ClientUID, SecretID: t.SecretID, TokenID: t.TokenID, Policy: d.policy}, nil
}

func (d *directory) SigningKeys(context.Context) ([]store.SigningKey, error) {
	d.fetches.Add(1)
	if d.down.Load() {
		return nil, store.ErrKeyServiceUnavailable
	}
	return d.keys, nil
}

func signingKey(id string, fill byte, at time.Time) store.SigningKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = fill
	}
	return store.SigningKey{ID: id, Seed: seed, CreatedAt: at, SignsFrom: at}
}

// fixture is an authority over a directory and a clock that a test sets.
type fixture struct {
	*Authority
	dir   *directory
	clock time.Time
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.dir = &directory{
		client: store.VerifiedClient{Client: "invoicing", ClientUID: uid.New(), SecretID: "s1"},
		secret: "p:ss w+rd%", keys: []store.SigningKey{signingKey("k1", 1, f.clock)},
	}
	a, err := New(Config{Directory: f.dir, Issuer: "urn:issuer", Audience: "urn:audience", Now: func() time.Time { return f.clock }})
	if err != nil {
		t.Fatal(err)
	}
	f.Authority = a
	return f
}

func (f *fixture) token(t testing.TB) string {
	t.Helper()
	token, err := f.Exchange(t.Context(), Request{Form: f.post(), From: store.Attempt{Address: "192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return token.Value.Reveal()
}

func (f *fixture) post() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {"invoicing"}, "client_secret": {f.dir.secret}}
}

func basicHeader(name, value string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(name)+":"+url.QueryEscape(value)))
}

func TestTokenSpeaksForItsClient(t *testing.T) {
	f := newFixture(t)
	p, err := f.Authenticate(t.Context(), bearer(f.token(t)))
	if err != nil {
		t.Fatal(err)
	}
	if p.Client != "invoicing" || p.ClientUID != f.dir.client.ClientUID || p.SecretID != "s1" || len(p.TokenID) != 32 {
		t.Errorf("got %+v", p)
	}
	if f.dir.last.Client != "invoicing" || f.dir.last.Address != "192.0.2.1" {
		t.Errorf("the attempt told the directory %+v", f.dir.last)
	}
}

func TestTokenIsAsRFC9068Says(t *testing.T) {
	f := newFixture(t)
	token, err := jwt.ParseSigned(f.token(t), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := token.UnsafeClaimsWithoutVerification(&c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iss", "aud", "sub", "client_id", "iat", "exp", "jti", "client_uid", "secret_id"} {
		if c[name] == nil || c[name] == "" {
			t.Errorf("no claim %s", name)
		}
	}
	if typ := token.Headers[0].ExtraHeaders[jose.HeaderType]; typ != "at+jwt" {
		t.Errorf("typ is %v", typ)
	}
	if life := c["exp"].(float64) - c["iat"].(float64); life != 900 {
		t.Errorf("lives %v s, want 900", life)
	}
}

func TestDeletedClientCountsAtOnce(t *testing.T) {
	f := newFixture(t)
	token := f.token(t)
	if _, err := f.Authenticate(t.Context(), bearer(token)); err != nil {
		t.Fatal(err)
	}
	f.dir.gone.Store(true)
	if _, err := f.Authenticate(t.Context(), bearer(token)); !errors.Is(err, ErrToken) {
		t.Errorf("a token of a deleted client: %v", err)
	}
}

func TestTokenExpires(t *testing.T) {
	f := newFixture(t)
	token := f.token(t)
	for _, cached := range []bool{false, true} {
		f.clock = time.Date(2026, 1, 2, 3, 19, 4, 0, time.UTC)
		if cached {
			if _, err := f.Authenticate(t.Context(), bearer(token)); err != nil {
				t.Fatal(err)
			}
		}
		f.clock = f.clock.Add(time.Second)
		if _, err := f.Authenticate(t.Context(), bearer(token)); !errors.Is(err, ErrToken) {
			t.Errorf("cached=%v: 15 minutes later: %v", cached, err)
		}
	}
}

// forge signs claims under the fixture's own key, so that only what the test
// changes is wrong.
func (f *fixture) forge(t *testing.T, typ string, change func(map[string]any)) string {
	t.Helper()
	key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(f.dir.keys[0].Seed), KeyID: "k1"}}
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{
		"iss": "urn:issuer", "aud": "urn:audience", "sub": "invoicing", "client_id": "invoicing", "jti": "j",
		"client_uid": f.dir.client.ClientUID.String(), "secret_id": "s1", "iat": f.clock.Unix(), "exp": f.clock.Unix() + 60,
	}
	if change != nil {
		change(c)
	}
	text, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestForgedTokensAreRefused(t *testing.T) {
	f := newFixture(t)
	put := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	if _, err := f.Authenticate(t.Context(), bearer(f.forge(t, "at+jwt", nil))); err != nil {
		t.Fatalf("the unchanged token is refused: %v", err)
	}
	cases := map[string]string{
		"no type":              f.forge(t, "", nil),
		"other type":           f.forge(t, "JWT", nil),
		"other issuer":         f.forge(t, "at+jwt", put("iss", "urn:other")),
		"other audience":       f.forge(t, "at+jwt", put("aud", "urn:other")),
		"no audience":          f.forge(t, "at+jwt", func(c map[string]any) { delete(c, "aud") }),
		"no expiry":            f.forge(t, "at+jwt", func(c map[string]any) { delete(c, "exp") }),
		"no issuing time":      f.forge(t, "at+jwt", func(c map[string]any) { delete(c, "iat") }),
		"no id":                f.forge(t, "at+jwt", func(c map[string]any) { delete(c, "jti") }),
		"from the future":      f.forge(t, "at+jwt", put("iat", f.clock.Unix()+120)),
		"other subject":        f.forge(t, "at+jwt", put("sub", "somebody")),
		"other client":         f.forge(t, "at+jwt", func(c map[string]any) { c["sub"], c["client_id"] = "else", "else" }),
		"a scope that is none": f.forge(t, "at+jwt", put("scope", "fly")),
		"other secret":         f.forge(t, "at+jwt", put("secret_id", "s2")),
		"bad uid":              f.forge(t, "at+jwt", put("client_uid", "x")),
		"no token":             "", "noise": "a.b.c", "long": strings.Repeat("a", maxToken+1),
	}
	for name, token := range cases {
		if _, err := f.Authenticate(t.Context(), bearer(token)); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAlgorithmIsPinned(t *testing.T) {
	f := newFixture(t)
	parts := strings.Split(f.forge(t, "at+jwt", nil), ".")
	public := ed25519.NewKeyFromSeed(f.dir.keys[0].Seed).Public().(ed25519.PublicKey)
	hmacSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(public)}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	signed, err := hmacSigner.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	confused, _ := signed.CompactSerialize()
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"k1"}`)) + "." + parts[1] + "."
	for name, token := range map[string]string{"hmac under the public key": confused, "none": none} {
		if _, err := f.Authenticate(t.Context(), bearer(token)); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryByteOfATokenCounts(t *testing.T) {
	f := newFixture(t)
	token := f.token(t)
	for i := range len(token) {
		changed := []byte(token)
		if changed[i]++; changed[i] == '.' || token[i] == '.' {
			changed[i] = 'A'
		}
		if i == len(token)-1 || token[i+1] == '.' {
			continue // the last character of a part has bits that stand for nothing
		}
		if _, err := f.Authenticate(t.Context(), bearer(string(changed))); !errors.Is(err, ErrToken) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	f := newFixture(t)
	old := f.token(t)
	f.dir.keys = append(f.dir.keys, signingKey("k2", 2, f.clock.Add(keysFor+time.Minute)))
	f.clock = f.clock.Add(keysFor)
	if h, _ := jwt.ParseSigned(f.token(t), []jose.SignatureAlgorithm{jose.EdDSA}); h.Headers[0].KeyID != "k1" {
		t.Errorf("signed with %s before its time", h.Headers[0].KeyID)
	}
	set, err := f.JWKS(t.Context())
	if err != nil || len(set.Keys) != 2 || set.Keys[0].KeyID != "k2" || !set.Keys[0].IsPublic() || set.Keys[0].Use != "sig" {
		t.Errorf("the next key is not shown: %v", err)
	}
	f.clock = f.clock.Add(time.Minute)
	fresh := f.token(t)
	for name, token := range map[string]string{"old": old, "new": fresh} {
		if _, err := f.Authenticate(t.Context(), bearer(token)); err != nil {
			t.Errorf("%s key: %v", name, err)
		}
	}
	if h, _ := jwt.ParseSigned(fresh, []jose.SignatureAlgorithm{jose.EdDSA}); h.Headers[0].KeyID != "k2" {
		t.Errorf("signed with %s, want the newest key", h.Headers[0].KeyID)
	}
}

func TestUnknownKeyIDsAskNowAndThen(t *testing.T) {
	f := newFixture(t)
	f.token(t)
	before := f.dir.fetches.Load()
	other := newFixture(t)
	other.dir.keys[0].ID = "elsewhere"
	for range 20 {
		if _, err := f.Authenticate(t.Context(), bearer(other.token(t))); !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
	}
	if asked := f.dir.fetches.Load() - before; asked > 1 {
		t.Errorf("20 unknown key ids made %d look-ups", asked)
	}
}

func TestOutage(t *testing.T) {
	f := newFixture(t)
	f.dir.down.Store(true)
	if _, err := f.Exchange(t.Context(), Request{Form: f.post()}); !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("Exchange: %v", err)
	}
	if _, err := f.Authenticate(t.Context(), bearer(newFixture(t).token(t))); !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("Authenticate before any key was seen: %v", err)
	}
	f.dir.down.Store(false)
	token := f.token(t)
	f.dir.down.Store(true)
	f.clock = f.clock.Add(keysFor + time.Second)
	if _, err := f.Authenticate(t.Context(), bearer(token)); err != nil {
		t.Errorf("keys that were held do not serve on: %v", err)
	}
}
