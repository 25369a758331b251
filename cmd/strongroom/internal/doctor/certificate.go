package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/tlsconf"
)

// certificate reads the pair and the CA of clients as the server would.
func (r *Report) certificate(in Input) {
	o := app.TLSOptions(in.Config, in.Dev, slog.New(slog.DiscardHandler))
	if o.ACME != nil {
		r.add("certificate", OK, "comes from an ACME server; see what the running server says of it")
		return
	}
	k, err := tlsconf.Open(o)
	if err != nil {
		r.add("certificate", Fail, err.Error())
		return
	}
	r.grade("certificate", k.Status(), in.Now)
	r.names(in, o.CertFile)
	r.clientCA(o.ClientCAFile, in.Now)
}

func (r *Report) grade(check string, s tlsconf.Status, now time.Time) {
	end := s.NotAfter.UTC().Format(time.DateOnly)
	switch s.Level(now) {
	case tlsconf.Over:
		r.add(check, Fail, fmt.Sprintf("is good from %s to %s, which is not now", s.NotBefore.UTC().Format(time.DateOnly), end))
	case tlsconf.Soon:
		r.add(check, Fail, "ends on "+end+": renew it now")
	case tlsconf.Ending:
		r.add(check, Warn, "ends on "+end)
	default:
		r.add(check, OK, "is good until "+end)
	}
}

// names checks that the certificate is one for the name that clients use.
func (r *Report) names(in Input, file string) {
	u, err := url.Parse(in.Config.Issuer)
	if err != nil || u.Hostname() == "" {
		return
	}
	leaf := firstOf(file)
	if leaf == nil {
		return
	}
	if leaf.VerifyHostname(u.Hostname()) != nil {
		r.add("certificate", Fail, "is not for the host of issuer: clients that check it cannot connect")
	}
}

// clientCA grades each certificate that vouches for clients.
func (r *Report) clientCA(file string, now time.Time) {
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return // the certificate's check has told
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil {
			r.grade("client CA", tlsconf.StatusOf(ca), now)
		}
	}
}

// firstOf returns the first certificate of a file; nil when there is none.
func firstOf(file string) *x509.Certificate {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	leaf, _ := x509.ParseCertificate(block.Bytes)
	return leaf
}

// trusting is how the doctor knows the server: it shows the very certificate
// of the file, or one that the system trusts when it comes from elsewhere.
func trusting(in Input) (c *tls.Config, same *bool) {
	same = new(bool)
	*same = true
	o := app.TLSOptions(in.Config, in.Dev, slog.New(slog.DiscardHandler))
	if o.ACME != nil {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ACME.Domains[0]}, same
	}
	file := firstOf(o.CertFile)
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // the name need not fit the address; what is shown is compared
		VerifyConnection: func(state tls.ConnectionState) error {
			*same = file != nil && state.PeerCertificates[0].Equal(file)
			return nil
		},
	}, same
}
