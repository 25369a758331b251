package app

import (
	"crypto/x509"
	"fmt"
	"os"

	"strongroom/internal/config"
	"strongroom/internal/outbound"
)

// outboundClient returns what fetches the keys of clients and issuers.
func outboundClient(c config.Outbound) (*outbound.Client, error) {
	allow, err := outbound.ParseNetworks(c.Allow)
	if err != nil {
		return nil, fmt.Errorf("outbound.allow: %w", err)
	}
	o := outbound.Options{Allow: allow}
	if c.CACertFile != "" {
		pem, err := os.ReadFile(c.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("outbound.ca_cert_file: %w", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("outbound.ca_cert_file: %s holds no PEM certificate", c.CACertFile)
		}
	}
	return outbound.New(o), nil
}
