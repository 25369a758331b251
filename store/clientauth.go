package store

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"net/url"
	"strings"

	"strongroom/internal/jwks"
)

// The ways in which a client authenticates at the token endpoint. A client has
// exactly one; the first covers client_secret_post as well.
const (
	AuthSecret         = "client_secret_basic"
	AuthPrivateKey     = "private_key_jwt"
	AuthTLS            = "tls_client_auth"
	AuthSelfSignedTLS  = "self_signed_tls_client_auth"
	maxCertificateName = 512 // bytes of what a certificate must say
	maxURL             = 1024
)

// Certificate is what tls_client_auth demands that a certificate says: one
// value, in one place of it.
type Certificate struct {
	Place string // subject_dn, san_dns, san_uri, san_ip or san_email
	Value string
}

// proof is how a client authenticates, compiled.
type proof struct {
	method      string
	keys        *jwks.Set       // registered with it
	uri         string          // where its keys are kept otherwise
	remote      string          // what the credential of a key from there begins with
	certificate Certificate     // of tls_client_auth
	credentials map[string]bool // that count now; secrets are not among them
}

// compile checks the members and puts together what they mean.
func (a ClientAuth) compile() (proof, error) {
	p := proof{method: a.Method, uri: a.JWKSURI, credentials: map[string]bool{}}
	if p.method == "" {
		p.method = AuthSecret
	}
	named, err := a.certificate()
	if err != nil {
		return p, err
	}
	switch p.method {
	case AuthSecret:
		err = a.needNothing(named)
	case AuthTLS:
		err = a.needName(named)
		p.certificate = named
		p.credentials[named.Credential()] = true
	case AuthPrivateKey, AuthSelfSignedTLS:
		if named.Place != "" {
			return p, invalid("/tls_client_auth_"+named.Place, "goes with tls_client_auth alone")
		}
		err = a.keys(&p)
	default:
		err = invalid("/token_endpoint_auth_method", "want client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
	}
	return p, err
}

func (a ClientAuth) needNothing(named Certificate) error {
	switch {
	case a.JWKS != nil:
		return invalid("/jwks", "keys go with private_key_jwt and self_signed_tls_client_auth alone")
	case a.JWKSURI != "":
		return invalid("/jwks_uri", "keys go with private_key_jwt and self_signed_tls_client_auth alone")
	case named.Place != "":
		return invalid("/tls_client_auth_"+named.Place, "goes with tls_client_auth alone")
	}
	return nil
}

func (a ClientAuth) needName(named Certificate) error {
	if a.JWKS != nil || a.JWKSURI != "" {
		return invalid("/jwks", "keys go with private_key_jwt and self_signed_tls_client_auth alone")
	}
	if named.Place == "" {
		return invalid("/token_endpoint_auth_method", "tls_client_auth needs one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip, _san_email")
	}
	return nil
}

// certificate returns the one thing that a certificate must say.
func (a ClientAuth) certificate() (found Certificate, err error) {
	for _, c := range []Certificate{
		{"subject_dn", a.TLSSubjectDN}, {"san_dns", a.TLSSanDNS}, {"san_uri", a.TLSSanURI},
		{"san_ip", a.TLSSanIP}, {"san_email", a.TLSSanEmail},
	} {
		pointer := "/tls_client_auth_" + c.Place
		switch {
		case c.Value == "":
			continue
		case found.Place != "":
			return found, invalid(pointer, "a client is known by one thing that its certificate says; leave the others out")
		case len(c.Value) > maxCertificateName || !printable(c.Value):
			return found, invalid(pointer, "want up to 512 bytes of UTF-8 without control characters")
		}
		found = c
	}
	if found.Place == "san_ip" {
		if _, err := netip.ParseAddr(found.Value); err != nil {
			return found, invalid("/tls_client_auth_san_ip", "want an IP address")
		}
	}
	return found, nil
}

// keys reads the client's keys, or where they are.
func (a ClientAuth) keys(p *proof) (err error) {
	if (a.JWKS == nil) == (a.JWKSURI == "") {
		return invalid("/token_endpoint_auth_method", "this method needs exactly one of jwks and jwks_uri")
	}
	if a.JWKSURI != "" {
		p.remote = RemoteCredential(a.JWKSURI, "")
		return checkHTTPS("/jwks_uri", a.JWKSURI)
	}
	if p.keys, err = jwks.ParseRegistered(a.JWKS); err != nil {
		return invalid("/jwks", err.Error())
	}
	for _, k := range p.keys.Keys() {
		switch {
		case p.method == AuthPrivateKey:
			p.credentials[KeyCredential(k)] = true
		case k.Certificate == "":
			return invalid("/jwks", "each key needs its certificate in x5c")
		default:
			p.credentials[CertificateCredential(k.Certificate)] = true
		}
	}
	return nil
}

// checkHTTPS accepts a URL that this server may fetch from; whether its host
// is one that it may speak to is decided when it does.
func checkHTTPS(pointer, text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(text, " \t\r\n") {
		return invalid(pointer, "want an https URL without user and fragment")
	}
	return nil
}

// A credential is what a client proved that it has: the id of a secret, or one
// of these texts. Access tokens carry it, and end when it counts no more.

// KeyCredential is the credential of a registered key.
func KeyCredential(k jwks.Key) string { return "jwk:" + k.ID }

// CertificateCredential is the credential of a registered certificate.
func CertificateCredential(fingerprint string) string { return "x5c:" + fingerprint }

// RemoteCredential is the credential of a key or a certificate, by its own
// credential, that stands in the set at a URL.
func RemoteCredential(uri, credential string) string {
	return "uri:" + shortHash(uri) + "/" + credential
}

// Credential is the credential of a certificate that says this.
func (c Certificate) Credential() string { return "tls:" + shortHash(c.Place+"\x00"+c.Value) }

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// holds reports whether a credential counts as one of this client now.
func (p *proof) holds(credential string) bool {
	return p.credentials[credential] || p.remote != "" && strings.HasPrefix(credential, p.remote)
}
