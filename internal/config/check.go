package config

import (
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker gathers what is wrong.
type checker struct{ bad Invalid }

func (k *checker) fail(member, detail string) {
	k.bad.Issues = append(k.bad.Issues, Issue{Member: member, Detail: detail})
}

func (k *checker) need(member, value string) bool {
	if value == "" {
		k.fail(member, "is needed")
		return false
	}
	return true
}

func (k *checker) oneOf(member, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.fail(member, "must be one of "+strings.Join(allowed, ", "))
	}
}

func (k *checker) between(member string, value, low, high Duration) {
	if value < low || value > high {
		k.fail(member, "must be from "+time.Duration(low).String()+" to "+time.Duration(high).String())
	}
}

func (k *checker) atLeast(member string, value, low, high int) {
	if value < low || value > high {
		k.fail(member, "must be from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
}

// address checks host:port; a port of 0 lets the system choose.
func (k *checker) address(member, value string) {
	_, port, err := net.SplitHostPort(value)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		k.fail(member, "must be an address and a port, like 0.0.0.0:8443")
	}
}

// file checks that a file is named and can be read. An empty name is an issue
// only when it is needed.
func (k *checker) file(member, path string, needed bool) {
	if path == "" {
		if needed {
			k.need(member, path)
		}
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		k.fail(member, "there is no such file that can be read")
	case info.IsDir():
		k.fail(member, "is a folder, and must be a file")
	}
}

// Check returns an *Invalid that tells everything that is wrong, or nil. It
// looks at the files that members name; it asks no server anything.
func (c *Config) Check() error {
	k := &checker{}
	k.need("data_dir", c.DataDir)
	k.need("audit_dir", c.AuditDir)
	k.address("listen", c.Listen)
	k.address("ops_listen", c.OpsListen)
	c.checkIssuer(k)
	k.between("token_lifetime", c.TokenLifetime, Duration(time.Minute), Duration(24*time.Hour))
	k.between("signing_key_every", c.SigningKeyEvery, Duration(time.Hour), Duration(365*24*time.Hour))
	k.file("outbound.ca_cert_file", c.Outbound.CACertFile, false)
	k.between("drain_delay", c.DrainDelay, 0, Duration(10*time.Minute))
	k.between("drain_timeout", c.DrainTimeout, Duration(time.Second), Duration(time.Hour))
	if c.CompactEvery != 0 {
		k.between("compact_every", c.CompactEvery, Duration(time.Minute), Duration(365*24*time.Hour))
	}
	k.between("erasure.promise", c.Erasure.Promise, Duration(time.Hour), Duration(10*365*24*time.Hour))
	k.oneOf("two_person", c.TwoPerson, On, Off)
	k.oneOf("trusted_proxy_header", c.TrustedProxyHeader, "x-forwarded-for", "forwarded")
	k.narrow("trusted_proxies", c.TrustedProxies)
	k.narrow("outbound.allow", c.Outbound.Allow)
	c.checkTLS(k)
	c.checkKeys(k)
	c.checkLeases(k)
	c.checkRotation(k)
	c.checkLimits(k)
	if new(slog.Level).UnmarshalText([]byte(c.Log.Level)) != nil {
		k.fail("log.level", "must be one of debug, info, warn, error")
	}
	if len(k.bad.Issues) > 0 {
		return &k.bad
	}
	return nil
}

func (c *Config) checkIssuer(k *checker) {
	if u, err := url.Parse(c.Issuer); c.Issuer != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		k.fail("issuer", "must be an https URL without query and fragment")
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || *u != (url.URL{Scheme: "https", Host: u.Host}) || u.Host == "" {
			k.fail("origins", "must be URLs like https://host:port")
		}
	}
}

func (c *Config) checkKeys(k *checker) {
	k.oneOf("keys.provider", c.Keys.Provider, ProviderKeyring, ProviderVault)
	switch c.Keys.Provider {
	case ProviderKeyring:
		c.checkKeyring(k)
	case ProviderVault:
		c.checkVault(k)
	}
}

func (c *Config) checkKeyring(k *checker) {
	r := c.Keys.Keyring
	if k.need("keys.keyring.path", r.Path) && within(c.DataDir, r.Path) {
		k.fail("keys.keyring.path", "must not lie in data_dir: whoever copies that would have both")
	}
	given := 0
	for _, v := range []string{r.PassphraseFile, r.PassphraseEnv, r.KeyFile} {
		if v != "" {
			given++
		}
	}
	if given != 1 {
		k.fail("keys.keyring", "needs exactly one of passphrase_file, passphrase_env, key_file")
	}
	k.file("keys.keyring.passphrase_file", r.PassphraseFile, false)
	k.file("keys.keyring.key_file", r.KeyFile, false)
	k.variable("keys.keyring.passphrase_env", r.PassphraseEnv)
}

// variable checks that the environment holds a variable that is named.
func (k *checker) variable(member, name string) {
	if name != "" && os.Getenv(name) == "" {
		k.fail(member, "the environment holds no such variable, or an empty one")
	}
}

// within reports whether path lies in the folder dir.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (c *Config) checkVault(k *checker) {
	v := c.Keys.Vault
	if u, err := url.Parse(v.Address); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		k.fail("keys.vault.address", "must be a URL like https://vault.example:8200")
	} else if host := u.Hostname(); u.Scheme == "http" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		k.fail("keys.vault.address", "must be https unless it is a loopback address")
	}
	k.need("keys.vault.mount", v.Mount)
	k.file("keys.vault.ca_cert_file", v.CACertFile, false)
	k.between("keys.vault.timeout", v.Timeout, Duration(100*time.Millisecond), Duration(time.Minute))
	k.atLeast("keys.vault.retries", v.Retries, 0, 10)
	k.auth("keys.vault.auth", v.Auth)
	if v.LifecycleAuth.Method != "" {
		k.auth("keys.vault.lifecycle_auth", v.LifecycleAuth)
	} else if v.LifecycleAuth != (Auth{}) {
		k.need("keys.vault.lifecycle_auth.method", "")
	}
}

// auth checks a way to log in: what its method needs is there.
func (k *checker) auth(member string, a Auth) {
	k.oneOf(member+".method", a.Method, AuthToken, AuthAppRole, AuthKubernetes, AuthCert)
	switch a.Method {
	case AuthToken:
		if (a.TokenFile == "") == (a.TokenEnv == "") {
			k.fail(member, "needs one of token_file, token_env")
		}
		k.file(member+".token_file", a.TokenFile, false)
		k.variable(member+".token_env", a.TokenEnv)
	case AuthAppRole:
		k.file(member+".role_id_file", a.RoleIDFile, true)
		k.file(member+".secret_id_file", a.SecretIDFile, true)
	case AuthKubernetes:
		k.need(member+".role", a.Role)
		k.file(member+".jwt_file", a.JWTFile, false)
	case AuthCert:
		k.file(member+".cert_file", a.CertFile, true)
		k.file(member+".key_file", a.KeyFile, true)
	}
}

func (c *Config) checkLeases(k *checker) {
	l := c.Leases
	k.atLeast("leases.capacity", l.Capacity, 1, 1<<20)
	k.between("leases.lease", l.Lease, Duration(10*time.Second), Duration(24*time.Hour))
	k.between("leases.hard_cap", l.HardCap, l.Lease, Duration(7*24*time.Hour))
	k.between("leases.refresh", l.Refresh, Duration(time.Second), l.Lease/2)
	k.between("leases.deadline", l.Deadline, Duration(100*time.Millisecond), Duration(time.Minute))
}

// checkRotation wants a grace that outlasts what is held in memory, and a
// ledger that does not go with the data.
func (c *Config) checkRotation(k *checker) {
	const day = Duration(24 * time.Hour)
	k.between("rotation.grace", c.Rotation.Grace, c.Leases.HardCap, 90*day)
	p := c.Rotation.Cryptoperiods
	k.between("rotation.cryptoperiods.kek", p.KEK, day, 3650*day)
	k.between("rotation.cryptoperiods.wrapping", p.Wrapping, day, 3650*day)
	k.between("rotation.cryptoperiods.index", p.Index, day, 3650*day)
	if c.LedgerDir != "" && within(c.DataDir, c.LedgerDir) {
		k.fail("ledger_dir", "must not lie in data_dir: it is there for when that is put back as it was")
	}
}

func (c *Config) checkLimits(k *checker) {
	k.atLeast("limits.body_bytes", c.Limits.BodyBytes, 1<<10, 64<<20)
	k.atLeast("limits.record_bytes", c.Limits.RecordBytes, 1<<10, 64<<20)
	k.atLeast("limits.fields", c.Limits.Fields, 1, 1<<16)
	k.atLeast("limits.integrations", c.Limits.Integrations, 1, 1<<20)
}
