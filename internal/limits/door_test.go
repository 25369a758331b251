package limits

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// behindDoor serves TLS behind a door with the given limits.
func behindDoor(t *testing.T, defs map[string]string) (*Door, *httptest.Server) {
	t.Helper()
	l := New(time.Now)
	l.Define(parseAll(t, defs))
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	door := NewDoor(web.Listener, l)
	web.Listener = door
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	return door, web
}

func dial(t *testing.T, web *httptest.Server) (net.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { raw.Close() })
	config := web.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	c := tls.Client(raw, config)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, c.Handshake()
}

func TestDoorBoundsOpenConnections(t *testing.T) {
	door, web := behindDoor(t, map[string]string{"open": `{"per":"address","routes":["connection"],"concurrency":2}`})
	first, err := dial(t, web)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, web); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, web); err == nil || door.Refused() != 1 {
		t.Fatalf("a third connection: %v, %d refused", err, door.Refused())
	}
	first.Close()
	for range 200 { // the server notices soon
		if _, err = dial(t, web); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after one was closed: %v", err)
}

func TestDoorBoundsNewConnections(t *testing.T) {
	_, web := behindDoor(t, map[string]string{"new": `{"per":"address","routes":["connection"],"requests":[{"limit":5,"window":"1h"}]}`})
	in := 0
	for range 20 {
		if c, err := dial(t, web); err == nil {
			in++
			c.Close()
		}
	}
	if in != 5 {
		t.Errorf("%d of 20 connections came in", in)
	}
}

// Whoever begins a handshake and stops must not keep others from theirs.
func TestStoppedHandshakesHoldNobodyUp(t *testing.T) {
	door, web := behindDoor(t, nil)
	for range 3 * cap(door.handshakes) {
		c, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte{22}); err != nil { // the first byte of a ClientHello
			t.Fatal(err)
		}
	}
	if _, err := dial(t, web); err != nil {
		t.Errorf("a handshake beside stopped ones: %v", err)
	}
	if n := len(door.handshakes); n != 0 {
		t.Errorf("%d turns are held by nobody who computes", n)
	}
}
