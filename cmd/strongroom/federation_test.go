package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// startProvider is an OpenID provider on the loopback address. It returns its
// certificate in PEM, and what signs a service account's token.
func startProvider(t *testing.T) (url string, certificate []byte, sign func(subject string) string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var web *httptest.Server
	web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "p1"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": web.URL, "jwks_uri": web.URL + "/keys"})
	}))
	t.Cleanup(web.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "p1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return web.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), func(subject string) string {
		text, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: web.URL, Subject: subject, Audience: jwt.Audience{"strongroom"},
			IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// TestWorkloadIdentity lets a workload in by the token that its platform gives
// it, from the configuration to the command.
func TestWorkloadIdentity(t *testing.T) {
	dir := t.TempDir()
	url, certificate, sign := startProvider(t)
	issuer := fmt.Sprintf(`{"issuer":%q,"audiences":["strongroom"],"reuse":true,"rules":[{"claims":{"sub":"system:serviceaccount:prod:*"},"client":"app"}]}`, url)
	for name, text := range map[string]string{
		"provider.pem": string(certificate), "issuer.json": issuer,
		"prod.jwt": sign("system:serviceaccount:prod:billing"), "test.jwt": sign("system:serviceaccount:test:billing"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STRONGROOM_OUTBOUND_ALLOW", "127.0.0.0/8")
	t.Setenv("STRONGROOM_OUTBOUND_CA_CERT_FILE", filepath.Join(dir, "provider.pem"))
	startServer(t, dir, strings.Fields("strongroom serve --dev --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0"))
	shell := exec.Command("bash", "-euc", `
source .strongroom/dev.env
strongroom client put app --role auditor > out
strongroom client issuer put cluster @issuer.json > out
unset STRONGROOM_CLIENT_ID STRONGROOM_CLIENT_SECRET
STRONGROOM_ASSERTION_FILE=prod.jwt strongroom client list | grep -c '^app '
STRONGROOM_ASSERTION_FILE=prod.jwt strongroom client put other 2>&1 | grep -o forbidden
STRONGROOM_ASSERTION_FILE=test.jwt strongroom client list 2>&1 | grep -o 'refused'
grep -h -c 'system:serviceaccount' .strongroom/audit/*.jsonl || true`)
	shell.Dir = dir
	out, err := shell.CombinedOutput()
	if err != nil || string(out) != "1\nforbidden\nrefused\n0\n" {
		t.Errorf("the workload: %v\n%s", err, out)
	}
}
