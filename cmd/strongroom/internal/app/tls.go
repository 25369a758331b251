package app

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"strongroom/internal/tlsconf"
)

// certificate is a server certificate that can change while it is served.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

func (c *certificate) load(certFile, keyFile string) error {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("the server certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// serverTLS returns what both listeners show.
func (a *App) serverTLS() (*tls.Config, error) {
	if a.dev != nil {
		return a.dev.tls.Config, nil
	}
	if err := a.certificate.load(a.config.TLS.CertFile, a.config.TLS.KeyFile); err != nil {
		return nil, err
	}
	t := tlsconf.Config(*a.certificate.current.Load())
	t.Certificates, t.GetCertificate = nil, a.certificate.get
	if a.config.TLS.MinVersion == "1.2" {
		t.MinVersion = tls.VersionTLS12
	}
	return t, nil
}
