package tlsconf

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// acmeProtocol is what an ACME server asks for by ALPN when it checks that the
// name is ours (RFC 8737).
const acmeProtocol = "acme-tls/1"

// ACME says where certificates come from.
type ACME struct {
	Directory string   // the URL of the ACME server's directory
	Email     string   // of the account; may be empty
	Domains   []string // the names of the certificate
	CAFile    string   // of the ACME server; empty: the system's
	CacheDir  string   // of account and certificates, readable by the owner alone
	Listen    string   // where the server listens, which the ACME server reaches as port 443

	// Every is how often it is looked whether a certificate is due; default 10
	// minutes.
	Every time.Duration
}

// manager gets certificates and renews them when a third of their life is left.
type manager struct {
	o      ACME
	cache  *certmagic.Cache
	config *certmagic.Config
	logger *slog.Logger

	mu     sync.Mutex
	failed string
}

func newManager(o ACME, logger *slog.Logger) (*manager, error) {
	roots, err := rootsOf(o.CAFile)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(o.Listen)
	number, perr := strconv.Atoi(port)
	if err = errors.Join(err, perr); err != nil {
		return nil, fmt.Errorf("tlsconf: the address for the challenges of ACME: %w", err)
	}
	m := &manager{o: o, logger: logger}
	quiet := zap.NewNop() // what matters comes as events, and is told to our own log
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: o.Every, Logger: quiet,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage:           &certmagic.FileStorage{Path: o.CacheDir},
		OCSP:              certmagic.OCSPConfig{DisableStapling: true},
		DefaultServerName: o.Domains[0], Logger: quiet, OnEvent: m.event,
	})
	m.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: o.Directory, Email: o.Email, Agreed: true, TrustedRoots: roots, Logger: quiet,
		DisableHTTPChallenge: true, DisableDistributedSolvers: true, ListenHost: host, AltTLSALPNPort: number,
		HTTPProxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	})}
	return m, nil
}

func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tlsconf: the CA of the ACME server: %w", err)
	}
	roots, err := pool(text)
	if err != nil {
		return nil, fmt.Errorf("tlsconf: the CA of the ACME server: %w", err)
	}
	return roots, nil
}

// start begins to get what is not there. Until it is, handshakes fail.
func (m *manager) start(ctx context.Context) error {
	if err := os.MkdirAll(m.o.CacheDir, 0o700); err != nil {
		return fmt.Errorf("tlsconf: the folder of ACME: %w", err)
	}
	if err := m.config.ManageAsync(ctx, m.o.Domains); err != nil {
		return fmt.Errorf("tlsconf: ACME: %w", err)
	}
	return nil
}

func (m *manager) stop() { m.cache.Stop() }

// event hears what happens to certificates. It must not stop anything, so it
// returns no error.
func (m *manager) event(_ context.Context, name string, data map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch name {
	case "cert_obtained":
		m.failed = ""
		m.logger.Info("a certificate was obtained", "domain", data["identifier"])
	case "cert_failed":
		m.failed = "no certificate was obtained from the ACME server; see the log"
		m.logger.Error("no certificate was obtained", "domain", data["identifier"], "error", data["error"])
	}
	return nil
}

func (m *manager) trouble() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// first returns the certificate that runs out first; nil while one is missing.
func (m *manager) first() (earliest *x509.Certificate) {
	for _, domain := range m.o.Domains {
		var newest *x509.Certificate
		for _, c := range m.cache.AllMatchingCertificates(domain) {
			if newest == nil || c.Leaf.NotAfter.After(newest.NotAfter) {
				newest = c.Leaf
			}
		}
		if newest == nil {
			return nil
		}
		if earliest == nil || newest.NotAfter.Before(earliest.NotAfter) {
			earliest = newest
		}
	}
	return earliest
}
