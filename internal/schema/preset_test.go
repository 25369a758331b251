package schema

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPresets(t *testing.T) {
	want := []string{"api_key", "basic_auth", "oauth2", "ssh_key", "tls_keypair", "webhook_event", "webhook_secret"}
	if diff := cmp.Diff(want, Presets()); diff != "" {
		t.Fatalf("presets (-want +got):\n%s", diff)
	}
	secrets := map[string][]string{
		"api_key": {"api_key"}, "basic_auth": {"password"}, "ssh_key": {"passphrase", "private_key"},
		"oauth2":      {"access_token", "client_secret", "id_token", "refresh_token"},
		"tls_keypair": {"passphrase", "private_key"}, "webhook_secret": {"previous_secret", "secret"},
	}
	for _, name := range Presets() {
		raw, _ := Preset(name)
		s, err := Compile(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var high []string
		for _, f := range s.Fields() {
			if f.High {
				high = append(high, f.Path)
			}
		}
		if diff := cmp.Diff(secrets[name], high); diff != "" {
			t.Errorf("%s: fields of high sensitivity (-want +got):\n%s", name, diff)
		}
		if s.plan == nil {
			t.Errorf("%s needs the engine for its top level", name)
		}
	}
	if _, ok := Preset("../doc"); ok {
		t.Error("a path was taken for a preset's name")
	}
}

func TestPresetDocuments(t *testing.T) {
	for name, doc := range map[string]string{
		"api_key":    `{"api_key":"sk_live_51Hx","header":"Authorization","scheme":"Bearer","base_url":"https://api.example.com/v1","environment":"live","scopes":["read","write"]}`,
		"basic_auth": `{"username":"Ops@Example","password":"p:w","expires_at":"2027-01-01T00:00:00Z"}`,
		"oauth2":     `{"client_id":"c","access_token":"a","refresh_token":"r","token_type":"Bearer","expires_at":"2026-11-24T10:00:00+01:00","token_url":"https://login.example.com/token","account_email":"a@example.com"}`,
		"tls_keypair": `{"certificate":"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",` +
			`"private_key":"-----BEGIN EC PRIVATE KEY-----\nMII\n-----END EC PRIVATE KEY-----\n","common_name":"Example.COM"}`,
		"ssh_key":        `{"private_key":"-----BEGIN OPENSSH PRIVATE KEY-----\nb3B\n-----END OPENSSH PRIVATE KEY-----\n","public_key":"ssh-ed25519 AAAAC3Nz me@host","host":"sftp.example.com","port":22}`,
		"webhook_secret": `{"secret":"whsec_abc","algorithm":"hmac-sha256","signature_header":"Stripe-Signature","tolerance_seconds":300}`,
		"webhook_event":  `{"external_id":"evt_1","event_type":"invoice.paid","headers":{"Stripe-Signature":"t=1,v1=2"},"raw_body":"e30=","payload":{},"received_at":"2026-11-24T10:00:00.123Z"}`,
	} {
		s := preset(t, name)
		values, err := s.Check([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := string(Join(values)); got != doc {
			t.Errorf("%s: joined to %s", name, got)
		}
		if direct, ok := s.direct([]byte(doc)); !ok || len(direct) != len(values) {
			t.Errorf("%s: the direct way didn't decide", name)
		}
	}
	event := preset(t, "webhook_event")
	f, _ := event.Field("external_id")
	body, _ := event.Field("raw_body")
	if f.Index != IndexUnique || !body.Base64 || !slices.Contains(Presets(), "webhook_event") {
		t.Errorf("webhook_event declares %+v and %+v", f, body)
	}
}

func preset(t testing.TB, name string) *Schema {
	t.Helper()
	raw, ok := Preset(name)
	if !ok {
		t.Fatalf("no preset %s", name)
	}
	return compile(t, string(raw))
}

func compile(t testing.TB, raw string) *Schema {
	t.Helper()
	s, err := Compile([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
