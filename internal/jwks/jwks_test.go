package jwks

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func text(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func public(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid}
}

func TestRegisteredKeysMustAllBeUsable(t *testing.T) {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	short, _ := rsa.GenerateKey(rand.Reader, 1024)
	many := make([]jose.JSONWebKey, maxKeys+1)
	for i := range many {
		many[i] = public(t, fmt.Sprint("k", i))
	}
	bad := map[string][]byte{
		"a private key":     text(t, jose.JSONWebKey{Key: private, KeyID: "a"}),
		"a shared secret":   text(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "a"}),
		"another curve":     text(t, jose.JSONWebKey{Key: p384.Public(), KeyID: "a"}),
		"a short RSA key":   text(t, jose.JSONWebKey{Key: short.Public(), KeyID: "a"}),
		"one kid twice":     text(t, public(t, "a"), public(t, "a")),
		"too many keys":     text(t, many...),
		"no list":           []byte(`{}`),
		"a list alone":      []byte(`[]`),
		"a member twice":    []byte(`{"keys":[],"keys":[]}`),
		"not JSON":          []byte(`{"keys":[`),
		"too long":          []byte(`{"keys":[],"x":"` + strings.Repeat("a", MaxBytes) + `"}`),
		"a key that is not": []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`),
	}
	for name, raw := range bad {
		if _, err := ParseRegistered(raw); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestFetchedSetsPassOverWhatIsNotUsed(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	set, err := ParseFetched(text(t, jose.JSONWebKey{Key: p384.Public(), KeyID: "other"}, public(t, "mine")))
	if err != nil || len(set.Keys()) != 1 || set.Keys()[0].KeyID != "mine" {
		t.Errorf("got %v, %v", set, err)
	}
}

func TestFind(t *testing.T) {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	other := public(t, "enc")
	other.Use = "enc"
	set, err := ParseRegistered(text(t, public(t, "ed"), jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa", Algorithm: "PS256"}, other))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kid, alg string
		want     bool
	}{
		{"ed", "EdDSA", true}, {"ed", "Ed25519", true}, {"rsa", "Ed25519", false}, {"ed", "ES256", false}, {"ed", "HS256", false}, {"ed", "none", false},
		{"rsa", "PS256", true}, {"rsa", "RS256", false}, {"rsa", "HS256", false},
		{"enc", "EdDSA", false}, {"", "EdDSA", false}, {"nobody", "EdDSA", false},
	} {
		if _, ok := set.Find(c.kid, c.alg); ok != c.want {
			t.Errorf("%s under %q: %v", c.alg, c.kid, ok)
		}
	}
	one, _ := ParseRegistered(text(t, public(t, "")))
	if _, ok := one.Find("", "EdDSA"); !ok {
		t.Error("the only key is not found without a kid")
	}
	var none *Set
	if _, ok := none.Find("", "EdDSA"); ok {
		t.Error("no set has a key")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text(f, public(f, "a")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := ParseRegistered(raw)
		if err != nil {
			return
		}
		for _, k := range set.Keys() {
			if !k.IsPublic() || len(k.ID) != 43 {
				t.Errorf("an unfit key was accepted")
			}
		}
		if more, err := ParseFetched(raw); err != nil || len(more.Keys()) != len(set.Keys()) {
			t.Error("what may be registered may not be fetched")
		}
	})
}
