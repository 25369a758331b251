package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestAssertionsAreFreshAndForOneServer(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for want, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.ES256: p256, jose.PS256: rsaKey} {
		prove, err := Config{ClientID: "me", PrivateKey: NewPrivateKey(key)}.proof("https://a.example")
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for range 3 {
			form := url.Values{}
			if err := prove(form, http.Header{}); err != nil {
				t.Fatal(err)
			}
			token, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{want})
			if err != nil {
				t.Fatal(err)
			}
			var c jwt.Claims
			if err := token.Claims(key.Public(), &c); err != nil {
				t.Fatal(err)
			}
			ids[c.ID] = true
			if err := c.ValidateWithLeeway(jwt.Expected{Issuer: "me", Subject: "me", AnyAudience: jwt.Audience{"https://a.example"}, Time: time.Now()}, time.Second); err != nil {
				t.Error(err)
			}
			if life := c.Expiry.Time().Sub(c.IssuedAt.Time()); life != assertionLife || len(c.Audience) != 1 {
				t.Errorf("it lives %s for %v", life, c.Audience)
			}
		}
		if len(ids) != 3 {
			t.Error("an id comes twice")
		}
	}
}

func TestExactlyOneProof(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for name, c := range map[string]Config{
		"none":                   {ClientID: "a"},
		"two":                    {ClientID: "a", ClientSecret: NewSecret("x"), PrivateKey: NewPrivateKey(p256)},
		"a key without an id":    {PrivateKey: NewPrivateKey(p256)},
		"a secret without an id": {ClientSecret: NewSecret("x")},
		"another curve":          {ClientID: "a", PrivateKey: NewPrivateKey(p384)},
	} {
		c.URL = "https://a.example"
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNewKeyPair(t *testing.T) {
	private, set, err := NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, []byte(private.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := LoadPrivateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() {
		t.Fatalf("the set is %s: %v", set, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", key, Config{PrivateKey: key}, key, key); strings.Count(text, redacted) != 5 { // the configuration has a secret too
		t.Errorf("a private key prints as %d bytes", len(text))
	}
	if kid, _ := thumbprint(key.signer); kid != keys.Keys[0].KeyID {
		t.Error("the private key is not that of the set")
	}
}

func TestPrivateKeysThatAreNone(t *testing.T) {
	dir := t.TempDir()
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(p256)
	for name, text := range map[string][]byte{"empty": nil, "not PEM": []byte("key"), "not PKCS 8": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPrivateKey(path); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func TestAnAssertionFileIsReadEachTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "token")
	prove, err := Config{AssertionFile: name, ClientID: "me"}.proof("https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	if prove(url.Values{}, nil) == nil {
		t.Error("a file that is not there is no error")
	}
	for _, text := range []string{"first\n", "second"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		form := url.Values{}
		if err := prove(form, nil); err != nil || form.Get("assertion")+"\n" != text && form.Get("assertion") != text || form.Get("client_id") != "me" {
			t.Errorf("got %v, %v", form, err)
		}
	}
}
