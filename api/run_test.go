package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"strongroom/rotate"
	"strongroom/store"
)

// slowStore holds a read back until it is let go.
type slowStore struct {
	*scripted
	entered, release chan struct{}
}

func (s *slowStore) GetRecord(ctx context.Context, c store.Caller, ref store.RecordRef, o store.ReadOptions) (store.Record, error) {
	close(s.entered)
	<-s.release
	return s.scripted.GetRecord(ctx, c, ref, o)
}

// TestDrain stops a server while it answers: the answer is finished, a new
// connection is refused, and Run returns without an error.
func TestDrain(t *testing.T) {
	f := newScripted(t)
	slow := &slowStore{f.script, make(chan struct{}), make(chan struct{})}
	config := f.server.Config
	config.Store, config.TLS = slow, f.web.TLS
	config.Listen, config.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan int, 1)
	go func() { ended <- s.Run(ctx) }()
	client := f.web.Client()
	client.Transport = client.Transport.(*recorder).next
	get := func(base, path string) int {
		r, _ := http.NewRequest("GET", "https://"+base+path, nil)
		r.Header.Set("Authorization", "Bearer "+f.token)
		resp, err := client.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if get(s.OpsAddr(), "/readyz") != 200 || get(s.OpsAddr(), "/metrics") != 200 {
		t.Error("the operations listener does not answer")
	}
	go func() { answered <- get(s.Addr(), someRecord) }()
	<-slow.entered
	stop()
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	close(slow.release)
	if status := <-answered; status != 200 {
		t.Errorf("the request under way ended in %d", status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	client.CloseIdleConnections()
	if get(s.Addr(), "/livez") != 0 {
		t.Error("it still listens")
	}
}

// Whoever follows a job does not hold a server up that stops: the stream ends,
// as a whole answer, and the client asks again.
func TestDrainEndsStreamsOfEvents(t *testing.T) {
	f := newScripted(t)
	f.script.rotations = make(chan rotate.Rotation)
	config := f.server.Config
	config.TLS, config.Listen, config.OpsListen = f.web.TLS, "127.0.0.1:0", "-"
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w := f.watchOn(t, "https://"+s.Addr())
	f.script.rotations <- aRotation
	if name, _ := w.event(); name != "progress" {
		t.Fatalf("the first event is %q", name)
	}
	stop()
	if name, _ := w.event(); name != "" || w.lines.Err() != nil {
		t.Errorf("after the server stopped comes %q, %v", name, w.lines.Err())
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerHasEveryTimeout(t *testing.T) {
	f := newScripted(t)
	f.server.TLS = f.web.TLS
	s := f.server.newHTTPServer(f.server.Handler())
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
	if !s.Protocols.HTTP1() || !s.Protocols.HTTP2() || s.Protocols.UnencryptedHTTP2() {
		t.Errorf("protocols %v", s.Protocols)
	}
}

func TestListenWantsTLS(t *testing.T) {
	f := newScripted(t)
	f.server.TLS = nil
	if err := f.server.Listen(); err == nil {
		t.Error("it would listen in the clear")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server without a store")
	}
}
