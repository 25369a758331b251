// Package client speaks to a Strongroom server: typed methods over its REST
// API, access tokens fetched and refreshed as needed, and errors that keep
// their meaning across the wire, so that
//
//	errors.Is(err, client.ErrNotFound)
//
// holds wherever the server said so. A Client is safe for concurrent use; make
// one for each server and principal, and share it.
package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The environment that FromEnv reads. `strongroom serve --dev` writes a file
// that exports all four.
const (
	EnvURL          = "STRONGROOM_URL"
	EnvCACert       = "STRONGROOM_CACERT"
	EnvClientID     = "STRONGROOM_CLIENT_ID"
	EnvClientSecret = "STRONGROOM_CLIENT_SECRET"

	// Instead of a secret: the file of a private key, or of a token of an
	// outside issuer.
	EnvClientKeyFile = "STRONGROOM_CLIENT_KEY_FILE"
	EnvAssertionFile = "STRONGROOM_ASSERTION_FILE"
	// What tokens are bound to: EnvDPoP being true, to a key that is made for
	// the process; to the certificate in these PEM files, which is also how the
	// client authenticates when there is nothing else.
	EnvDPoP       = "STRONGROOM_DPOP"
	EnvClientCert = "STRONGROOM_CLIENT_CERT"
	EnvClientKey  = "STRONGROOM_CLIENT_KEY"
	// EnvIssuer names the server's issuer when that is not EnvURL.
	EnvIssuer = "STRONGROOM_ISSUER"
)

// Config says which server to speak to, and as whom. Exactly one of
// ClientSecret, PrivateKey and AssertionFile proves that, or the certificate
// when there is none of them.
type Config struct {
	URL          string // https://host:port, without a path
	CACertFile   string // PEM file of the authorities to trust; empty: the system's
	ClientID     string // may be left out with AssertionFile
	ClientSecret Secret
	// PrivateKey signs an assertion for every token (private_key_jwt, RFC
	// 7523): Ed25519, ECDSA P-256 or RSA.
	PrivateKey PrivateKey
	KeyID      string // its kid in the registered set; empty: its thumbprint
	Issuer     string // whom assertions are for; empty: URL
	// AssertionFile holds a token of an outside issuer, which is exchanged for
	// one of the server's. It is read again each time: its owner renews it.
	AssertionFile string

	// DPoP binds access tokens to a key that is made for this Client and never
	// leaves it (RFC 9449): a token that is stolen is worth nothing without it.
	DPoP bool
	// ClientCertFile and ClientKeyFile are PEM files of a certificate that is
	// shown to the server (RFC 8705). Tokens are bound to it where the client
	// is registered so.
	ClientCertFile string
	ClientKeyFile  string

	Timeout time.Duration // of one attempt of a call that does not stream; default 30 s
	Retries int           // further attempts after the first; default 3, negative for none

	// HTTPClient replaces the client made from the files above; for tests.
	HTTPClient *http.Client
	UserAgent  string
}

// Client is one principal at one server.
type Client struct {
	base      string
	http      *http.Client
	tokens    *tokenSource
	prover    *prover // nil: tokens are bearer tokens
	timeout   time.Duration
	retries   int
	userAgent string
	sleep     func(done <-chan struct{}, d time.Duration) bool
}

// New returns a client. It does not speak to the server: the first call does,
// and fetches the access token then.
func New(c Config) (*Client, error) {
	base, err := baseURL(c.URL)
	if err != nil {
		return nil, err
	}
	proof, err := c.proof(base)
	if err != nil {
		return nil, err
	}
	hc := c.HTTPClient
	if hc == nil {
		if hc, err = newHTTPClient(c); err != nil {
			return nil, err
		}
	}
	cl := &Client{
		base: base, http: hc, sleep: sleep,
		timeout: orDefault(c.Timeout, 30*time.Second), retries: retriesOf(c.Retries),
		userAgent: orDefault(c.UserAgent, "strongroom-go"),
	}
	if c.DPoP {
		if cl.prover, err = newProver(); err != nil {
			return nil, err
		}
	}
	cl.tokens = newTokenSource(cl.fetchToken(proof), time.Now)
	return cl, nil
}

// FromEnv returns the configuration that the environment holds.
func FromEnv() (Config, error) {
	c := Config{
		URL: os.Getenv(EnvURL), CACertFile: os.Getenv(EnvCACert),
		ClientID: os.Getenv(EnvClientID), ClientSecret: NewSecret(os.Getenv(EnvClientSecret)),
		Issuer: os.Getenv(EnvIssuer), AssertionFile: os.Getenv(EnvAssertionFile),
		ClientCertFile: os.Getenv(EnvClientCert), ClientKeyFile: os.Getenv(EnvClientKey),
	}
	var err error
	if c.DPoP, err = boolFromEnv(EnvDPoP); err != nil {
		return c, err
	}
	if name := os.Getenv(EnvClientKeyFile); name != "" {
		key, err := LoadPrivateKey(name)
		if err != nil {
			return c, err
		}
		c.PrivateKey = key
	}
	other := !c.PrivateKey.IsZero() || c.AssertionFile != "" || c.ClientCertFile != ""
	var missing []string
	for _, v := range []struct {
		name string
		set  bool
	}{{EnvURL, c.URL != ""}, {EnvClientID, c.ClientID != "" || c.AssertionFile != ""}, {EnvClientSecret, other || !c.ClientSecret.IsZero()}} {
		if !v.set {
			missing = append(missing, v.name)
		}
	}
	if len(missing) > 0 {
		return c, fmt.Errorf("the environment lacks %s; a server in dev mode writes them all to dev.env: source it", strings.Join(missing, ", "))
	}
	return c, nil
}

func boolFromEnv(name string) (bool, error) {
	text := os.Getenv(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s must be true or false", name)
	}
	return value, nil
}

// URL returns the server's base URL.
func (c *Client) URL() string { return c.base }

// CloseIdleConnections closes connections that no call uses.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

func baseURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", errors.New("client: the URL must be one like https://127.0.0.1:8443")
	}
	if u.Scheme != "https" {
		return "", errors.New("client: the URL must begin with https://")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("client: the URL must have no path, query or user")
	}
	return "https://" + u.Host, nil
}

func newHTTPClient(c Config) (*http.Client, error) {
	roots, err := loadRoots(c.CACertFile)
	if err != nil {
		return nil, err
	}
	certificate, err := certificateOf(c.ClientCertFile, c.ClientKeyFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, GetClientCertificate: certificate},
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: 5 * time.Second,
			ForceAttemptHTTP2:     true,
			ResponseHeaderTimeout: 0, // the context of each attempt bounds it
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func loadRoots(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("client: read the CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client: %s holds no PEM certificate", caFile)
	}
	return pool, nil
}

func retriesOf(n int) int {
	switch {
	case n < 0:
		return 0
	case n == 0:
		return 3
	}
	return n
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func sleep(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
