// Package tlsconf makes the TLS configuration of the server, and the
// certificates that a development server needs.
package tlsconf

import (
	"crypto/tls"
	"fmt"
)

// Server returns the configuration of a server that shows the certificate
// chain and key of two PEM files. It speaks TLS 1.3 and nothing older, and
// HTTP/2 or HTTP/1.1 as the client likes.
func Server(certFile, keyFile string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("tlsconf: the server certificate: %w", err)
	}
	return Config(pair), nil
}

// Config is Server for a certificate that is in memory.
func Config(pair tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"h2", "http/1.1"},
	}
}
