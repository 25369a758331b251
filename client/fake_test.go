package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a server of the documented shapes. Each request goes to handle after
// its token was checked.
type fake struct {
	*httptest.Server
	handle  http.HandlerFunc
	issued  atomic.Int64
	revoked sync.Map
	life    int // seconds of a token
	stall   chan struct{}

	mu    sync.Mutex
	calls []call
}

func newFake(t *testing.T, handle http.HandlerFunc) (*fake, *Client) {
	t.Helper()
	f := &fake{handle: handle, life: 900}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	c, err := New(Config{URL: f.URL, ClientID: "tester", ClientSecret: NewSecret("s3cret value"), HTTPClient: f.Client()})
	if err != nil {
		t.Fatal(err)
	}
	c.sleep = func(<-chan struct{}, time.Duration) bool { return true }
	return f, c
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth2/token" {
		f.token(w, r)
		return
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, gone := f.revoked.Load(bearer); gone || !strings.HasPrefix(bearer, "token-") {
		problem(w, 401, "invalid_token")
		return
	}
	f.mu.Lock()
	f.calls = append(f.calls, call{method: r.Method, path: r.URL.RequestURI(), header: r.Header.Clone()})
	f.mu.Unlock()
	f.handle(w, r)
}

func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	if f.stall != nil {
		<-f.stall
	}
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if id != "tester" || secret != "s3cret+value" || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":"invalid_client","error_description":"the client could not be authenticated"}`)
		return
	}
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, f.issued.Add(1), f.life)
}

func (f *fake) seen() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	retryable := status == 503 && code != "outcome_unknown"
	json.NewEncoder(w).Encode(Problem{Status: status, Code: code, Title: "no: " + code, RequestID: "r1", Retryable: retryable})
}

var event = RecordRef{"shop", "events", "r1"}
