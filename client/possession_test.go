package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// proofClaims are the claims of a proof that is signed by the key in its own
// header.
func proofClaims(t *testing.T, r *http.Request) (c map[string]any, key jose.JSONWebKey) {
	t.Helper()
	token, err := jwt.ParseSigned(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Errorf("%s %s came without a proof: %v", r.Method, r.URL.Path, err)
		return nil, key
	}
	h := token.Headers[0]
	if h.ExtraHeaders[jose.HeaderType] != "dpop+jwt" || h.JSONWebKey == nil || !h.JSONWebKey.IsPublic() {
		t.Fatalf("the proof's header is %+v", h)
	}
	if err := token.Claims(h.JSONWebKey.Key, &c); err != nil {
		t.Error(err)
	}
	return c, *h.JSONWebKey
}

// TestEveryRequestHasAProofOfItsOwn, by one key, for that request.
func TestEveryRequestHasAProofOfItsOwn(t *testing.T) {
	seen, nonces := map[any]bool{}, 0
	var first jose.JSONWebKey
	var web *httptest.Server
	web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, key := proofClaims(t, r)
		if first.Key == nil {
			first = key
		}
		a, _ := first.MarshalJSON()
		b, _ := key.MarshalJSON()
		if seen[c["jti"]] || !bytes.Equal(a, b) || c["htm"] != r.Method || c["htu"] != web.URL+r.URL.EscapedPath() {
			t.Errorf("%s %s came with %v", r.Method, r.URL, c)
		}
		seen[c["jti"]] = true
		nonces++
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", nonces))
		if want := fmt.Sprint("n", nonces-1); nonces > 1 && c["nonce"] != want {
			t.Errorf("the nonce is %v, not the last one, %s", c["nonce"], want)
		}
		switch {
		case r.URL.Path == "/oauth2/token" && nonces == 1:
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"use_dpop_nonce"}`)
		case r.URL.Path == "/oauth2/token":
			io.WriteString(w, `{"access_token":"at","token_type":"DPoP","expires_in":900}`)
		default:
			sum := sha256.Sum256([]byte("at"))
			if r.Header.Get("Authorization") != "DPoP at" || c["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
				t.Errorf("the token came as %q with the hash %v", r.Header.Get("Authorization"), c["ath"])
			}
			if nonces == 3 {
				problem(w, 401, "use_dpop_nonce")
				return
			}
			io.WriteString(w, `{"items":[]}`)
		}
	}))
	defer web.Close()
	c, err := New(Config{URL: web.URL, ClientID: "a", ClientSecret: NewSecret("b"), DPoP: true, HTTPClient: web.Client(), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.ListIntegrations(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if nonces != 6 {
		t.Errorf("%d requests were sent, not the six that are needed", nonces)
	}
}

// TestAnUnboundTokenIsNotTakenForABoundOne: whoever asked for a bound token must
// not go on with one that a thief could use.
func TestAnUnboundTokenIsNotTakenForABoundOne(t *testing.T) {
	f := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth2/token" {
			t.Error("the token was used")
		}
		io.WriteString(w, `{"access_token":"at","token_type":"Bearer","expires_in":900}`)
	}))
	defer f.Close()
	c, err := New(Config{URL: f.URL, ClientID: "a", ClientSecret: NewSecret("b"), DPoP: true, HTTPClient: f.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListIntegrations(t.Context()); err == nil || !strings.Contains(err.Error(), "of the type DPoP") {
		t.Errorf("got %v", err)
	}
}

// TestANonceThatNeverSuits: a server that asks for nonces forever is asked
// twice and no more.
func TestANonceThatNeverSuits(t *testing.T) {
	asked := 0
	f := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("DPoP-Nonce", "n")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"use_dpop_nonce"}`)
	}))
	defer f.Close()
	c, err := New(Config{URL: f.URL, ClientID: "a", ClientSecret: NewSecret("b"), DPoP: true, HTTPClient: f.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListIntegrations(t.Context()); err == nil || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
