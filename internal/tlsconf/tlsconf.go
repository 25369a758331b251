// Package tlsconf makes the TLS configuration of the server: which versions and
// keys it agrees to, the certificate it shows and those it asks clients for, read
// again when their files change or renewed over ACME (RFC 8555), and the
// certificates that a development server needs.
package tlsconf

import (
	"crypto/tls"
)

// suites12 are the cipher suites of TLS 1.2 that a server which must speak it
// agrees to: forward secrecy and authenticated encryption, nothing else. Those
// of TLS 1.3 are all such and cannot be chosen.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
}

// exchanges are the key exchanges. The first three are hybrids of an elliptic
// curve and ML-KEM: what is recorded today stays closed to a quantum computer
// of tomorrow. Naming them keeps a setting of the environment from turning them
// off; the others are for clients that lack them.
var exchanges = []tls.CurveID{
	tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024,
	tls.X25519, tls.CurveP256, tls.CurveP384,
}

// base is the configuration without a certificate: TLS from version up, HTTP/2
// or HTTP/1.1 as the client likes. Sessions are not resumed: a handshake costs
// less than a millisecond and connections are few and long, while a ticket would
// let a client back in whose CA was taken away, and its key would open what was
// recorded.
func base(version uint16) *tls.Config {
	if version < tls.VersionTLS12 {
		version = tls.VersionTLS13
	}
	return &tls.Config{
		MinVersion: version, CipherSuites: suites12, CurvePreferences: exchanges,
		NextProtos: []string{"h2", "http/1.1"}, SessionTicketsDisabled: true,
	}
}
