package transit

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys"
)

// works opens a provider and takes a key through its life.
func (v vault) works(t *testing.T, c Config) *Provider {
	t.Helper()
	p := v.open(t, c)
	key := v.newKey(t, p)
	opens(t, p, key, sealed(t, p, key))
	return p
}

func TestTokenLogin(t *testing.T) {
	v := newVault(t)
	v.works(t, v.oneToken(t))
	c := v.config(t)
	token, _ := v.Token(t, "1h", everydayPolicy, lifecyclePolicy)
	t.Setenv("STRONGROOM_TEST_TOKEN", token)
	c.Auth = Auth{Method: MethodToken, TokenEnv: "STRONGROOM_TEST_TOKEN"}
	v.works(t, c)
}

// A login method can be mounted anywhere.
func TestAppRoleLoginAtAMountOfItsOwn(t *testing.T) {
	v := newVault(t)
	v.MountAt(t, "auth/machines", "approle")
	role := "auth/machines/role/strongroom"
	v.Call(t, "POST", role, map[string]any{"token_policies": []string{everydayPolicy, lifecyclePolicy}})
	roleID := v.Call(t, "GET", role+"/role-id", nil)["role_id"].(string)
	secretID := v.Call(t, "POST", role+"/secret-id", nil)["secret_id"].(string)
	c := v.config(t)
	c.Auth = Auth{
		Method: MethodAppRole, Mount: "machines", RoleIDFile: vaulttest.WriteFile(t, "role-id", roleID),
		SecretIDFile: vaulttest.WriteFile(t, "secret-id", secretID+"\n"),
	}
	v.works(t, c)
}

func TestLoginsThatAreRefused(t *testing.T) {
	v := newVault(t)
	role := v.appRole(t, "1h", "2h", everydayPolicy)
	token := func(text string) Auth {
		return Auth{Method: MethodToken, TokenFile: vaulttest.WriteFile(t, "token", text)}
	}
	wrong := vaulttest.WriteFile(t, "wrong", "6ad9a2a3-79b6-4f0a-9ac0-000000000000")
	for _, c := range []struct {
		auth Auth
		says string
	}{
		{token("hvs.nobody-ever-had-this-token"), "the token has ended, was revoked or is of another server"},
		{token(""), "is empty or malformed"},
		{token("two\nlines"), "is empty or malformed"},
		{Auth{Method: MethodToken, TokenFile: "/no/such/file"}, "the login cannot be read"},
		{Auth{Method: MethodToken, TokenEnv: "STRONGROOM_NO_SUCH_VARIABLE"}, "is empty or malformed"},
		{Auth{Method: MethodAppRole, RoleIDFile: wrong, SecretIDFile: role.SecretIDFile}, "these credentials are not accepted"},
		{Auth{Method: MethodAppRole, RoleIDFile: role.RoleIDFile, SecretIDFile: wrong}, "these credentials are not accepted"},
		{Auth{Method: MethodAppRole, RoleIDFile: "/no/such/file", SecretIDFile: wrong}, "the login cannot be read"},
		{Auth{Method: MethodAppRole, Mount: "elsewhere", RoleIDFile: wrong, SecretIDFile: wrong}, "nothing is mounted at auth/elsewhere"},
	} {
		config := v.config(t)
		config.Auth = c.auth
		p, err := Open(t.Context(), config)
		if err == nil {
			p.Close()
		}
		wantError(t, err, vaultkeys.ErrRefused, c.says)
		if err != nil && (strings.Contains(err.Error(), "6ad9a2a3") || strings.Contains(err.Error(), "two")) {
			t.Errorf("the error repeats a credential: %v", err)
		}
	}
}

func TestConfigurationsThatAreNotRight(t *testing.T) {
	good := Config{Address: "https://vault.example:8200", Auth: Auth{Method: MethodToken, TokenEnv: "T"}}
	for _, c := range []struct {
		edit func(*Config)
		says string
	}{
		{func(c *Config) { c.Address = "vault.example:8200" }, "the address must be a URL"},
		{func(c *Config) { c.Address = "https://user:pass@vault.example" }, "must not hold a user"},
		{func(c *Config) { c.Auth = Auth{} }, "is no login method"},
		{func(c *Config) { c.Auth = Auth{Method: MethodToken} }, "needs exactly one of"},
		{func(c *Config) { c.Auth.TokenFile = "f" }, "needs exactly one of"},
		{func(c *Config) { c.Auth = Auth{Method: MethodAppRole, RoleIDFile: "f"} }, "needs a role id file"},
		{func(c *Config) { c.Auth = Auth{Method: MethodKubernetes} }, "needs a role"},
		{func(c *Config) { c.Auth = Auth{Method: MethodCert, CertFile: "f"} }, "needs a certificate file"},
		{func(c *Config) { c.LifecycleAuth = &Auth{Method: "ldap"} }, "is no login method"},
		{func(c *Config) { c.CACertFile = "/no/such/file" }, "the CA file"},
		{func(c *Config) { c.CACertFile = vaulttest.WriteFile(t, "ca", "no certificate") }, "holds no certificate"},
	} {
		config := good
		c.edit(&config)
		if _, err := Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("the error is %v, and should say %q", err, c.says)
		}
	}
}

func TestTheServersOwnCA(t *testing.T) {
	v := ownVault(t)
	t.Setenv("VAULT_SKIP_VERIFY", "true") // it must not count
	c := v.oneToken(t)
	c.Address, c.CACertFile = v.TLSAddress, v.CAFile(t)
	v.works(t, c)
	other := vaulttest.New(t)
	for _, ca := range []string{"", other.CAFile(t)} {
		c.CACertFile = ca
		_, err := Open(t.Context(), c)
		wantError(t, err, vaultkeys.ErrUnavailable, "its TLS certificate is not trusted")
	}
	c.CACertFile, c.Address = v.CAFile(t), strings.Replace(v.TLSAddress, "127.0.0.1", "127.0.0.2", 1)
	_, err := Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrUnavailable, "") // refused, or another name than the certificate's
	c.Address = strings.Replace(v.Address, "http://", "https://", 1)
	_, err = Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrUnavailable, "")
}

// The namespace goes with every request, logins and renewals too; the server of
// the tests has none, so a proxy plays the check.
func TestTheNamespaceGoesWithEveryRequest(t *testing.T) {
	v := newVault(t)
	const namespace = "teams/billing"
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("X-Vault-Namespace") != namespace || r.Header.Get("X-Vault-Request") != "true" {
			http.Error(w, `{"errors":["no namespace"]}`, http.StatusNotFound)
			return
		}
		r.Header.Del("X-Vault-Namespace")
		next.ServeHTTP(w, r)
	})
	c := v.twoRoles(t)
	c.Address, c.Namespace = proxy.Address, namespace
	p := v.works(t, c)
	must(t, p.everyday.refresh(t.Context()))
	must(t, p.Close())
	c.Namespace = ""
	_, err := Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrRefused, "")
}

// What a shell exports for Vault's own command is not Strongroom's business.
func TestVariablesOfVaultDoNotCount(t *testing.T) {
	v := newVault(t)
	c := v.oneToken(t)
	for name, value := range map[string]string{
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "hvs.wrong", "VAULT_NAMESPACE": "elsewhere", "VAULT_MAX_RETRIES": "9",
		"VAULT_CLIENT_TIMEOUT": "1ns", "VAULT_HTTP_PROXY": "http://127.0.0.1:1", "VAULT_RATE_LIMIT": "0.001:1",
	} {
		t.Setenv(name, value)
	}
	v.works(t, c)
}

// The files of a login are read anew at each one, so that a secret is exchanged
// under a running server.
func TestAnExchangedTokenIsTakenUp(t *testing.T) {
	v := newVault(t)
	c := v.config(t)
	token, path := v.Token(t, "1h", everydayPolicy, lifecyclePolicy)
	c.Auth = Auth{Method: MethodToken, TokenFile: path}
	p := v.open(t, c)
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	v.Call(t, "POST", "auth/token/revoke", map[string]any{"token": token})
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrRefused, "the everyday identity's token has ended")
	next, _ := v.Token(t, "1h", everydayPolicy, lifecyclePolicy)
	must(t, os.WriteFile(path, []byte(next+"\n"), 0o600))
	opens(t, p, key, wrapped)
}

func TestARevokedAppRoleTokenIsReplaced(t *testing.T) {
	v := newVault(t)
	c := v.config(t)
	c.Auth = v.appRole(t, "1h", "2h", everydayPolicy, lifecyclePolicy)
	p := v.open(t, c)
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	first := p.everyday.client.Token()
	v.Call(t, "POST", "auth/token/revoke", map[string]any{"token": first})
	opens(t, p, key, wrapped)
	if p.everyday.client.Token() == first {
		t.Error("the token is the revoked one")
	}
	// With the role gone as well, no login is left.
	v.Call(t, "POST", "auth/token/revoke", map[string]any{"token": p.everyday.client.Token()})
	must(t, os.WriteFile(c.Auth.SecretIDFile, []byte("no-such-secret-id"), 0o600))
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrRefused, "these credentials are not accepted")
}

// A 403 that is meant is not answered by a new login.
func TestAForbiddenRequestIsNotALogin(t *testing.T) {
	v := newVault(t)
	logins := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) })
	c := v.twoRoles(t)
	c.LifecycleAuth, c.Address = nil, logins.Address
	p := v.open(t, c)
	for range 3 {
		err := p.Create(t.Context(), "strongroom-may-not")
		wantError(t, err, vaultkeys.ErrRefused, "the policy of the everyday identity does not allow this")
	}
	if n := logins.Seen("PUT /v1/auth/approle/login"); n != 1 {
		t.Errorf("there were %d logins, want the first alone", n)
	}
}

func TestCloseRevokesWhatALoginGot(t *testing.T) {
	v := newVault(t)
	p, err := Open(t.Context(), v.twoRoles(t))
	must(t, err)
	tokens := []string{p.everyday.client.Token(), p.lifecycle.client.Token()}
	must(t, p.Close())
	for _, token := range tokens {
		if _, err := v.Try(token, "GET", "auth/token/lookup-self", nil); err == nil {
			t.Error("a token outlives the provider")
		}
	}
	// One that was given stays the giver's.
	token, path := v.Token(t, "1h", everydayPolicy)
	c := v.config(t)
	c.Auth = Auth{Method: MethodToken, TokenFile: path}
	p, err = Open(t.Context(), c)
	must(t, err)
	must(t, p.Close())
	v.Call(t, "POST", "auth/token/lookup", map[string]any{"token": token})
}

// The tokens live for two seconds and can be renewed for four: renewals and new
// logins must follow each other without a call that fails.
func TestTokensAreRenewedAndReplaced(t *testing.T) {
	v := newVault(t)
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) })
	setup := v.open(t, v.oneToken(t))
	key := v.newKey(t, setup)
	wrapped := sealed(t, setup, key)
	c := v.config(t)
	c.Address, c.Auth = proxy.Address, v.appRole(t, "2s", "4s", everydayPolicy)
	p := v.open(t, c)
	logins := func() int { return proxy.Seen("PUT /v1/auth/approle/login") }
	renewals := func() int {
		return proxy.Seen("PUT /v1/auth/token/renew-self") + proxy.Seen("POST /v1/auth/token/renew-self")
	}
	for start := time.Now(); logins() < 3 || renewals() < 2; time.Sleep(50 * time.Millisecond) {
		opens(t, p, key, wrapped)
		if time.Since(start) > time.Minute {
			t.Fatalf("after a minute there were %d logins and %d renewals", logins(), renewals())
		}
	}
}

// A token that cannot be renewed is replaced before it ends.
func TestTokensThatCannotBeRenewedAreReplaced(t *testing.T) {
	v := newVault(t)
	c := v.config(t)
	c.Auth = v.appRole(t, "2s", "2s", everydayPolicy)
	p := v.open(t, c)
	first := p.everyday.client.Token()
	for start := time.Now(); p.everyday.client.Token() == first; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("after a minute the token is still the first")
		}
	}
}

func TestCertificateLogin(t *testing.T) {
	v := ownVault(t)
	v.Mount(t, "auth/cert")
	dir := t.TempDir()
	ours, stranger := newClientCertificate(t, dir, "ours"), newClientCertificate(t, dir, "stranger")
	pem, err := os.ReadFile(ours.CertFile)
	must(t, err)
	v.Call(t, "POST", "auth/cert/certs/strongroom", map[string]any{
		"certificate": string(pem), "token_policies": []string{everydayPolicy, lifecyclePolicy},
	})
	c := v.config(t)
	c.Address, c.CACertFile, c.Auth = v.TLSAddress, v.CAFile(t), ours
	v.works(t, c)
	c.Auth.Role = "strongroom"
	v.works(t, c)
	c.Auth.Role = "another"
	_, err = Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrRefused, "these credentials are not accepted")
	c.Auth = stranger
	_, err = Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrRefused, "these credentials are not accepted")
	c.Auth = ours
	c.Auth.KeyFile = filepath.Join(dir, "missing")
	_, err = Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrUnavailable, "the client certificate")
}
