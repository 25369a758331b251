package app

import (
	"crypto/x509"
	"fmt"
	"os"

	"strongroom/internal/config"
	"strongroom/internal/outbound"
)

// maxKeys bounds what is fetched: a key set or a discovery document, in bytes.
const maxKeys = 256 << 10

// outboundGuard returns what fetches the keys of clients and issuers.
func outboundGuard(c config.Outbound) (*outbound.Guard, error) {
	o := outbound.Options{Allow: c.Allow, MaxBody: maxKeys}
	if c.CACertFile != "" {
		pem, err := os.ReadFile(c.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("outbound.ca_cert_file: %w", err)
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("outbound.ca_cert_file: %s holds no PEM certificate", c.CACertFile)
		}
	}
	return outbound.New(o), nil
}
