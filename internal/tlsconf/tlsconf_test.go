package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func open(t *testing.T, dir string, now time.Time) Dev {
	t.Helper()
	dev, err := OpenDev(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func trusting(t *testing.T, dev Dev) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(dev.CAFile)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("ca.pem holds no certificate (%v)", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func serve(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto)
	}))
	s.TLS, s.EnableHTTP2 = config, true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestDevIsTrustedByItsCA(t *testing.T) {
	dev := open(t, t.TempDir(), time.Now())
	s := serve(t, dev.Config)
	resp, err := trusting(t, dev).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" || resp.TLS.Version != tls.VersionTLS13 {
		t.Errorf("spoke %s over TLS %x; want HTTP/2.0 over 1.3", body, resp.TLS.Version)
	}
	if _, err := http.Get(s.URL); err == nil {
		t.Error("a client that does not trust the CA was served")
	}
}

func TestOlderTLSIsRefused(t *testing.T) {
	dev := open(t, t.TempDir(), time.Now())
	s := serve(t, dev.Config)
	_, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true})
	if err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestDevIsKeptUntilItRunsOut(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if !open(t, dir, now).Made {
		t.Fatal("an empty folder needed no certificates")
	}
	first, _ := os.ReadFile(filepath.Join(dir, caName))
	if open(t, dir, now.Add(devLifetime-devRenew-time.Hour)).Made {
		t.Error("made anew while good")
	}
	if !open(t, dir, now.Add(devLifetime-devRenew+time.Hour)).Made {
		t.Error("kept although about to expire")
	}
	if second, _ := os.ReadFile(filepath.Join(dir, caName)); string(first) == string(second) {
		t.Error("the CA of the new certificate is the old one, whose key is gone")
	}
}

func TestDevFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, time.Now())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d files (%v), want the CA, the certificate and its key", len(entries), err)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestCAIsConstrainedToLoopback(t *testing.T) {
	dir := t.TempDir()
	dev := open(t, dir, time.Now())
	leaf, err := x509.ParseCertificate(dev.Config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.VerifyHostname("localhost") != nil || leaf.VerifyHostname("127.0.0.1") != nil || leaf.VerifyHostname("::1") != nil {
		t.Error("the certificate is not good for a loopback name")
	}
	ca := caTemplate(time.Now())
	if !ca.PermittedDNSDomainsCritical || len(ca.PermittedIPRanges) != 2 {
		t.Error("the CA could sign for any site")
	}
}

func TestDamagedFilesAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, time.Now())
	os.WriteFile(filepath.Join(dir, keyName), []byte("not a key"), 0o600)
	if _, err := OpenDev(dir, time.Now()); err == nil {
		t.Error("a damaged key was accepted or replaced in silence")
	}
	if _, err := Server(filepath.Join(dir, "none.pem"), filepath.Join(dir, "none.pem")); err == nil {
		t.Error("missing files were accepted")
	}
}
