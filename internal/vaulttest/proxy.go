package vaulttest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands in front of a server, sees every request, and may change it.
type Proxy struct {
	Address string

	mu   sync.Mutex
	seen []string
}

// Proxy returns a proxy that lets edit see each request and decide what comes
// of it; next passes it on. It ends with the test.
func (s *Server) Proxy(t testing.TB, edit func(w http.ResponseWriter, r *http.Request, next http.Handler)) *Proxy {
	t.Helper()
	to, err := url.Parse(s.Address)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	next := &httputil.ReverseProxy{
		Transport: s.http().Transport, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}
	p := &Proxy{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.Method+" "+r.URL.Path)
		p.mu.Unlock()
		edit(w, r, next)
	}))
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // tests cut connections on purpose
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	p.Address = front.URL
	return p
}

// Seen returns how many requests there were of a method and a path, like
// "PUT /v1/auth/token/renew-self".
func (p *Proxy) Seen(request string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.seen {
		if s == request {
			n++
		}
	}
	return n
}
