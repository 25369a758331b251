package config

import (
	"net/url"
	"strings"
)

func (c *Config) checkTLS(k *checker) {
	t := c.TLS
	k.oneOf("tls.min_version", t.MinVersion, "1.3", "1.2")
	k.oneOf("tls.client_auth", t.ClientAuth, ClientAuthNone, ClientAuthOptional, ClientAuthAny)
	k.file("tls.client_ca_file", t.ClientCAFile, t.ClientAuth == ClientAuthOptional)
	if t.ClientAuth == ClientAuthNone && t.ClientCAFile != "" {
		k.fail("tls.client_auth", "must be optional or any for client_ca_file to count")
	}
	if t.ACME.Directory != "" {
		c.checkACME(k)
		return
	}
	k.file("tls.cert_file", t.CertFile, true)
	k.file("tls.key_file", t.KeyFile, true)
}

func (c *Config) checkACME(k *checker) {
	a := c.TLS.ACME
	if c.TLS.CertFile != "" || c.TLS.KeyFile != "" {
		k.fail("tls", "takes cert_file and key_file, or acme, not both")
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		k.fail("tls.acme.directory", "must be an https URL")
	}
	k.file("tls.acme.ca_file", a.CAFile, false)
	if k.need("tls.acme.cache_dir", a.CacheDir) && within(c.DataDir, a.CacheDir) {
		k.fail("tls.acme.cache_dir", "must not lie in data_dir: a backup of that would hold the key")
	}
	if len(a.Domains) == 0 {
		k.fail("tls.acme.domains", "is needed")
	}
	for _, domain := range a.Domains {
		if domain == "" || strings.ContainsAny(domain, "*/: ") {
			k.fail("tls.acme.domains", "must be names of hosts, without wildcards")
		}
	}
}

// narrow refuses a network of everything: it would turn a guard off by what
// looks like a detail.
func (k *checker) narrow(member string, all Networks) {
	for _, network := range all {
		if network.Bits() == 0 {
			k.fail(member, "must not hold the network of all addresses")
			return
		}
	}
}
