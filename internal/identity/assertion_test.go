package identity

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/jwks"
	"strongroom/store"
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestStoryOfPrivateKeys(t *testing.T) {
	r := newRealm(t, nil)
	for _, alg := range jwks.Algorithms() {
		p := newPair(t, "k-"+string(alg), alg)
		r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, p.public())})
		token, err := r.byJWT(p.sign(t, r.assertion("signer")))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		who, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal()))
		if err != nil || who.Client != "signer" || !strings.HasPrefix(who.SecretID, "jwk:") {
			t.Errorf("%s: %+v, %v", alg, who, err)
		}
		if _, err := r.byJWT(p.sign(t, r.assertion("signer").with("aud", realmIssuer+"/oauth2/token"))); err != nil {
			t.Errorf("%s, for the token endpoint: %v", alg, err)
		}
	}
}

// attack is an assertion that must not be accepted.
type attack struct{ name, assertion string }

func (r *realm) attacks(mine, other, rsaPair pair) []attack {
	t, good := r.t, r.assertion("signer")
	fresh := func(pairs ...any) string { return mine.sign(t, r.assertion("signer").with(pairs...)) }
	valid := fresh()
	part := strings.Split(valid, ".")
	twice := strings.Replace(fmt.Sprintf(`{"iss":"signer","sub":"signer","aud":%q,"jti":"dup","exp":%d,"exp":1}`, realmIssuer, r.now.Add(time.Minute).Unix()), `"exp":1`, fmt.Sprintf(`"exp":%d`, r.now.Add(time.Hour).Unix()), 1)
	subTwice := fmt.Sprintf(`{"iss":"signer","sub":"other","sub":"signer","aud":%q,"jti":"dup2","exp":%d}`, realmIssuer, r.now.Add(time.Minute).Unix())
	return []attack{
		{"alg none", b64(`{"alg":"none"}`) + "." + part[1] + "."},
		{"alg none with the signature", headerOf(valid, `{"alg":"none","kid":"mine"}`)},
		{"unsigned", part[0] + "." + part[1] + "."},
		{"HMAC under the public RSA key", r.confused(rsaPair, good)},
		{"RSA header over an Ed25519 signature", headerOf(valid, `{"alg":"RS256","kid":"mine"}`)},
		{"the kid of another client", pair{"other", other.alg, other.secret}.sign(t, good)},
		{"another client's key under my kid", pair{"mine", other.alg, other.secret}.sign(t, good)},
		{"signed by another client for me", other.sign(t, good)},
		{"a key of its own in the header", r.embedded(other, good)},
		{"no kid among several", pair{"", mine.alg, mine.secret}.sign(t, good)},
		{"an unknown critical header", r.critical(mine, good)},
		{"wrong audience", fresh("aud", "https://other.example")},
		{"an audience that begins alike", fresh("aud", realmIssuer+".evil.example")},
		{"others in the audience", fresh("aud", []string{realmIssuer, "https://other.example"})},
		{"no audience", fresh("aud", nil)},
		{"expired", fresh("exp", r.now.Unix())},
		{"no expiry", fresh("exp", nil)},
		{"an expiry far off", fresh("exp", r.now.Add(time.Hour).Unix())},
		{"an expiry that is a text", fresh("exp", "2999-01-01")},
		{"an infinite expiry", mine.sign(t, fmt.Sprintf(`{"iss":"signer","sub":"signer","aud":%q,"jti":"x","exp":1e400}`, realmIssuer))},
		{"from the future", fresh("iat", r.now.Add(2*time.Minute).Unix())},
		{"not yet valid", fresh("nbf", r.now.Add(2*time.Minute).Unix())},
		{"no id", fresh("jti", nil)},
		{"an id that cannot be kept", fresh("jti", strings.Repeat("j", maxJTI+1))},
		{"issued by somebody else", fresh("iss", "other")},
		{"about somebody else", fresh("sub", "other")},
		{"about nobody", fresh("sub", nil)},
		{"about what is no client", fresh("sub", "nobody", "iss", "nobody")},
		{"a claim twice", mine.sign(t, twice)},
		{"a subject twice", mine.sign(t, subTwice)},
		{"a list for claims", mine.sign(t, `[1]`)},
		{"no claims", mine.sign(t, `{}`)},
		{"too long", fresh("x", strings.Repeat("x", maxAssertion))},
		{"five parts", valid + ".." + part[1]},
		{"JSON serialisation", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, part[1], part[0], part[2])},
		{"noise", "a.b.c"},
	}
}

func TestForgedAssertionsAreRefused(t *testing.T) {
	r := newRealm(t, nil)
	mine, other, rsaPair := newPair(t, "mine", jose.EdDSA), newPair(t, "other", jose.ES256), newPair(t, "rsa", jose.RS256)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, mine.public(), rsaPair.public())})
	r.put("other", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, other.public())})
	if _, err := r.byJWT(mine.sign(t, r.assertion("signer"))); err != nil {
		t.Fatalf("the unchanged assertion is refused: %v", err)
	}
	for _, a := range r.attacks(mine, other, rsaPair) {
		if _, err := r.byJWT(a.assertion); err == nil {
			t.Errorf("%s: accepted", a.name)
		} else {
			refusedAs(t, err, "invalid_client")
		}
	}
	if log := r.audit(); !strings.Contains(log, "private_key_jwt: the signature of the assertion is wrong") || strings.Contains(log, "evil.example") {
		t.Errorf("the audit log says %s", log)
	}
}

// confused signs by HMAC with the text of a public key, in each form that
// somebody may take one for a secret in.
func (r *realm) confused(p pair, claims claimSet) string {
	der, err := x509.MarshalPKIXPublicKey(p.secret.Public())
	r.must(err)
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", p.kid))
	r.must(err)
	return r.signWith(signer, p, claims)
}

// embedded signs with a key that stands in the header itself.
func (r *realm) embedded(p pair, claims claimSet) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.alg, Key: p.secret}, &jose.SignerOptions{EmbedJWK: true})
	r.must(err)
	return r.signWith(signer, p, claims)
}

func (r *realm) critical(p pair, claims claimSet) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.alg, Key: jose.JSONWebKey{Key: p.secret, KeyID: p.kid}},
		(&jose.SignerOptions{}).WithHeader("crit", []string{"unheard-of"}).WithHeader("unheard-of", true))
	r.must(err)
	return r.signWith(signer, p, claims)
}

func (r *realm) signWith(signer jose.Signer, p pair, claims claimSet) string {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(p.sign(r.t, claims), ".")[1])
	signed, err := signer.Sign(payload)
	r.must(err)
	text, err := signed.CompactSerialize()
	r.must(err)
	return text
}

func TestAssertionsCountOnce(t *testing.T) {
	r := newRealm(t, nil)
	p := newPair(t, "k", jose.ES256)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, p.public())})
	once := p.sign(t, r.assertion("signer"))
	_, err := r.byJWT(once)
	r.must(err)
	_, err = r.byJWT(once)
	refusedAs(t, err, "invalid_client")
	claims := r.assertion("signer")
	_, err = r.byJWT(p.sign(t, claims))
	r.must(err)
	_, err = r.byJWT(p.sign(t, claims)) // another signature of the same id
	refusedAs(t, err, "invalid_client")
	r.restart(nil)
	_, err = r.byJWT(once)
	refusedAs(t, err, "invalid_client")
	if !strings.Contains(r.audit(), "the token was used before") {
		t.Error("the replay is not audited as one")
	}
}

// A secret's client does not get in by a key, nor the other way around.
func TestTheRegisteredMethodAloneCounts(t *testing.T) {
	r := newRealm(t, nil)
	p := newPair(t, "k", jose.EdDSA)
	r.put("by-secret", store.ClientAuth{})
	_, err := r.byJWT(p.sign(t, r.assertion("by-secret")))
	refusedAs(t, err, "invalid_client")
	r.put("by-tls", store.ClientAuth{Method: store.AuthTLS, TLSSanDNS: "a.example"})
	_, err = r.byJWT(p.sign(t, r.assertion("by-tls")))
	refusedAs(t, err, "invalid_client")
}

func TestAKeyThatIsTakenAwayEndsItsTokens(t *testing.T) {
	r := newRealm(t, nil)
	old, next := newPair(t, "old", jose.EdDSA), newPair(t, "next", jose.EdDSA)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, old.public())})
	token, err := r.byJWT(old.sign(t, r.assertion("signer")))
	r.must(err)
	alive := func() bool { _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); return err == nil }
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, old.public(), next.public())})
	if !alive() {
		t.Error("a second key ends the first one's tokens")
	}
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, next.public())})
	if alive() {
		t.Error("the token of a key that was taken away lives on")
	}
}

func TestKeysElsewhere(t *testing.T) {
	web, fetch := newKeyServer(t)
	r := newRealm(t, fetch)
	old, next := newPair(t, "old", jose.EdDSA), newPair(t, "next", jose.EdDSA)
	web.serve(setOf(t, old.public()))
	r.put("remote", store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: web.URL + "/jwks"})
	token, err := r.byJWT(old.sign(t, r.assertion("remote")))
	r.must(err)
	web.serve(setOf(t, next.public()))
	_, err = r.byJWT(next.sign(t, r.assertion("remote")))
	refusedAs(t, err, "invalid_client") // it looked a moment ago
	r.now = r.now.Add(keysAtMost)
	for range 20 {
		_, err = r.byJWT(newPair(t, "noise", jose.EdDSA).sign(t, r.assertion("remote")))
		refusedAs(t, err, "invalid_client")
	}
	if n := web.asked.Load(); n != 2 {
		t.Errorf("20 unknown keys made %d fetches", n-1)
	}
	_, err = r.byJWT(next.sign(t, r.assertion("remote")))
	r.must(err)
	if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); !errors.Is(err, ErrToken) {
		t.Errorf("the token of a key that its set lacks by now: %v", err)
	}
}

// A token in use makes its key set be looked at again, and nobody waits.
func TestAKeyTakenAwayElsewhereEndsItsTokensSoon(t *testing.T) {
	web, fetch := newKeyServer(t)
	r := newRealm(t, fetch)
	old, next := newPair(t, "old", jose.EdDSA), newPair(t, "next", jose.EdDSA)
	web.serve(setOf(t, old.public()))
	r.put("remote", store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: web.URL})
	token, err := r.byJWT(old.sign(t, r.assertion("remote")))
	r.must(err)
	web.serve(setOf(t, next.public()))
	r.now = r.now.Add(keysFor)
	for range 1000 {
		if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); errors.Is(err, ErrToken) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the token lives on")
}

func TestKeysElsewhereThatCannotBeHad(t *testing.T) {
	web, fetch := newKeyServer(t)
	r := newRealm(t, fetch)
	p := newPair(t, "k", jose.EdDSA)
	web.serve(setOf(t, p.public()))
	web.down.Store(true)
	r.put("remote", store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: web.URL})
	for range 5 {
		if _, err := r.byJWT(p.sign(t, r.assertion("remote"))); !errors.Is(err, store.ErrRemoteKeys) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("away: %v", err)
		}
	}
	if n := web.asked.Load(); n != 1 {
		t.Errorf("%d fetches in a moment", n)
	}
	web.down.Store(false)
	r.now = r.now.Add(keysAtMost)
	_, err := r.byJWT(p.sign(t, r.assertion("remote")))
	r.must(err)
	web.down.Store(true)
	r.now = r.now.Add(keysFor)
	_, err = r.byJWT(p.sign(t, r.assertion("remote"))) // what was held serves on
	r.must(err)
	r.now = r.now.Add(remoteAtMost)
	if _, err := r.byJWT(p.sign(t, r.assertion("remote"))); !errors.Is(err, store.ErrRemoteKeys) {
		t.Errorf("keys that are an hour old: %v", err)
	}
}

func TestJWKSURIsLeadNowhereElse(t *testing.T) {
	web, _ := newKeyServer(t)
	r := newRealm(t, nil) // public addresses alone
	p := newPair(t, "k", jose.EdDSA)
	web.serve(setOf(t, p.public()))
	for i, uri := range []string{
		web.URL, strings.Replace(web.URL, "127.0.0.1", "localhost", 1), "https://169.254.169.254/latest/meta-data", "https://[::1]:1/", "https://[::ffff:7f00:1]:1/",
	} {
		name := fmt.Sprint("c", i)
		r.put(name, store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: uri})
		if _, err := r.byJWT(p.sign(t, r.assertion(name))); !errors.Is(err, store.ErrRemoteKeys) {
			t.Errorf("case %d: %v", i, err)
		}
	}
	if web.asked.Load() != 0 {
		t.Error("a request arrived")
	}
}

func TestKeySetsThatAreNone(t *testing.T) {
	web, fetch := newKeyServer(t)
	r := newRealm(t, fetch)
	p := newPair(t, "k", jose.EdDSA)
	r.put("remote", store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: web.URL})
	for _, body := range [][]byte{
		[]byte(strings.Repeat(" ", 1<<20)), append(setOf(t, p.public()), make([]byte, jwks.MaxBytes)...), []byte("<html>"), []byte(`{}`), nil,
		[]byte(strings.Repeat("[", 100_000)),
	} {
		web.serve(body)
		r.now = r.now.Add(keysAtMost)
		if _, err := r.byJWT(p.sign(t, r.assertion("remote"))); !errors.Is(err, store.ErrRemoteKeys) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

func FuzzAssertion(f *testing.F) {
	r := newRealm(f, nil)
	p := newPair(f, "k", jose.EdDSA)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(f, p.public())})
	good := p.sign(f, r.assertion("signer"))
	if _, err := r.byJWT(good); err != nil { // it is spent by this
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{"sub":"signer"}`) + ".")
	f.Add(headerOf(good, `{"alg":"HS256","kid":"k"}`))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := r.byJWT(text); err == nil {
			t.Error("an assertion that nobody signed was accepted")
		}
		issuerIn(text)
	})
}
