package app

import (
	"crypto/tls"
	"log/slog"

	"strongroom/internal/config"
	"strongroom/internal/tlsconf"
)

// TLSOptions says what the configuration says of TLS. A development server
// shows its own certificate.
func TLSOptions(c config.Config, dev *Dev, logger *slog.Logger) tlsconf.Options {
	o := tlsconf.Options{
		CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Logger: logger,
		ClientAuth: clientAuth[c.TLS.ClientAuth], ClientCAFile: c.TLS.ClientCAFile, MinVersion: tls.VersionTLS13,
	}
	if c.TLS.MinVersion == "1.2" {
		o.MinVersion = tls.VersionTLS12
	}
	switch {
	case dev != nil:
		o.CertFile, o.KeyFile = dev.tls.CertFile, dev.tls.KeyFile
	case c.TLS.ACME.Directory != "":
		a := c.TLS.ACME
		o.ACME = &tlsconf.ACME{
			Directory: a.Directory, Email: a.Email, Domains: a.Domains,
			CAFile: a.CAFile, CacheDir: a.CacheDir, Listen: c.Listen,
		}
	}
	return o
}
