package transit

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config says where the transit engine is and who asks. Nothing is taken from
// VAULT_ variables of the environment.
type Config struct {
	Address    string        // a URL like https://vault.example:8200
	Namespace  string        // empty: the root namespace
	Mount      string        // of the transit engine; empty: transit
	CACertFile string        // PEM; empty: the system's roots
	Timeout    time.Duration // of each call with all its retries; 0: 2 s
	// Retries is how often a call is tried again, at most, within its Timeout,
	// when the server could not be reached or said 5xx. 0: never.
	Retries int
	// Auth is the everyday identity: it wraps and unwraps.
	Auth Auth
	// LifecycleAuth is the identity that makes, rotates and destroys keys.
	// nil: Auth does that too.
	LifecycleAuth *Auth
}

// The ways to log in.
const (
	MethodToken      = "token"      // TokenFile or TokenEnv
	MethodAppRole    = "approle"    // RoleIDFile, SecretIDFile
	MethodKubernetes = "kubernetes" // Role, JWTFile
	MethodCert       = "cert"       // CertFile, KeyFile; Role may name the certificate role
)

// Auth is one way to log in. Secrets come from files and variables, which are
// read anew at each login, so that they can be exchanged under a running
// server.
type Auth struct {
	Method       string
	Mount        string // of the auth method; empty: as the method is called
	TokenFile    string
	TokenEnv     string // the name of the variable
	RoleIDFile   string
	SecretIDFile string
	Role         string
	JWTFile      string // empty: where Kubernetes puts a service account's token
	CertFile     string // PEM, the client's certificate chain
	KeyFile      string // PEM, its key
}

const (
	defaultMount   = "transit"
	defaultTimeout = 2 * time.Second
	defaultJWTFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// checked returns the configuration with its defaults filled in, or a sentence
// that says what is wrong with it.
func (c Config) checked() (Config, error) {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return c, errors.New("vault: the address must be a URL like https://vault.example:8200")
	}
	if u.User != nil {
		return c, errors.New("vault: the address must not hold a user or a password")
	}
	c.Address = strings.TrimSuffix(c.Address, "/")
	c.Mount = cmp.Or(strings.Trim(c.Mount, "/"), defaultMount)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Retries = max(c.Retries, 0)
	if c.Auth, err = c.Auth.checked(); err != nil {
		return c, err
	}
	if c.LifecycleAuth != nil {
		lifecycle, err := c.LifecycleAuth.checked()
		if err != nil {
			return c, err
		}
		c.LifecycleAuth = &lifecycle
	}
	return c, nil
}

func (a Auth) checked() (Auth, error) {
	a.Mount = cmp.Or(strings.Trim(a.Mount, "/"), a.Method)
	var complete bool
	switch a.Method {
	case MethodToken:
		complete = (a.TokenFile == "") != (a.TokenEnv == "")
	case MethodAppRole:
		complete = a.RoleIDFile != "" && a.SecretIDFile != ""
	case MethodKubernetes:
		a.JWTFile = cmp.Or(a.JWTFile, defaultJWTFile)
		complete = a.Role != ""
	case MethodCert:
		complete = a.CertFile != "" && a.KeyFile != ""
	default:
		return a, fmt.Errorf("vault: %q is no login method: use token, approle, kubernetes or cert", a.Method)
	}
	if !complete {
		return a, fmt.Errorf("vault: the login method %s needs %s", a.Method, needs[a.Method])
	}
	return a, nil
}

var needs = map[string]string{
	MethodToken:      "exactly one of a token file and a token variable",
	MethodAppRole:    "a role id file and a secret id file",
	MethodKubernetes: "a role",
	MethodCert:       "a certificate file and a key file",
}
