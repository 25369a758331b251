package api

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/tlsconf"
)

// middle is a relay between a client and a server: it records what it passes
// on, and changes some of it.
type middle struct {
	net.Listener
	mu      sync.Mutex
	seen    bytes.Buffer
	changed atomic.Int64
	spare   atomic.Int64 // bytes of each direction that it leaves as they are; negative: all
}

// newMiddle listens in place of the server at an address.
func newMiddle(t *testing.T, address string) *middle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middle{Listener: l}
	m.spare.Store(-1)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			go m.pass(near, far)
			go m.pass(far, near)
		}
	}()
	return m
}

// pass copies one direction of a connection until it ends.
func (m *middle) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 16<<10)
	for passed := int64(0); ; {
		n, err := from.Read(buf)
		m.mu.Lock()
		m.seen.Write(buf[:n])
		m.mu.Unlock()
		if spare := m.spare.Load(); spare >= 0 && n > 0 && passed+int64(n) > spare {
			buf[n-1] ^= 1
			m.changed.Add(1)
		}
		passed += int64(n)
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

func (m *middle) saw(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Contains(m.seen.Bytes(), []byte(what))
}

// certified serves a handler as the command does, with a certificate of an
// authority of its own, and returns its address and the file that its clients
// trust.
func certified(t *testing.T, h http.Handler) (address, authority string) {
	t.Helper()
	dev, err := tlsconf.OpenDev(filepath.Join(t.TempDir(), "tls"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := tlsconf.Open(tlsconf.Options{CertFile: dev.CertFile, KeyFile: dev.KeyFile})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(h)
	web.TLS = keeper.Config()
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String(), dev.CAFile
}

// A man in the middle relays, changes or answers in the server's place. What he
// relays he cannot read, what he changes ends the connection, and to who is not
// the server no client says its secret.
func TestAManInTheMiddle(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("PUT", customers+"/records/ann", `{"fields":{"email":"ann@example.org","plan":"`+marker+`"}}`).want(201)
	h.hire("service", readsCustomers)
	secret := h.root.do("POST", "/v1/clients/service/secrets", "").want(201).text("client_secret")
	address, authority := certified(t, h.server.Handler())
	read := func(address, authority string) (string, error) {
		c, err := client.New(client.Config{URL: "https://" + address, CACertFile: authority, ClientID: "service", ClientSecret: client.NewSecret(secret), Retries: -1})
		if err != nil {
			return "", err
		}
		defer c.CloseIdleConnections()
		plan, err := c.GetField(t.Context(), client.RecordRef{Integration: "acme-crm", Collection: "customers", Record: "ann"}, "plan")
		if err != nil {
			return "", err
		}
		return string(plan.Value), nil
	}

	relay := newMiddle(t, address)
	if plan, err := read(relay.Addr().String(), authority); err != nil || plan != marker {
		t.Fatalf("through a relay: %s, %v", plan, err)
	}
	for _, what := range []string{secret, marker, "service", "acme-crm", "Bearer", "/oauth2/token"} {
		if relay.saw(what) {
			t.Errorf("the relay reads what passes: %q", what)
		}
	}
	for _, spare := range []int64{0, 500, 1000, 1500, 2000} {
		relay.spare.Store(spare)
		before := relay.changed.Load()
		if _, err := read(relay.Addr().String(), authority); err == nil || relay.changed.Load() == before {
			t.Errorf("changed from byte %d on, what passes is taken: %v", spare, err)
		}
	}

	var told atomic.Int64
	impostor := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.Add(1)
		_, _ = io.WriteString(w, `{"access_token":"x","token_type":"Bearer","expires_in":900}`)
	})
	other, _ := certified(t, impostor)
	if _, err := read(other, authority); err == nil {
		t.Error("a certificate of another authority is taken for the server's")
	}
	if told.Load() != 0 {
		t.Errorf("an impostor is sent %d requests", told.Load())
	}
	if _, err := client.New(client.Config{URL: "http://" + other, ClientID: "service", ClientSecret: client.NewSecret(secret)}); err == nil {
		t.Error("a client would speak without TLS")
	}
}

// Whoever stands between cannot talk a server down to a version of TLS, or out
// of TLS, that it does not speak by itself.
func TestAManInTheMiddleForcesNoOlderTLS(t *testing.T) {
	h := newHouse(t)
	address, _ := certified(t, h.server.Handler())
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		conn, err := tls.Dial("tcp", address, &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	if bytes.Contains(answer, []byte(" 200 ")) || bytes.Contains(answer, []byte(" 30")) {
		t.Errorf("a request in the clear is answered: %s", answer)
	}
}
