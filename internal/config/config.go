// Package config reads what a server is told: one YAML file, each value of
// which can also come from the environment. It is strict, because a misspelt
// member that is ignored is a setting that nobody made.
//
// A member's variable is its path in capitals, joined by underscores, after
// STRONGROOM_: keys.vault.address is STRONGROOM_KEYS_VAULT_ADDRESS. The
// environment wins over the file. Secrets are never members: a member names the
// file, or the variable, that holds one.
package config

import (
	"time"
)

// Duration is a time.Duration that is written like 15m or 1h30m.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Config is everything that a server is told. A relative path in the file is
// relative to the file's folder, one in the environment to the working
// directory.
type Config struct {
	DataDir  string `yaml:"data_dir" path:"yes"`
	AuditDir string `yaml:"audit_dir" path:"yes"`
	// LedgerDir is where erasures and revocations are written down that a
	// restore must not undo. Empty: the folder ledger beside data_dir.
	LedgerDir string `yaml:"ledger_dir" path:"yes"`
	Listen    string `yaml:"listen"`
	OpsListen string `yaml:"ops_listen"`
	// Issuer is the URL that clients reach the server by: the iss claim of its
	// tokens. Empty: https:// and the listen address.
	Issuer string `yaml:"issuer"`
	// Origins are the other URLs that clients reach the server by: proofs of
	// possession (DPoP) may be made for each.
	Origins Names `yaml:"origins"`
	// TrustedProxies are the networks whose word on a caller's address counts,
	// and TrustedProxyHeader is where they say it.
	TrustedProxies     Networks `yaml:"trusted_proxies"`
	TrustedProxyHeader string   `yaml:"trusted_proxy_header"` // x-forwarded-for or forwarded

	TokenLifetime Duration `yaml:"token_lifetime"`
	// SigningKeyEvery is how long a key signs access tokens before the next
	// one does. The old one verifies until its last token has expired.
	SigningKeyEvery Duration `yaml:"signing_key_every"`
	// DrainDelay is how long /readyz says no before a server that was told to
	// stop takes no more connections.
	DrainDelay Duration `yaml:"drain_delay"`
	// DrainTimeout bounds how long requests under way may take to finish then.
	DrainTimeout Duration `yaml:"drain_timeout"`
	// CompactEvery is how often the data file is compacted while the server
	// runs: it ends what erasures leave in free pages. 0: never.
	CompactEvery Duration `yaml:"compact_every"`
	// TwoPerson on has changes that widen access to values wait for a second
	// person. It switches the store's own setting on, and never off.
	TwoPerson string `yaml:"two_person"`

	TLS      TLS      `yaml:"tls"`
	Outbound Outbound `yaml:"outbound"`
	Keys     Keys     `yaml:"keys"`
	Rotation Rotation `yaml:"rotation"`
	Erasure  Erasure  `yaml:"erasure"`
	Leases   Leases   `yaml:"leases"`
	Limits   Limits   `yaml:"limits"`
	Log      Log      `yaml:"log"`
}

// Erasure says what is promised of erasures.
type Erasure struct {
	// Promise is how long after an erasure a copy of the keys may still open
	// what was erased: a copy of the keyring expires after it.
	Promise Duration `yaml:"promise"`
}

// The ways to treat certificates of clients.
const (
	ClientAuthNone     = "none"     // none is asked for
	ClientAuthOptional = "optional" // one that client_ca_file vouches for, or none
	ClientAuthAny      = "any"      // any: whoever registered it is recognised by it
)

// The values of a switch.
const (
	On  = "on"
	Off = "off"
)

// TLS names the server's certificate chain and key, PEM files both, or the ACME
// server that gives it one, and says how clients are met. The files are read
// again when they change.
type TLS struct {
	CertFile     string `yaml:"cert_file" path:"yes"`
	KeyFile      string `yaml:"key_file" path:"yes"`
	MinVersion   string `yaml:"min_version"` // 1.3 or 1.2
	ClientAuth   string `yaml:"client_auth"`
	ClientCAFile string `yaml:"client_ca_file" path:"yes"`
	ACME         ACME   `yaml:"acme"`
}

// ACME gets the server's certificate from an ACME server (RFC 8555), by the
// tls-alpn-01 challenge on the API's own listener. Without a directory it is off.
type ACME struct {
	Directory string `yaml:"directory"` // the URL of the directory
	Email     string `yaml:"email"`
	Domains   Names  `yaml:"domains"`
	CAFile    string `yaml:"ca_file" path:"yes"`   // of the ACME server; empty: the system's
	CacheDir  string `yaml:"cache_dir" path:"yes"` // of account and certificates
}

// Outbound says where the server may fetch key sets and discovery documents
// from that clients and issuers keep.
type Outbound struct {
	Allow      Networks `yaml:"allow"`                   // networks that are allowed although they are not public
	CACertFile string   `yaml:"ca_cert_file" path:"yes"` // PEM, instead of the system's
}

// The providers of key-encryption keys.
const (
	ProviderKeyring = "keyring"
	ProviderVault   = "vault"
)

// Keys says where key-encryption keys are.
type Keys struct {
	Provider string  `yaml:"provider"`
	Keyring  Keyring `yaml:"keyring"`
	Vault    Vault   `yaml:"vault"`
}

// Keyring is the local file of keys, and what unseals it: exactly one of the
// three.
type Keyring struct {
	Path           string `yaml:"path" path:"yes"`
	PassphraseFile string `yaml:"passphrase_file" path:"yes"`
	PassphraseEnv  string `yaml:"passphrase_env"` // the name of the variable
	KeyFile        string `yaml:"key_file" path:"yes"`
}

// Vault is a transit secrets engine.
type Vault struct {
	Address       string   `yaml:"address"`
	Namespace     string   `yaml:"namespace"`
	Mount         string   `yaml:"mount"`
	CACertFile    string   `yaml:"ca_cert_file" path:"yes"`
	Timeout       Duration `yaml:"timeout"`
	Retries       int      `yaml:"retries"`
	Auth          Auth     `yaml:"auth"`
	LifecycleAuth Auth     `yaml:"lifecycle_auth"` // without a method: auth serves both
}

// The ways to log in to Vault.
const (
	AuthToken      = "token"
	AuthAppRole    = "approle"
	AuthKubernetes = "kubernetes"
	AuthCert       = "cert"
)

// Auth is one way to log in. Which members count depends on the method.
type Auth struct {
	Method       string `yaml:"method"`
	Mount        string `yaml:"mount"`
	TokenFile    string `yaml:"token_file" path:"yes"`
	TokenEnv     string `yaml:"token_env"` // the name of the variable
	RoleIDFile   string `yaml:"role_id_file" path:"yes"`
	SecretIDFile string `yaml:"secret_id_file" path:"yes"`
	Role         string `yaml:"role"`
	JWTFile      string `yaml:"jwt_file" path:"yes"`
	CertFile     string `yaml:"cert_file" path:"yes"`
	KeyFile      string `yaml:"key_file" path:"yes"`
}

// Rotation holds what rotations do unless they are told otherwise, and for how
// long keys are meant to be used.
type Rotation struct {
	// Grace is how long an old key stays disabled before it is deleted: until
	// then a rotation can be rolled back.
	Grace Duration `yaml:"grace"`
	// Cryptoperiods are for how long a key of each kind is meant to be used
	// (NIST SP 800-57 part 1, section 5.3.6). One that is used for longer is
	// told by the key inventory and the metrics.
	Cryptoperiods Cryptoperiods `yaml:"cryptoperiods"`
}

// Cryptoperiods are how long keys are meant to be used, by what they do.
type Cryptoperiods struct {
	KEK      Duration `yaml:"kek"`      // wraps keysets
	Wrapping Duration `yaml:"wrapping"` // wraps data-encryption keys
	Index    Duration `yaml:"index"`    // makes index tokens and pseudonyms
}

// Leases bound how long unwrapped keysets are held in memory.
type Leases struct {
	Capacity int      `yaml:"capacity"` // integrations held at a time
	Lease    Duration `yaml:"lease"`
	Refresh  Duration `yaml:"refresh"` // how often one in use is unwrapped anew
	HardCap  Duration `yaml:"hard_cap"`
	Deadline Duration `yaml:"deadline"`
}

// Limits bound what requests bring and what a store holds.
type Limits struct {
	BodyBytes    int `yaml:"body_bytes"`
	RecordBytes  int `yaml:"record_bytes"`
	Fields       int `yaml:"fields"`
	Integrations int `yaml:"integrations"`
}

// Log says what is logged. SIGHUP reads it again.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn or error
}

// Default returns the values that count when neither file nor environment
// gives one.
func Default() Config {
	return Config{
		Listen:        "127.0.0.1:8443",
		OpsListen:     "127.0.0.1:8444",
		TokenLifetime: Duration(15 * time.Minute), SigningKeyEvery: Duration(30 * 24 * time.Hour),
		DrainTimeout: Duration(30 * time.Second),
		CompactEvery: Duration(24 * time.Hour),
		TLS:          TLS{MinVersion: "1.3", ClientAuth: ClientAuthNone},

		TwoPerson:          Off,
		TrustedProxyHeader: "x-forwarded-for",
		Keys: Keys{
			Provider: ProviderKeyring,
			Vault:    Vault{Mount: "transit", Timeout: Duration(2 * time.Second), Retries: 1},
		},
		Rotation: Rotation{Grace: Duration(2 * time.Hour), Cryptoperiods: Cryptoperiods{
			KEK: Duration(365 * 24 * time.Hour), Wrapping: Duration(365 * 24 * time.Hour), Index: Duration(2 * 365 * 24 * time.Hour)}},
		Erasure: Erasure{Promise: Duration(30 * 24 * time.Hour)},
		Leases: Leases{
			Capacity: 1024, Lease: Duration(15 * time.Minute), Refresh: Duration(10 * time.Second),
			HardCap: Duration(time.Hour), Deadline: Duration(2 * time.Second),
		},
		Limits: Limits{BodyBytes: 1 << 20, RecordBytes: 1 << 20, Fields: 256, Integrations: 1000},
		Log:    Log{Level: "info"},
	}
}
