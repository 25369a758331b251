package outbound

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestWhereItDoesNotGo(t *testing.T) {
	for _, ip := range []string{
		"127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3",
		"100.64.0.1", "192.0.0.8", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd12::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
		"[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::1]", "[2001::1]", "[2001:db8::1]", "[fec0::1]",
	} {
		address := strings.ReplaceAll(ip, "%25", "%") + ":443"
		if err := (Options{}).judge(address); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", ip, err)
		}
	}
	for _, ip := range []string{"1.1.1.1", "9.9.9.9", "172.32.0.1", "[2606:4700::1111]", "[2a00:1450:4001::1]"} {
		if err := (Options{}).judge(ip + ":443"); err != nil {
			t.Errorf("%s: %v", ip, err)
		}
	}
	allowed := Options{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	if allowed.judge("10.1.2.3:443") != nil || allowed.judge("[::ffff:10.1.2.3]:443") != nil || allowed.judge("10.2.0.1:443") == nil {
		t.Error("what is allowed is not what was said")
	}
}

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, *Client) {
	t.Helper()
	web := httptest.NewTLSServer(h)
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return web, New(Options{Roots: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func TestGet(t *testing.T) {
	asked := 0
	web, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte("body"))
		case "/large":
			_, _ = w.Write(make([]byte, maxBody+1))
		case "/away":
			http.Redirect(w, r, "/good", http.StatusFound)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	})
	if body, err := client.Get(t.Context(), web.URL+"/good"); err != nil || string(body) != "body" {
		t.Errorf("got %q, %v", body, err)
	}
	for _, path := range []string{"/large", "/away", "/other"} {
		if _, err := client.Get(t.Context(), web.URL+path); err == nil || strings.Contains(err.Error(), web.URL) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if asked != 4 {
		t.Errorf("%d requests: a redirect was followed", asked)
	}
}

func TestForgedRequestsDoNotLeave(t *testing.T) {
	asked := false
	web, _ := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	strict := New(Options{Roots: roots})
	_, port, _ := strings.Cut(strings.TrimPrefix(web.URL, "https://"), ":")
	for _, address := range []string{
		web.URL, "https://localhost:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://2130706433:" + port, "https://127.1:" + port,
		strings.Replace(web.URL, "https", "http", 1), "ftp://127.0.0.1", "file:///etc/passwd", "gopher://127.0.0.1:" + port, "https://\x00", "//x", "",
	} {
		if _, err := strict.Get(t.Context(), address); err == nil {
			t.Errorf("%q was fetched", address)
		}
	}
	if asked {
		t.Error("a request arrived")
	}
	t.Setenv("HTTPS_PROXY", web.URL)
	if _, err := strict.Get(t.Context(), "https://192.168.255.254"); !errors.Is(err, ErrRefused) || asked {
		t.Errorf("a proxy was asked: %v", err)
	}
}

func TestParseNetworks(t *testing.T) {
	got, err := ParseNetworks(" 10.0.0.0/8, 127.0.0.1 ,fd00::/8,")
	if err != nil || len(got) != 3 || got[1].String() != "127.0.0.1/32" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ParseNetworks("localhost"); err == nil {
		t.Error("a name is taken for a network")
	}
}
