package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const examplePath = "../../docs/strongroom.example.yaml"

// homeOfExample copies the example to a folder that has every file it names.
func homeOfExample(t *testing.T, edit func(string) string) string {
	t.Helper()
	raw, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{
		"tls/server.pem", "tls/server.key", "tls/clients-ca.pem", "tls/vault-ca.pem", "vault/role-id", "vault/secret-id",
		"vault/lifecycle-role-id", "vault/lifecycle-secret-id", "keys/passphrase",
	} {
		write(t, filepath.Join(dir, name), "x")
	}
	path := filepath.Join(dir, "strongroom.yaml")
	write(t, path, edit(string(raw)))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func same(s string) string { return s }

func TestExampleLoads(t *testing.T) {
	path := homeOfExample(t, same)
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	got := *c
	if got.DataDir != filepath.Join(filepath.Dir(path), "data") {
		t.Errorf("data_dir is %q: not relative to the file", got.DataDir)
	}
	if got.Keys.Vault.Auth.Method != AuthAppRole || got.Keys.Vault.LifecycleAuth.SecretIDFile == "" {
		t.Errorf("the identities were not read: %+v", got.Keys.Vault)
	}
	if diff := cmp.Diff(want.Leases, got.Leases); diff != "" {
		t.Errorf("the example's leases are not the defaults it claims to show:\n%s", diff)
	}
	if diff := cmp.Diff([]any{want.Rotation, want.Erasure}, []any{got.Rotation, got.Erasure}); diff != "" {
		t.Errorf("the example's rotation and erasure are not the defaults it claims to show:\n%s", diff)
	}
	if diff := cmp.Diff(want.Limits, got.Limits); diff != "" {
		t.Errorf("the example's limits are not the defaults it claims to show:\n%s", diff)
	}
}

// The example is the reference: a member that it does not show is one that
// nobody finds.
func TestExampleShowsEveryMember(t *testing.T) {
	raw, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	for member := range variables() {
		name := member[strings.LastIndexByte(member, '.')+1:]
		if !strings.Contains(string(raw), " "+name+":") && !strings.Contains(string(raw), "\n"+name+":") {
			t.Errorf("the example does not show %s", member)
		}
	}
}

func TestKeyringExample(t *testing.T) {
	path := homeOfExample(t, func(s string) string {
		s = strings.Replace(s, "provider: vault", "provider: keyring", 1)
		s = strings.Replace(s, "  # keyring:\n  #   path: keys/keyring\n  #   passphrase_file: keys/passphrase",
			"  keyring:\n    path: keys/keyring\n    passphrase_file: keys/passphrase", 1)
		return s
	})
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(c.Keys.Keyring.PassphraseFile, "/keys/passphrase") {
		t.Errorf("passphrase_file is %q", c.Keys.Keyring.PassphraseFile)
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to string
		env      []string
		want     string
	}{
		"an unknown member":            {from: "mount: transit", to: "mout: transit", want: "keys.vault.mout: there is no such member"},
		"a member twice":               {from: "retries: 1", to: "retries: 1\n    retries: 2", want: "keys.vault.retries: stands there twice"},
		"no number":                    {from: "fields: 256", to: "fields: many", want: "limits.fields: must be a whole number"},
		"no duration":                  {from: "lease: 15m", to: "lease: 15 minutes", want: "leases.lease: must be a duration"},
		"a lease over the cap":         {from: "hard_cap: 1h", to: "hard_cap: 5m", want: "leases.hard_cap: must be from 15m0s"},
		"a missing file":               {from: "tls/server.key", to: "tls/lost.key", want: "tls.key_file: there is no such file"},
		"a folder for a file":          {from: "tls/server.key", to: "tls", want: "tls.key_file: is a folder"},
		"plain http to Vault":          {from: "https://vault.example", to: "http://vault.example", want: "keys.vault.address: must be https"},
		"no method":                    {from: "method: approle\n      role_id_file: vault/role-id", to: "role_id_file: vault/role-id", want: "keys.vault.auth.method: must be one of"},
		"no port":                      {from: "0.0.0.0:8443", to: "0.0.0.0", want: "listen: must be an address and a port"},
		"a list for a value":           {from: "level: info", to: "level: [info]", want: "log.level: must be text"},
		"a value for a section":        {from: "log:\n", to: "log: quiet\nx:\n", want: "log: must hold members"},
		"not YAML":                     {from: "data_dir: data", to: "data_dir: [", want: "this is not YAML"},
		"a misspelt variable":          {env: []string{"STRONGROOM_KEYS_PROVDER=vault"}, want: "STRONGROOM_KEYS_PROVDER: there is no member"},
		"a variable that is no number": {env: []string{"STRONGROOM_LIMITS_FIELDS=x"}, want: "STRONGROOM_LIMITS_FIELDS: must be a whole number"},
		"an origin with a path":        {env: []string{"STRONGROOM_ORIGINS=https://a.example, https://b.example/x"}, want: "origins: must be URLs like"},
		"an origin without TLS":        {env: []string{"STRONGROOM_ORIGINS=http://a.example"}, want: "origins: must be URLs like"},
		"an origin that is missing":    {env: []string{"STRONGROOM_ORIGINS=https://a.example,"}, want: "origins: must be URLs like"},
		"no network":                   {from: "  # allow: [10.20.0.0/16]", to: "  allow: [10.20.0.0/33]", want: "outbound.allow: must be a list of networks"},
		"bits behind a network":        {env: []string{"STRONGROOM_TRUSTED_PROXIES=10.0.0.1/8"}, want: "STRONGROOM_TRUSTED_PROXIES: must be a list of networks"},
		"a network of everything":      {env: []string{"STRONGROOM_OUTBOUND_ALLOW=::/0"}, want: "outbound.allow: must not hold the network of all addresses"},
		"all proxies":                  {env: []string{"STRONGROOM_TRUSTED_PROXIES=10.0.0.0/8,0.0.0.0/0"}, want: "trusted_proxies: must not hold"},
		"a list in a list":             {from: "  # allow: [10.20.0.0/16]", to: "  allow: [[10.20.0.0/16]]", want: "outbound.allow: must be a list"},
		"another proxy header":         {env: []string{"STRONGROOM_TRUSTED_PROXY_HEADER=x-real-ip"}, want: "trusted_proxy_header: must be one of"},
		"client certificates, no CA":   {env: []string{"STRONGROOM_TLS_CLIENT_AUTH=optional"}, want: "tls.client_ca_file: is needed"},
		"a CA for nothing":             {env: []string{"STRONGROOM_TLS_CLIENT_CA_FILE=/dev/null"}, want: "tls.client_auth: must be optional or any"},
		"ACME and files":               {env: []string{"STRONGROOM_TLS_ACME_DIRECTORY=https://a.example/d"}, want: "tls: takes cert_file and key_file, or acme"},
		"ACME in the clear":            {env: []string{"STRONGROOM_TLS_ACME_DIRECTORY=http://a.example/d"}, want: "tls.acme.directory: must be an https URL"},
		"ACME without names":           {env: []string{"STRONGROOM_TLS_ACME_DIRECTORY=https://a.example/d"}, want: "tls.acme.domains: is needed"},
		"ACME with a wildcard":         {env: []string{"STRONGROOM_TLS_ACME_DIRECTORY=https://a.example/d", "STRONGROOM_TLS_ACME_DOMAINS=*.a.example"}, want: "tls.acme.domains: must be names"},
		"a grace within the lease":     {from: "grace: 2h", to: "grace: 30m", want: "rotation.grace: must be from 1h0m0s"},
		"a key that is never old":      {from: "wrapping: 8760h", to: "wrapping: 0s", want: "rotation.cryptoperiods.wrapping: must be from"},
		"a promise of twelve years":    {env: []string{"STRONGROOM_ERASURE_PROMISE=105120h"}, want: "erasure.promise: must be from"},
		"a ledger that goes with data": {from: "ledger_dir: ledger", to: "ledger_dir: data/ledger", want: "ledger_dir: must not lie in data_dir"},
		"a token without a lifetime":   {env: []string{"STRONGROOM_TOKEN_LIFETIME=1s"}, want: "token_lifetime: must be from 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			path := homeOfExample(t, func(s string) string {
				if tt.from != "" && !strings.Contains(s, tt.from) {
					t.Fatalf("the example lacks %q", tt.from)
				}
				return strings.Replace(s, tt.from, tt.to, 1)
			})
			_, err := Load(path, tt.env)
			var bad *Invalid
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestKeyringMustLieElsewhere(t *testing.T) {
	c := Default()
	c.DataDir, c.Keys.Keyring.Path = "/srv/strongroom", "/srv/strongroom/keys/keyring"
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "keys.keyring.path: must not lie in data_dir") {
		t.Errorf("a keyring in the data folder got %v", err)
	}
	c.Keys.Keyring.Path = "/srv/strongroom-keys/keyring"
	if err := c.Check(); strings.Contains(err.Error(), "must not lie in data_dir") {
		t.Error("a neighbour whose name begins alike was taken for one inside")
	}
}

func TestEnvironmentWins(t *testing.T) {
	path := homeOfExample(t, same)
	c, err := Load(path, []string{
		"STRONGROOM_LISTEN=127.0.0.1:0", "STRONGROOM_KEYS_VAULT_ADDRESS=https://other.example:8200",
		"STRONGROOM_LEASES_LEASE=20m", "STRONGROOM_URL=https://the.client.s", "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:0" || c.Keys.Vault.Address != "https://other.example:8200" || c.Leases.Lease != Duration(20*time.Minute) {
		t.Errorf("the environment did not win: %+v", c)
	}
}

func TestLists(t *testing.T) {
	path := homeOfExample(t, func(s string) string {
		s = strings.Replace(s, "# trusted_proxies: [10.0.0.0/24]", "trusted_proxies: [10.0.0.0/24, 192.0.2.7, '2001:db8::/32']", 1)
		return strings.Replace(s, "  # allow: [10.20.0.0/16]", "  allow: 10.20.0.0/16", 1)
	})
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.0/24", "192.0.2.7/32", "2001:db8::/32"}
	var got []string
	for _, n := range c.TrustedProxies {
		got = append(got, n.String())
	}
	if diff := cmp.Diff(want, got); diff != "" || len(c.Outbound.Allow) != 1 {
		t.Errorf("networks (allow %v):\n%s", c.Outbound.Allow, diff)
	}
}

// Every member can be set by its variable, and by nothing else's.
// variables returns the environment variable of each member, by member path.
func variables() map[string]string {
	c, all := Default(), map[string]string{}
	for _, l := range c.leaves() {
		all[l.path] = l.env()
	}
	return all
}

func TestEveryVariableSetsItsMember(t *testing.T) {
	for member, variable := range variables() {
		c := Default()
		before := c.leaves()
		value := "7m"
		switch leafOf(before, member).value.Interface().(type) {
		case int:
			value = "7"
		case Networks:
			value = "10.0.0.0/8"
		}
		bad := &Invalid{}
		c.readEnv([]string{variable + "=" + value}, bad)
		if len(bad.Issues) > 0 {
			t.Fatalf("%s: %v", variable, bad)
		}
		base := Default()
		for i, l := range base.leaves() {
			changed := !reflect.DeepEqual(l.value.Interface(), c.leaves()[i].value.Interface())
			if changed != (l.path == member) {
				t.Errorf("%s: %s changed: %v", variable, l.path, changed)
			}
		}
	}
}

func leafOf(all []leaf, path string) leaf {
	for _, l := range all {
		if l.path == path {
			return l
		}
	}
	panic("no leaf " + path)
}
