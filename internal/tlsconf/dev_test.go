package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
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

func TestDevIsTrustedByItsCA(t *testing.T) {
	dev := open(t, t.TempDir(), time.Now())
	pool := x509.NewCertPool()
	text, err := os.ReadFile(dev.CAFile)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("ca.pem holds no certificate (%v)", err)
	}
	address := serve(t, keep(t, Options{CertFile: dev.CertFile, KeyFile: dev.KeyFile}))
	if _, err := dial(t, address, &tls.Config{RootCAs: pool}); err != nil {
		t.Error(err)
	}
	if resp, err := http.Get("https://" + address); err == nil {
		resp.Body.Close()
		t.Error("a client that does not trust the CA was served")
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
	dev := open(t, t.TempDir(), time.Now())
	pair, err := tls.LoadX509KeyPair(dev.CertFile, dev.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Leaf
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
}
