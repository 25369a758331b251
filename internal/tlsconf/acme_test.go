package tlsconf

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// acmeServer is Pebble, the test server of Let's Encrypt: it speaks RFC 8555 to
// the letter, refuses a share of the nonces on purpose, and checks the names by
// connecting to them.
type acmeServer struct {
	directory, management string
	ca                    *authority
}

// startACME builds Pebble from its nested module, unless the build cache has
// it, and runs it on loopback. Names are checked on the port tlsPort.
func startACME(t *testing.T, tlsPort int, life time.Duration) *acmeServer {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "pebble")
	build := exec.Command("go", "build", "-o", program, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	build.Dir = "../../testdata/acmeserver"
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the ACME server: %v\n%s", err, out)
	}
	s := &acmeServer{ca: newAuthority(t, "ACME server's CA")}
	cert, key := s.ca.leaf("acme", time.Now().Add(time.Hour))
	listen, manage := freePort(t), freePort(t)
	s.directory, s.management = "https://"+listen+"/dir", "https://"+manage
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": 1, "tlsPort": tlsPort, "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(life.Seconds())}},
	}}
	text, _ := json.Marshal(config)
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "config.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", filepath.Join(dir, "config.json"), "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the ACME server said:\n%s", text)
		}
	})
	until(t, "the ACME server answered", func() bool { return s.get(s.directory) != nil })
	return s
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *acmeServer) get(url string) []byte {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.pool()}, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return body
}

// A server without a certificate gets one over ACME, shows it, and renews it
// while it serves.
func TestCertificateOverACME(t *testing.T) {
	if os.Getenv("STRONGROOM_LONG") != "1" {
		t.Skip("builds an ACME server and waits for a renewal: set STRONGROOM_LONG=1 to run it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const life = 20 * time.Second // it is renewed when a third is left
	server := startACME(t, l.Addr().(*net.TCPAddr).Port, life)
	dir := t.TempDir()
	caFile := filepath.Join(dir, "acme-ca.pem")
	if err := os.WriteFile(caFile, server.ca.text(), 0o600); err != nil {
		t.Fatal(err)
	}
	k := keep(t, Options{ACME: &ACME{
		Directory: server.directory, Email: "operations@example.com", Domains: []string{"localhost"},
		CAFile: caFile, CacheDir: filepath.Join(dir, "cache"), Listen: l.Addr().String(), Every: time.Second,
	}})
	serveOn(t, k, l)
	trusted, err := pool(server.get(server.management + "/roots/0"))
	if err != nil {
		t.Fatal(err)
	}
	visit := func() *tls.Conn {
		conn, err := dial(t, l.Addr().String(), &tls.Config{RootCAs: trusted, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
		if err != nil {
			return nil
		}
		return conn
	}
	until(t, "a certificate came", func() bool { return visit() != nil })
	open := visit()
	first := open.ConnectionState().PeerCertificates[0]
	if open.ConnectionState().CurveID != tls.X25519MLKEM768 || k.Status().NotAfter.IsZero() || k.Status().Problem != "" {
		t.Errorf("%v, status %+v", open.ConnectionState().CurveID, k.Status())
	}
	until(t, "it was renewed", func() bool {
		conn := visit()
		return conn != nil && conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(first.SerialNumber) != 0
	})
	if text, err := ask(open); err != nil || !strings.HasPrefix(text, "HTTP/1.1 200 OK") {
		t.Errorf("the connection from before: %q, %v", text, err)
	}
	onlyTheOwners(t, filepath.Join(dir, "cache"))
}

// onlyTheOwners checks that nobody else reads what lies in a folder.
func onlyTheOwners(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestACMEWithoutAServer(t *testing.T) {
	k := keep(t, Options{ACME: &ACME{
		Directory: "https://" + freePort(t) + "/dir", Domains: []string{"localhost"},
		CacheDir: filepath.Join(t.TempDir(), "cache"), Listen: freePort(t),
	}})
	address := serve(t, k)
	if _, err := dial(t, address, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}); err == nil {
		t.Error("a handshake without a certificate")
	}
	if s := k.Status(); !s.NotAfter.IsZero() {
		t.Errorf("status %+v", s)
	}
	until(t, "the failure was told", func() bool { return k.Status().Problem != "" })
}
