package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const origin = "https://strongroom.example:8443"

// door is a verifier with a clock that a test turns, and a client of it.
type door struct {
	*Verifier
	now time.Time
	key crypto.Signer
}

func newDoor(t testing.TB, c Config) *door {
	t.Helper()
	d := &door{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.Origins, c.Now = []string{"https://Other.example:443/", origin}, func() time.Time { return d.now }
	d.Verifier = New(c)
	var err error
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return d
}

var tokenHash = sha256.Sum256([]byte("token"))

// request is one that d.claims() are made for.
func request(proofs ...string) Request {
	return Request{Proofs: proofs, Method: "GET", Path: "/v1/roles", Token: &tokenHash}
}

type set map[string]any

// with returns the members with some changed; nil takes one away.
func (s set) with(pairs ...any) set {
	out := maps.Clone(s)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		} else {
			out[pairs[i].(string)] = pairs[i+1]
		}
	}
	return out
}

func (d *door) claims() set {
	return set{"jti": rand.Text(), "htm": "GET", "htu": origin + "/v1/roles", "iat": d.now.Unix(), "nonce": d.Nonce(), "ath": b64(tokenHash[:])}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func public(t testing.TB, key any) json.RawMessage {
	t.Helper()
	raw, err := (&jose.JSONWebKey{Key: key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (d *door) header(t testing.TB) set {
	return set{"typ": "dpop+jwt", "alg": "ES256", "jwk": public(t, d.key.Public())}
}

// proof signs by the key of the door's client, whatever the header says.
func (d *door) proof(t testing.TB, header, claims any) string {
	t.Helper()
	return sign(t, d.key, header, claims)
}

func text(t testing.TB, v any) []byte {
	t.Helper()
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sign is a signature by hand, which lets a header lie.
func sign(t testing.TB, key crypto.Signer, header, claims any) string {
	t.Helper()
	head := b64(text(t, header)) + "." + b64(text(t, claims))
	sum := sha256.Sum256([]byte(head))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, key, sum[:])
		sig, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), e
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(head))
	case *rsa.PrivateKey:
		if h, ok := header.(set); ok && h["alg"] == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return head + "." + b64(sig)
}

// use verifies and spends a proof, as a request does.
func (d *door) use(q Request) (Proof, error) {
	p, err := d.Verify(q)
	if err == nil {
		err = d.Spend(p)
	}
	return p, err
}

func refused(t testing.TB, err error, nonce bool) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) || r.Nonce != nonce {
		t.Errorf("got %v, want a refusal (for want of a nonce: %v)", err, nonce)
	}
}

func TestEveryAlgorithm(t *testing.T) {
	d := newDoor(t, Config{})
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[string]crypto.Signer{"ES256": d.key, "EdDSA": ed, "Ed25519": ed, "RS256": rs, "PS256": rs} {
		jwk := public(t, key.Public())
		p, err := d.use(request(sign(t, key, set{"typ": "dpop+jwt", "alg": alg, "jwk": jwk}, d.claims())))
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(jwk); err != nil {
			t.Fatal(err)
		}
		thumb, _ := k.Thumbprint(crypto.SHA256)
		if err != nil || p.Thumbprint != b64(thumb) {
			t.Errorf("%s: %v, of %q", alg, err, p.Thumbprint)
		}
	}
}

// TestAttacks tries what a thief of a proof, or of the token that it goes with,
// could try.
func TestAttacks(t *testing.T) {
	d := newDoor(t, Config{})
	head, claims := d.header(t), d.claims
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	good := d.proof(t, head, claims())
	if _, err := d.Verify(request(good)); err != nil {
		t.Fatalf("the proof that the others are changed from: %v", err)
	}
	private, _ := (&jose.JSONWebKey{Key: d.key}).MarshalJSON()
	for name, proofs := range map[string][]string{
		"no proof":                  {},
		"two proofs":                {good, d.proof(t, head, claims())},
		"the same twice":            {good, good},
		"two in one field":          {good + ", " + good},
		"empty":                     {""},
		"not a token":               {"a.b.c"},
		"a private key":             {d.proof(t, head.with("jwk", json.RawMessage(private)), claims())},
		"no key":                    {d.proof(t, head.with("jwk", nil), claims())},
		"a key by name alone":       {d.proof(t, head.with("jwk", nil, "kid", "k1"), claims())},
		"a symmetric key":           {d.proof(t, head.with("alg", "HS256", "jwk", json.RawMessage(`{"kty":"oct","k":"c2VjcmV0"}`)), claims())},
		"alg none":                  {d.proof(t, head.with("alg", "none"), claims())},
		"alg none, no signature":    {b64(text(t, head.with("alg", "none"))) + "." + b64(text(t, claims())) + "."},
		"HS256 by the public key":   {d.proof(t, head.with("alg", "HS256"), claims())},
		"another algorithm's name":  {d.proof(t, head.with("alg", "RS256"), claims())},
		"ES384":                     {sign(t, d.key, head.with("alg", "ES384", "jwk", public(t, p384.Public())), claims())},
		"a weak key":                {sign(t, weak, set{"typ": "dpop+jwt", "alg": "RS256", "jwk": public(t, weak.Public())}, claims())},
		"a key for encryption":      {d.proof(t, head.with("jwk", json.RawMessage(`{"use":"enc",`+string(public(t, d.key.Public()))[1:])), claims())},
		"another key's signature":   {sign(t, other, head, claims())},
		"an access token":           {d.proof(t, head.with("typ", "at+jwt"), claims())},
		"no type":                   {d.proof(t, head.with("typ", nil), claims())},
		"a header that is critical": {d.proof(t, head.with("crit", []string{"x"}, "x", 1), claims())},
		"a huge key":                {d.proof(t, head.with("kid", string(make([]byte, 64<<10))), claims())},
		"another method":            {d.proof(t, head, claims().with("htm", "POST"))},
		"the method in small":       {d.proof(t, head, claims().with("htm", "get"))},
		"no method":                 {d.proof(t, head, claims().with("htm", nil))},
		"another path":              {d.proof(t, head, claims().with("htu", origin+"/v1/clients"))},
		"another host":              {d.proof(t, head, claims().with("htu", "https://evil.example/v1/roles"))},
		"another port":              {d.proof(t, head, claims().with("htu", "https://strongroom.example/v1/roles"))},
		"our host as the user":      {d.proof(t, head, claims().with("htu", "https://strongroom.example:8443@evil.example/v1/roles"))},
		"our host, then more":       {d.proof(t, head, claims().with("htu", origin+".evil.example/v1/roles"))},
		"without TLS":               {d.proof(t, head, claims().with("htu", "http://strongroom.example:8443/v1/roles"))},
		"no URI":                    {d.proof(t, head, claims().with("htu", nil))},
		"a path alone":              {d.proof(t, head, claims().with("htu", "/v1/roles"))},
		"old":                       {d.proof(t, head, claims().with("iat", d.now.Add(-maxAge-time.Second).Unix()))},
		"of the future":             {d.proof(t, head, claims().with("iat", d.now.Add(maxAhead+time.Second).Unix()))},
		"of the end of time":        {d.proof(t, head, claims().with("iat", 1e300))},
		"no iat":                    {d.proof(t, head, claims().with("iat", nil))},
		"iat as a text":             {d.proof(t, head, claims().with("iat", "1767323045"))},
		"no jti":                    {d.proof(t, head, claims().with("jti", nil))},
		"a long jti":                {d.proof(t, head, claims().with("jti", string(text(t, make([]byte, maxJTI)))))},
		"another token":             {d.proof(t, head, claims().with("ath", b64(make([]byte, 32))))},
		"no token":                  {d.proof(t, head, claims().with("ath", nil))},
		"a member twice":            {d.proof(t, head, `{"htm":"GET",`+string(text(t, claims()))[1:])},
		"claims that are a list":    {d.proof(t, head, `[]`)},
	} {
		_, err := d.Verify(request(proofs...))
		var r *Refused
		if !errors.As(err, &r) || r.Nonce {
			t.Errorf("%s: got %v, want it to be refused", name, err)
		}
	}
}

func TestAProofCountsOnce(t *testing.T) {
	d := newDoor(t, Config{})
	claims := d.claims()
	proof := d.proof(t, d.header(t), claims)
	if _, err := d.use(request(proof)); err != nil {
		t.Fatal(err)
	}
	_, err := d.use(request(proof))
	refused(t, err, false)
	_, err = d.use(request(d.proof(t, d.header(t), claims.with("iat", d.now.Unix()-1))))
	refused(t, err, false) // the same jti, signed again
	other := newDoor(t, Config{})
	other.Verifier = d.Verifier
	if _, err := d.use(request(other.proof(t, other.header(t), claims))); err != nil {
		t.Errorf("another client may not choose the same jti: %v", err)
	}
}

// TestNoMomentForgets holds a proof against every later moment: used once, it
// is never accepted again, neither by time nor after a restart.
func TestNoMomentForgets(t *testing.T) {
	d := newDoor(t, Config{NonceLife: time.Minute})
	d.Nonce()
	d.now = d.now.Add(59 * time.Second)
	proof := d.proof(t, d.header(t), d.claims())
	if _, err := d.use(request(proof)); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		d.now = d.now.Add(time.Second)
		if _, err := d.use(request(proof)); err == nil {
			t.Fatalf("accepted twice, at %s", d.now)
		}
	}
	restarted := newDoor(t, Config{})
	restarted.key = d.key
	_, err := restarted.use(request(proof))
	refused(t, err, true)
}

func TestNoncesFollowOneAnother(t *testing.T) {
	d := newDoor(t, Config{NonceLife: time.Minute})
	first := d.Nonce()
	with := func(nonce any) error {
		_, err := d.use(request(d.proof(t, d.header(t), d.claims().with("nonce", nonce))))
		return err
	}
	for _, bad := range []any{nil, "", "guess", first + "x"} {
		_, err := d.Verify(request(d.proof(t, d.header(t), d.claims().with("nonce", bad)))) // before it is used up
		refused(t, err, true)
		refused(t, with(bad), true)
	}
	d.now = d.now.Add(61 * time.Second)
	second := d.Nonce()
	if second == first {
		t.Error("a nonce outlives its time")
	}
	for _, held := range []string{first, second} {
		if err := with(held); err != nil {
			t.Errorf("of the current nonce and the one before: %v", err)
		}
	}
	d.now = d.now.Add(time.Minute)
	refused(t, with(first), true)
	d.now = d.now.Add(time.Hour)
	refused(t, with(second), true)
	held := d.Nonce()
	d.now = d.now.Add(-time.Second) // the clock goes back
	refused(t, with(held), true)
	if err := with(d.Nonce()); err != nil {
		t.Errorf("after the clock went back: %v", err)
	}
}

func TestTargetsAreNormalised(t *testing.T) {
	d := newDoor(t, Config{})
	for _, c := range []struct {
		claim, path string
		want        bool
	}{
		{origin + "/v1/roles?limit=3#x", "/v1/roles", true},
		{"HTTPS://STRONGROOM.example:8443/v1/roles", "/v1/roles", true},
		{"https://other.example/v1/roles", "/v1/roles", true},
		{"https://other.example:443/v1/roles", "/v1/roles", true},
		{origin + "/v1/./x/../roles", "/v1/roles", true},
		{origin + "/v1/%72oles", "/v1/roles", true},
		{origin + "/v1/r%c3%a9", "/v1/r%C3%A9", true},
		{origin + "/v1/a%2fb", "/v1/a%2Fb", true},
		{origin, "/", true},
		{"https://somebody@strongroom.example:8443/v1/roles", "/v1/roles", false},
		{origin + "/v1/a%2fb", "/v1/a/b", false},
		{origin + "/v1/Roles", "/v1/roles", false},
		{origin + "/v1/roles/", "/v1/roles", false},
		{origin + "/v1//roles", "/v1/roles", false},
		{"https://other.example:8443/v1/roles", "/v1/roles", false},
		{"https:" + origin[6:] + "\x00/v1/roles", "/v1/roles", false},
	} {
		if got := d.isTarget(c.claim, c.path); got != c.want {
			t.Errorf("%q for %q: %v", c.claim, c.path, got)
		}
	}
	nobody := New(Config{Origins: []string{"", "http://x.example", "x.example", "urn:x"}})
	for _, claim := range []string{"", "/", "http://x.example/", "https://x.example/", "x.example/", "urn:x"} {
		if nobody.isTarget(claim, "/") {
			t.Errorf("%q is a URI of a server that has none", claim)
		}
	}
}

// FuzzVerify looks for a proof that is accepted though nobody signed it.
func FuzzVerify(f *testing.F) {
	d := newDoor(f, Config{})
	good := d.proof(f, d.header(f), d.claims())
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCJ9..")
	f.Fuzz(func(t *testing.T, proof string) {
		// The last character of the signature has bits that stand for nothing.
		same := len(proof) == len(good) && proof[:len(proof)-1] == good[:len(good)-1]
		if _, err := d.Verify(request(proof)); err == nil && !same {
			t.Errorf("accepted: %q", proof)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	d := newDoor(b, Config{})
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for alg, key := range map[string]crypto.Signer{"ES256": d.key, "EdDSA": ed} {
		proof := sign(b, key, set{"typ": "dpop+jwt", "alg": alg, "jwk": public(b, key.Public())}, d.claims())
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Verify(request(proof)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
