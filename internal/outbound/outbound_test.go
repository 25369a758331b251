package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestWhatIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "2606:4700::1111": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false,
		"168.63.129.16": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": true,
		"64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false, "fec0::1": false, "100::1": false,
		"2606:4700::1%eth0": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: public %v, want %v", text, got, want)
		}
	}
}

func TestURLsThatAreNeverFetched(t *testing.T) {
	g := New(Options{})
	for name, text := range map[string]string{
		"in the clear": "http://example.com/", "a file": "file:///etc/passwd", "gopher": "gopher://example.com/_x", "no host": "https:///x",
		"opaque": "https:example.com", "credentials": "https://u:p@example.com/", "a fragment": "https://example.com/#x",
		"loopback": "https://127.0.0.1/", "loopback, IPv6": "https://[::1]/", "mapped": "https://[::ffff:10.0.0.1]/",
		"metadata": "https://169.254.169.254/latest/", "a zone": "https://[fe80::1%25eth0]/", "nothing": "", "control characters": "https://e\x00.com/",
	} {
		if err := g.CheckURL(text); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: CheckURL says %v", name, err)
		}
		if _, err := g.Fetch(t.Context(), text); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: Fetch says %v", name, err)
		}
	}
	if err := g.CheckURL("https://keys.example.com/jwks.json?v=1"); err != nil {
		t.Errorf("an ordinary URL: %v", err)
	}
}

// inside is a server on loopback, and a guard that trusts its certificate.
func inside(t *testing.T, h http.HandlerFunc, o Options) (*httptest.Server, *Guard) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(s.Certificate())
	g := New(o)
	t.Cleanup(func() { g.Close() })
	return s, g
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// A name is judged by where it leads at the time of the connection: localhost
// passes every check of the text, and other spellings of 127.0.0.1 do too.
func TestNamesThatLeadInside(t *testing.T) {
	asked := 0
	s, g := inside(t, func(http.ResponseWriter, *http.Request) { asked++ }, Options{})
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for _, host := range []string{"localhost", "LOCALHOST.", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"} {
		_, err := g.Fetch(t.Context(), "https://"+host+port+"/")
		if err == nil {
			t.Errorf("%s was reached", host)
		}
		if host == "localhost" && !errors.Is(err, ErrRefused) {
			t.Errorf("localhost: %v", err)
		}
		resp, err := g.Client().Get("https://" + host + port + "/")
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s was reached by the client of a library", host)
		}
	}
	if asked != 0 {
		t.Errorf("the server inside was asked %d times", asked)
	}
}

func TestAllowedNetworkIsReached(t *testing.T) {
	s, g := inside(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "keys") }, Options{Allow: loopback})
	body, err := g.Fetch(t.Context(), s.URL)
	if err != nil || string(body) != "keys" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := g.Fetch(t.Context(), "https://10.0.0.1/"); !errors.Is(err, ErrRefused) {
		t.Errorf("what is not on the list: %v", err)
	}
}

// The certificate is checked: whoever answers in another's place is not heard.
func TestCertificateIsChecked(t *testing.T) {
	s, _ := inside(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }, Options{})
	s.Config.ErrorLog = nil
	g := New(Options{Allow: loopback, RootCAs: x509.NewCertPool()})
	if _, err := g.Fetch(t.Context(), s.URL); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	asked := 0
	s, g := inside(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}, Options{Allow: loopback})
	if _, err := g.Fetch(t.Context(), s.URL); !errors.Is(err, ErrStatus) {
		t.Errorf("got %v", err)
	}
	resp, err := g.Client().Get(s.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("the client of a library: %v", err)
	}
	resp.Body.Close()
	if asked != 2 {
		t.Errorf("the server was asked %d times, want 2", asked)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	size := 100
	s, g := inside(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", size))
	}, Options{Allow: loopback, MaxBody: 100})
	if body, err := g.Fetch(t.Context(), s.URL); err != nil || len(body) != 100 {
		t.Errorf("an answer of the largest size: %d bytes, %v", len(body), err)
	}
	size = 101
	if _, err := g.Fetch(t.Context(), s.URL); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
	resp, err := g.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, ErrTooLarge) || len(body) > 100 {
		t.Errorf("the client of a library read %d bytes, %v", len(body), err)
	}
}

// A server that sends a byte now and then does not hold anybody up for longer
// than the bound, and an error tells nothing of where it was.
func TestTimeIsBounded(t *testing.T) {
	ended := make(chan struct{})
	s, g := inside(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}, Options{Allow: loopback, Timeout: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := g.Fetch(ctx, s.URL)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("it ended by %v (%v)", err, ctx.Err())
	}
	if strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("the error tells the address: %v", err)
	}
	<-ended
	s.Close()
	if _, err := g.Fetch(t.Context(), s.URL); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("a closed port: %v", err)
	}
}
