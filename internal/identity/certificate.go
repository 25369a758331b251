package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"

	"strongroom/internal/jwks"
	"strongroom/store"
)

// byCertificate authenticates by the certificate of the connection (RFC 8705,
// section 2). The handshake has proved that the client has its key.
func (a *Authority) byCertificate(ctx context.Context, q Request) (store.VerifiedClient, error) {
	name := q.Form.Get("client_id")
	if !clientName.MatchString(name) {
		return store.VerifiedClient{}, a.misnamed(q)
	}
	from := q.From
	from.Client, from.Method = name, store.AuthTLS
	if a.directory.AuthMethod(name) == store.AuthSelfSignedTLS {
		from.Method = store.AuthSelfSignedTLS
	}
	return a.directory.Authenticate(ctx, from, func(r store.Registration) (store.Proven, error) {
		if r.Method == store.AuthSelfSignedTLS {
			return a.proveRegistered(ctx, q.TLS.PeerCertificates[0], r)
		}
		return proveIssued(q.TLS, r)
	})
}

// proveIssued holds a certificate that an authority of ours issued against what
// the client registered (tls_client_auth).
func proveIssued(state *tls.ConnectionState, r store.Registration) (p store.Proven, err error) {
	if len(state.VerifiedChains) == 0 {
		return p, unproven("the certificate is of no authority that clients are trusted by")
	}
	if !says(state.VerifiedChains[0][0], r.Certificate) {
		return p, unproven("the certificate does not say what the client registered")
	}
	return store.Proven{Credential: r.Certificate.Credential()}, nil
}

// says reports whether a certificate says something in its place.
func says(cert *x509.Certificate, want store.Certificate) bool {
	switch want.Place {
	case "subject_dn":
		return normalName(subject(cert)) == normalName(want.Value)
	case "san_dns":
		return slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, want.Value) })
	case "san_uri":
		for _, u := range cert.URIs {
			if u.String() == want.Value {
				return true
			}
		}
	case "san_ip":
		for _, ip := range cert.IPAddresses {
			if addr, ok := netip.AddrFromSlice(ip); ok && addr.Unmap().String() == normalAddr(want.Value) {
				return true
			}
		}
	case "san_email":
		return slices.Contains(cert.EmailAddresses, want.Value)
	}
	return false
}

func normalAddr(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return addr.Unmap().String()
}

// subject writes the subject of a certificate as RFC 4514 does, from what was
// signed.
func subject(cert *x509.Certificate) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &name); err != nil || len(rest) > 0 || len(name) == 0 {
		return ""
	}
	return name.String()
}

// normalName takes what has no meaning off a distinguished name: blanks after
// its separators, and the case of attribute types. Values count to the letter.
func normalName(name string) string {
	var b strings.Builder
	start, inType, escaped := true, true, false
	for i := range len(name) {
		c := name[i]
		switch {
		case start && c == ' ':
			continue
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == ',' || c == '+':
			b.WriteByte(c)
			start, inType = true, true
			continue
		case c == '=':
			inType = false
		case inType && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		start = false
		b.WriteByte(c)
	}
	return b.String()
}

// proveRegistered looks for the certificate itself among those that the client
// registered (self_signed_tls_client_auth). No authority vouches for it; its
// dates count all the same.
func (a *Authority) proveRegistered(ctx context.Context, cert *x509.Certificate, r store.Registration) (p store.Proven, err error) {
	set := r.Keys
	if r.JWKSURI != "" {
		if set, err = a.remote.get(ctx, r.JWKSURI, keysFor); err != nil {
			return p, err
		}
	}
	if now := a.now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return p, unproven("the certificate is not valid now")
	}
	print := jwks.Fingerprint(cert.Raw)
	if !slices.ContainsFunc(set.Keys(), func(k jwks.Key) bool { return k.Certificate == print }) {
		return p, unproven("the client has not registered this certificate")
	}
	p.Credential = store.CertificateCredential(print)
	if r.JWKSURI != "" {
		p.Credential = store.RemoteCredential(r.JWKSURI, p.Credential)
	}
	return p, nil
}
