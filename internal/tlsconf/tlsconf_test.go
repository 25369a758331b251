package tlsconf

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHybridExchangeIsTaken(t *testing.T) {
	ca, f := newAuthority(t, "CA"), newFiles(t)
	f.put(ca, "server")
	address := serve(t, keep(t, Options{CertFile: f.cert, KeyFile: f.key}))
	for name, tt := range map[string]struct {
		offered []tls.CurveID
		want    tls.CurveID
	}{
		"what Go offers by itself": {nil, tls.X25519MLKEM768},
		"the hybrid last":          {[]tls.CurveID{tls.CurveP256, tls.X25519, tls.X25519MLKEM768}, tls.X25519MLKEM768},
		"the NIST hybrids":         {[]tls.CurveID{tls.CurveP384, tls.SecP384r1MLKEM1024}, tls.SecP384r1MLKEM1024},
		"an older client":          {[]tls.CurveID{tls.X25519, tls.CurveP256}, tls.X25519},
		"P-256 alone":              {[]tls.CurveID{tls.CurveP256}, tls.CurveP256},
	} {
		conn, err := dial(t, address, &tls.Config{RootCAs: ca.pool(), CurvePreferences: tt.offered})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		state := conn.ConnectionState()
		if state.CurveID != tt.want || state.Version != tls.VersionTLS13 {
			t.Errorf("%s: %v over version %x, want %v", name, state.CurveID, state.Version, tt.want)
		}
	}
	if _, err := dial(t, address, &tls.Config{RootCAs: ca.pool(), CurvePreferences: []tls.CurveID{tls.CurveP521}}); err == nil {
		t.Error("an exchange that is not on the list was taken")
	}
}

func TestOlderTLS(t *testing.T) {
	ca, f := newAuthority(t, "CA"), newFiles(t)
	f.put(ca, "server")
	strict := serve(t, keep(t, Options{CertFile: f.cert, KeyFile: f.key}))
	lenient := serve(t, keep(t, Options{CertFile: f.cert, KeyFile: f.key, MinVersion: tls.VersionTLS12}))
	at := func(address string, version uint16, suites ...uint16) error {
		_, err := dial(t, address, &tls.Config{RootCAs: ca.pool(), MinVersion: version, MaxVersion: version, CipherSuites: suites})
		return err
	}
	if at(strict, tls.VersionTLS12) == nil {
		t.Error("TLS 1.2 was accepted where nobody asked for it")
	}
	if err := at(lenient, tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2 by configuration: %v", err)
	}
	if at(lenient, tls.VersionTLS11) == nil || at(lenient, tls.VersionTLS10) == nil {
		t.Error("older than TLS 1.2 was accepted")
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		err := at(lenient, tls.VersionTLS12, suite.ID)
		if slices.Contains(suites12, suite.ID) {
			continue // some are for keys of the other kind
		}
		if err == nil {
			t.Errorf("%s was accepted", suite.Name)
		}
	}
}

// A new certificate is shown to new connections; one that is open goes on.
func TestCertificateChanges(t *testing.T) {
	ca, f := newAuthority(t, "CA"), newFiles(t)
	f.put(ca, "first")
	k := keep(t, Options{CertFile: f.cert, KeyFile: f.key})
	address := serve(t, k)
	shown := func() string {
		conn, err := dial(t, address, &tls.Config{RootCAs: ca.pool()})
		if err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	open, err := dial(t, address, &tls.Config{RootCAs: ca.pool(), NextProtos: []string{"http/1.1"}})
	if err != nil || shown() != "first" {
		t.Fatalf("the first certificate: %v", err)
	}
	f.put(ca, "second")
	until(t, "the second certificate was shown", func() bool { return shown() == "second" })
	if text, err := ask(open); err != nil || text[:15] != "HTTP/1.1 200 OK" {
		t.Errorf("the connection from before: %q, %v", text, err)
	}
	if open.ConnectionState().PeerCertificates[0].Subject.CommonName != "first" {
		t.Error("this was not the connection from before")
	}
}

// What does not fit together, is half there or has run out is not taken, and
// what is wrong is told until it is right again.
func TestBadFilesAreNotTaken(t *testing.T) {
	ca, f := newAuthority(t, "CA"), newFiles(t)
	f.put(ca, "first")
	k := keep(t, Options{CertFile: f.cert, KeyFile: f.key, ClientCAFile: f.write2(ca), ClientAuth: tls.VerifyClientCertIfGiven})
	address := serve(t, k)
	good := func() {
		f.put(ca, "first")
		f.write(f.ca, ca.text())
	}
	goodCert, _ := ca.leaf("other", time.Now().Add(time.Hour))
	oldCert, oldKey := ca.leaf("old", time.Now().Add(-time.Hour))
	for name, damage := range map[string]func(){
		"a certificate of another key": func() { f.write(f.cert, goodCert) },
		"half a certificate":           func() { f.write(f.cert, goodCert[:len(goodCert)/2]) },
		"an empty key":                 func() { f.write(f.key, nil) },
		"no key":                       func() { os.Remove(f.key) },
		"one that has run out":         func() { f.write(f.cert, oldCert); f.write(f.key, oldKey) },
		"a CA that is none":            func() { f.write(f.ca, []byte("nothing")) },
	} {
		damage()
		until(t, name+" was noticed", func() bool { return k.Status().Problem != "" })
		conn, err := dial(t, address, &tls.Config{RootCAs: ca.pool()})
		if err != nil || conn.ConnectionState().PeerCertificates[0].Subject.CommonName != "first" {
			t.Errorf("%s: what was served before is gone (%v)", name, err)
		}
		if k.Status().NotAfter.IsZero() {
			t.Errorf("%s: the end of the certificate is lost", name)
		}
		good()
		until(t, name+" was put right", func() bool { return k.Status().Problem == "" })
	}
	if _, err := Open(Options{CertFile: f.cert, KeyFile: f.cert}); err == nil {
		t.Error("a server started without a key")
	}
}

func (f *files) write2(ca *authority) string {
	f.write(f.ca, ca.text())
	return f.ca
}

func TestCertificatesOfClients(t *testing.T) {
	ca, other, f := newAuthority(t, "CA"), newAuthority(t, "other CA"), newFiles(t)
	f.put(ca, "server")
	f.write(f.ca, ca.text())
	ours, theirs := ca.client("invoicing"), other.client("self-made")
	for name, tt := range map[string]struct {
		how        tls.ClientAuthType
		cert       *tls.Certificate
		want, body string
	}{
		"none asked, one offered":         {tls.NoClientCert, &ours, "", ""},
		"optional, none":                  {tls.VerifyClientCertIfGiven, nil, "", ""},
		"optional, ours":                  {tls.VerifyClientCertIfGiven, &ours, "", "invoicing, verified"},
		"optional, another's":             {tls.VerifyClientCertIfGiven, &theirs, "refused", ""},
		"any, none":                       {tls.RequestClientCert, nil, "", ""},
		"any, another's":                  {tls.RequestClientCert, &theirs, "", "self-made"},
		"any, ours, is not taken as more": {tls.RequestClientCert, &ours, "", "invoicing"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, keep(t, Options{CertFile: f.cert, KeyFile: f.key, ClientAuth: tt.how, ClientCAFile: f.ca}))
			config := &tls.Config{RootCAs: ca.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if tt.cert == nil {
					return new(tls.Certificate), nil
				}
				return tt.cert, nil
			}}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			defer client.CloseIdleConnections()
			resp, err := client.Get("https://" + address)
			if (err != nil) != (tt.want == "refused") {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); string(body) != tt.body {
				t.Errorf("the server saw %q, want %q", body, tt.body)
			}
		})
	}
}

// No session is resumed, and a client whose CA was taken away is not known at
// its next connection.
func TestSessionsAreNotResumed(t *testing.T) {
	ca, next, f := newAuthority(t, "CA"), newAuthority(t, "next CA"), newFiles(t)
	f.put(ca, "server")
	f.write(f.ca, ca.text())
	k := keep(t, Options{CertFile: f.cert, KeyFile: f.key, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAFile: f.ca, MinVersion: tls.VersionTLS12})
	address := serve(t, k)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{
			RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.client("invoicing")}, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(4), ServerName: "localhost", NextProtos: []string{"http/1.1"},
		}
		visit := func() (known bool) {
			conn, err := dial(t, address, config)
			if err != nil {
				t.Fatal(err)
			}
			text, err := ask(conn)
			if err != nil || conn.ConnectionState().DidResume {
				t.Fatalf("resumed %v (%v)", conn.ConnectionState().DidResume, err)
			}
			return strings.Contains(text, "invoicing, verified")
		}
		f.write(f.ca, ca.text())
		until(t, "the client was known", visit)
		f.write(f.ca, next.text())
		until(t, "the client was not known any more", func() bool { return !visit() })
	}
}

func TestLevels(t *testing.T) {
	day := 24 * time.Hour
	now := time.Now()
	for name, tt := range map[string]struct {
		life, left time.Duration
		want       Level
	}{
		"fresh": {365 * day, 200 * day, Fine}, "a month and a day": {365 * day, 31 * day, Fine}, "a month": {365 * day, 30 * day, Ending},
		"a week and a day": {365 * day, 8 * day, Ending}, "a week": {365 * day, 7 * day, Soon}, "a minute ago": {365 * day, -time.Minute, Over},
		"of ACME, before it is renewed": {90 * day, 30 * day, Fine}, "of ACME, not renewed": {90 * day, 22 * day, Ending},
		"of six days": {6 * day, 2 * day, Fine}, "of six days, not renewed": {6 * day, 24 * time.Hour, Ending}, "of six days, last hours": {6 * day, 11 * time.Hour, Soon},
		"not valid yet": {365 * day, 366 * day, Over},
	} {
		s := Status{NotAfter: now.Add(tt.left), NotBefore: now.Add(tt.left - tt.life)}
		if got := s.Level(now); got != tt.want {
			t.Errorf("%s: level %d, want %d", name, got, tt.want)
		}
	}
}
