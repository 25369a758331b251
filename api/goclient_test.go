package api

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/identity"
)

// write puts PEM blocks into a file.
func (h *house) write(name, kind string, der []byte) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// hired is a configuration of the Go client for one of the house's.
func (h *house) hired(name string) client.Config {
	h.t.Helper()
	h.root.do("PUT", "/v1/roles/"+name, `{"rules":[{"integrations":["*"],"collections":["*"],
		"actions":["read","list","create","import","export"],"read":{"*":"clear","email":"clear"},"write":["*"]}]}`).want(201)
	secret := h.enter(name, name)
	return client.Config{URL: h.web.URL, CACertFile: h.write("ca.pem", "CERTIFICATE", h.web.Certificate().Raw),
		ClientID: name, ClientSecret: client.NewSecret(secret)}
}

func (h *house) connect(c client.Config) *client.Client {
	h.t.Helper()
	made, err := client.New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(made.CloseIdleConnections)
	return made
}

// restart is a new process behind the same address: it knows the tokens of the
// one before, and none of its nonces.
func (h *house) restart() {
	h.t.Helper()
	tokens, err := identity.New(identity.Config{Directory: h.store.Store, Issuer: h.web.URL})
	if err != nil {
		h.t.Fatal(err)
	}
	h.server.Tokens = tokens
}

// TestTheGoClientProves: the Go client with DPoP reads, writes and streams, and
// goes on when the nonces that it holds count no more.
func TestTheGoClientProves(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	config := h.hired("app")
	h.root.do("PUT", "/v1/clients/app", `{"roles":["app"],"dpop_bound_access_tokens":true}`).want(200)
	if _, err := h.connect(config).ListIntegrations(t.Context()); err == nil || !strings.Contains(err.Error(), "must be bound") {
		t.Errorf("without proofs: %v", err)
	}
	config.DPoP = true
	c := h.connect(config)
	ref := client.CollectionRef{Integration: "acme-crm", Collection: "customers"}
	record := client.RecordRef{Integration: "acme-crm", Collection: "customers", Record: "r0"}
	for range 2 {
		lines := io.MultiReader(strings.NewReader(`{"id":"r0","fields":{"email":"a@b.c"}}` + "\n")) // which cannot be rewound
		for _, err := range c.Import(t.Context(), ref, client.ImportOptions{Continue: true}, lines) {
			if err != nil {
				t.Fatalf("import: %v", err)
			}
		}
		h.restart()
		got, err := c.GetRecord(t.Context(), record, client.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if email, _ := got.Fields.Text("email"); email != "a@b.c" {
			t.Errorf("it reads %q", email)
		}
		h.restart()
		for _, err := range c.Export(t.Context(), ref, client.ListOptions{}) {
			if err != nil {
				t.Fatalf("export: %v", err)
			}
		}
		h.restart()
	}
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.as(token.Reveal()).do("GET", customers+"/records/r0", "").refused(401, "invalid_token")
	thief := h.connect(config)
	if _, err := thief.ListIntegrations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other, _ := thief.Token(t.Context()); other.Reveal() == token.Reveal() {
		t.Error("two clients have one token")
	}
}

// TestTheGoClientShowsItsCertificate: by it alone, and with a secret; when it
// is renewed, a new connection shows the new one.
func TestTheGoClientShowsItsCertificate(t *testing.T) {
	h := newIssuingHouse(t)
	h.furnish()
	cert, set := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	config := h.hired("app")
	h.root.do("PUT", "/v1/clients/app", `{"roles":["app"],"tls_client_certificate_bound_access_tokens":true}`).want(200)
	if _, err := h.connect(config).ListIntegrations(t.Context()); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("without a certificate: %v", err)
	}
	config.ClientCertFile, config.ClientKeyFile = h.write("cert.pem", "CERTIFICATE", cert.Certificate[0]), h.write("key.pem", "PRIVATE KEY", key)
	bound := h.connect(config)
	if _, err := bound.ListIntegrations(t.Context()); err != nil {
		t.Fatalf("with a certificate and a secret: %v", err)
	}
	token, err := bound.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.as(token.Reveal()).do("GET", "/v1/integrations", "").refused(401, "invalid_token")

	h.root.do("PUT", "/v1/clients/machine", `{"roles":["app"],"token_endpoint_auth_method":"self_signed_tls_client_auth",
		"tls_client_certificate_bound_access_tokens":true,"jwks":`+string(set)+`}`).want(201)
	config.ClientID, config.ClientSecret = "machine", client.Secret{}
	if _, err := h.connect(config).ListIntegrations(t.Context()); err != nil {
		t.Errorf("by the certificate alone: %v", err)
	}

	renewed, _ := selfSigned(t)
	replace(t, config, renewed)
	bound.CloseIdleConnections()
	if _, err := bound.ListIntegrations(t.Context()); err != nil {
		t.Errorf("after the certificate was renewed: %v", err)
	}
	config.ClientKeyFile = config.ClientCertFile
	if _, err := client.New(config); err == nil {
		t.Error("a certificate without its key is accepted")
	}
}

func replace(t *testing.T, c client.Config, cert tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{c.ClientCertFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, c.ClientKeyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		var b bytes.Buffer
		if err := errors.Join(pem.Encode(&b, block), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
