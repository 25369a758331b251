package api

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/metrics"
)

// fixture is a server over a script, with what it logged.
type fixture struct {
	t      testing.TB
	script *scripted
	server *Server
	web    *httptest.Server
	ops    *httptest.Server
	client *http.Client
	log    *lockedBuffer
	token  string
	gate   *limits.Gate
}

// lockedBuffer is a log that a test can read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newScripted(t testing.TB) *fixture {
	t.Helper()
	script := newScript()
	f := &fixture{t: t, script: script, log: &lockedBuffer{}}
	f.serve(script, script, scriptedJobs{script}, scriptedKeys{script}, scriptedErasures{script})
	f.token = f.signIn("invoicing", "right")
	return f
}

// serve starts a server over a store, both listeners, over TLS.
func (f *fixture) serve(s Store, d identity.Directory, jobs Jobs, keys Inventory, erasures Erasures) {
	f.t.Helper()
	if f.gate != nil {
		d = identity.Guarded(d, f.gate.Guard)
	}
	tokens, err := identity.New(identity.Config{Directory: d, Issuer: "urn:strongroom:test"})
	if err != nil {
		f.t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.server, err = New(Config{Store: s, Jobs: jobs, Keys: keys, Erasures: erasures, Tokens: tokens, Logger: logger, Gate: f.gate, Metrics: metrics.New("test", s.Ready)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.web, f.ops = f.listen(f.server.Handler(), true), f.listen(f.server.ops, true)
	f.client = f.web.Client()
	f.client.Transport = &recorder{f.t, f.client.Transport}
}

func (f *fixture) listen(h http.Handler, http2 bool) *httptest.Server {
	web := httptest.NewUnstartedServer(h)
	web.EnableHTTP2 = http2
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	web.StartTLS()
	f.t.Cleanup(web.Close)
	return web
}

// signIn gets a token for a client.
func (f *fixture) signIn(client, value string) string {
	f.t.Helper()
	body := "grant_type=client_credentials&client_id=" + client + "&client_secret=" + value
	a := f.as("").do("POST", "/oauth2/token", body, "Content-Type", mediaForm)
	a.want(200)
	return a.text("access_token")
}

// actor sends requests as somebody.
type actor struct {
	f     *fixture
	token string
}

func (f *fixture) as(token string) actor { return actor{f, token} }

func (f *fixture) me() actor { return actor{f, f.token} }

// do sends a request; headers come in pairs. A JSON body needs no Content-Type.
func (a actor) do(method, path, body string, headers ...string) answer {
	a.f.t.Helper()
	base := a.f.web
	if path == "/metrics" {
		base = a.f.ops
	}
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, base.URL+path, in)
	if err != nil {
		a.f.t.Fatal(err)
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", mediaJSON)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	client := *a.f.client
	if base == a.f.ops {
		client.Transport = &recorder{a.f.t, a.f.ops.Client().Transport}
	}
	resp, err := client.Do(r)
	if err != nil {
		a.f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{a.f.t, method + " " + path, resp, string(text), err}
}
