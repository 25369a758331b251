package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/store"
)

// certified is a certificate with its key.
type certified struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (r *realm) certificate(change func(*x509.Certificate)) certified {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	spiffe, _ := url.Parse("spiffe://prod/billing")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: r.now.Add(-time.Hour), NotAfter: r.now.Add(time.Hour),
		Subject:  pkix.Name{Country: []string{"DE"}, Organization: []string{"Acme, Inc."}, CommonName: "billing"},
		DNSNames: []string{"billing.prod.example"}, URIs: []*url.URL{spiffe}, EmailAddresses: []string{"billing@example.org"},
		IPAddresses: []net.IP{net.IPv4(10, 1, 2, 3)},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	r.must(err)
	cert, err := x509.ParseCertificate(der)
	r.must(err)
	return certified{cert, key}
}

func (c certified) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: c.key.Public(), KeyID: "cert", Certificates: []*x509.Certificate{c.cert}}
}

// connection is what TLS says of a connection that showed a certificate.
func (c certified) connection(verified bool) *tls.ConnectionState {
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
	if verified {
		state.VerifiedChains = [][]*x509.Certificate{{c.cert}}
	}
	return state
}

func (r *realm) byTLS(client string, state *tls.ConnectionState) (Token, error) {
	return r.Exchange(r.t.Context(), Request{TLS: state, Form: url.Values{"grant_type": {"client_credentials"}, "client_id": {client}}})
}

func TestWhatACertificateMustSay(t *testing.T) {
	r := newRealm(t, nil)
	shown := r.certificate(nil)
	for name, c := range map[string]struct {
		auth store.ClientAuth
		fits bool
	}{
		"the subject":                         {store.ClientAuth{TLSSubjectDN: `CN=billing,O=Acme\, Inc.,C=DE`}, true},
		"the subject, with blanks":            {store.ClientAuth{TLSSubjectDN: `cn=billing, o=Acme\, Inc., c=DE`}, true},
		"a subject that begins alike":         {store.ClientAuth{TLSSubjectDN: `CN=billing,O=Acme`}, false},
		"a subject with other letters":        {store.ClientAuth{TLSSubjectDN: `CN=Billing,O=Acme\, Inc.,C=DE`}, false},
		"a subject in another order":          {store.ClientAuth{TLSSubjectDN: `C=DE,O=Acme\, Inc.,CN=billing`}, false},
		"a subject whose comma separates":     {store.ClientAuth{TLSSubjectDN: `CN=billing,O=Acme, Inc.,C=DE`}, false},
		"the DNS name":                        {store.ClientAuth{TLSSanDNS: "Billing.prod.example"}, true},
		"another DNS name":                    {store.ClientAuth{TLSSanDNS: "prod.example"}, false},
		"the common name is no DNS name":      {store.ClientAuth{TLSSanDNS: "billing"}, false},
		"the URI":                             {store.ClientAuth{TLSSanURI: "spiffe://prod/billing"}, true},
		"a URI that begins alike":             {store.ClientAuth{TLSSanURI: "spiffe://prod/bill"}, false},
		"the address":                         {store.ClientAuth{TLSSanIP: "10.1.2.3"}, true},
		"the address in IPv6":                 {store.ClientAuth{TLSSanIP: "::ffff:10.1.2.3"}, true},
		"another address":                     {store.ClientAuth{TLSSanIP: "10.1.2.4"}, false},
		"the mail address":                    {store.ClientAuth{TLSSanEmail: "billing@example.org"}, true},
		"a mail address that is a DNS name's": {store.ClientAuth{TLSSanEmail: "billing.prod.example"}, false},
	} {
		c.auth.Method = store.AuthTLS
		r.put("machine", c.auth)
		token, err := r.byTLS("machine", shown.connection(true))
		if !c.fits {
			refusedAs(t, err, "invalid_client")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); err != nil {
			t.Errorf("%s: the token: %v", name, err)
		}
		if _, err := r.byTLS("machine", shown.connection(false)); err == nil {
			t.Errorf("%s: a certificate that nobody vouches for was accepted", name)
		}
	}
}

func TestRegisteredCertificates(t *testing.T) {
	r := newRealm(t, nil)
	mine, other := r.certificate(nil), r.certificate(nil)
	again := r.certificate(nil)
	register := func(c ...certified) {
		var keys []jose.JSONWebKey
		for i := range c {
			k := c[i].jwk()
			k.KeyID = string(rune('a' + i))
			keys = append(keys, k)
		}
		r.put("machine", store.ClientAuth{Method: store.AuthSelfSignedTLS, JWKS: setOf(t, keys...)})
	}
	register(mine, again)
	token, err := r.byTLS("machine", mine.connection(false))
	r.must(err)
	_, err = r.byTLS("machine", other.connection(false)) // the same names, another key
	refusedAs(t, err, "invalid_client")
	_, err = r.byTLS("machine", other.connection(true))
	refusedAs(t, err, "invalid_client")
	_, err = r.byTLS("nobody", mine.connection(false))
	refusedAs(t, err, "invalid_client")
	_, err = r.byTLS("machine", nil)
	refusedAs(t, err, "invalid_client")
	register(again)
	if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); !errors.Is(err, ErrToken) {
		t.Errorf("the token of a certificate that was taken away: %v", err)
	}
	r.now = r.now.Add(2 * time.Hour)
	_, err = r.byTLS("machine", again.connection(false))
	refusedAs(t, err, "invalid_client") // it has expired
}

// A certificate on the connection is no way in for a client that authenticates
// otherwise, and does not get in the way of one that does.
func TestACertificateBesideAnotherMethod(t *testing.T) {
	r := newRealm(t, nil)
	shown := r.certificate(nil)
	p := newPair(t, "k", jose.EdDSA)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, p.public())})
	_, err := r.byTLS("signer", shown.connection(true))
	refusedAs(t, err, "invalid_client")
	_, err = r.Exchange(t.Context(), Request{TLS: shown.connection(true), Form: url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {p.sign(t, r.assertion("signer"))},
	}})
	r.must(err)
}

func TestCertificatesElsewhere(t *testing.T) {
	web, fetch := newKeyServer(t)
	r := newRealm(t, fetch)
	mine := r.certificate(nil)
	web.serve(setOf(t, mine.jwk()))
	r.put("machine", store.ClientAuth{Method: store.AuthSelfSignedTLS, JWKSURI: web.URL})
	token, err := r.byTLS("machine", mine.connection(false))
	r.must(err)
	if _, err := r.Authenticate(t.Context(), bearer(token.Value.Reveal())); err != nil {
		t.Error(err)
	}
	_, err = r.byTLS("machine", r.certificate(nil).connection(false))
	refusedAs(t, err, "invalid_client")
}

func FuzzNormalName(f *testing.F) {
	f.Add(`CN=a, O=b\, c`)
	f.Add(`cn = a+b=c,  d`)
	f.Fuzz(func(t *testing.T, name string) {
		if once := normalName(name); normalName(once) != once {
			t.Errorf("%q becomes %q and then %q", name, once, normalName(once))
		}
	})
}
