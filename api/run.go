package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"strongroom/internal/limits"
)

// Timeouts bound how long the other end of a connection may take. Zero values
// mean the defaults. A body of the largest ordinary size arrives within Read
// even over a slow line; streams move their own deadlines on.
type Timeouts struct {
	Header time.Duration // for the header of a request, over HTTP/1; default 10 s
	Read   time.Duration // for a request with its body; default 30 s
	Write  time.Duration // for an answer; default 60 s
	Stall  time.Duration // a connection over HTTP/2 that takes no byte for so long is cut; default 15 s
	Ping   time.Duration // one that is quiet for so long is asked whether it is there; default 30 s
	Idle   time.Duration // between requests; default 120 s
}

func (t *Timeouts) defaults() {
	set(&t.Header, 10*time.Second)
	set(&t.Read, 30*time.Second)
	set(&t.Write, 60*time.Second)
	set(&t.Stall, 15*time.Second)
	set(&t.Ping, 30*time.Second)
	set(&t.Idle, 120*time.Second)
}

// The bounds of a connection. Over HTTP/2 a client may have so many requests
// under way at a time; those that it takes back still count until their
// handlers have returned, so that opening and resetting streams gains nothing.
const (
	maxHeader  = 32 << 10
	maxStreams = 100
)

// listeners is what Listen opened.
type listeners struct {
	api, ops       *http.Server
	apiNet, opsNet net.Listener
}

// Listen opens both listeners, so that Addr and OpsAddr tell where. Run serves
// them.
func (s *Server) Listen() error {
	if s.TLS == nil {
		return errors.New("api: a TLS configuration is required")
	}
	var err error
	var how net.ListenConfig
	if s.Gate != nil {
		how.KeepAlive = -1 // the door sets it, for those that it lets in: it costs four system calls
	}
	if s.running.apiNet, err = how.Listen(context.Background(), "tcp", s.Config.Listen); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	if s.OpsListen == "-" {
		return nil
	}
	if s.running.opsNet, err = net.Listen("tcp", s.OpsListen); err != nil {
		return errors.Join(fmt.Errorf("api: the operations listener: %w", err), s.running.apiNet.Close())
	}
	return nil
}

// Addr is the address of the API, with its true port, once Listen returned.
func (s *Server) Addr() string { return address(s.running.apiNet) }

// OpsAddr is the address of the operations listener, empty when there is none.
func (s *Server) OpsAddr() string { return address(s.running.opsNet) }

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Run serves until ctx ends and then drains: /readyz says so at once, after
// DrainDelay no new connection is taken, and requests under way have
// DrainTimeout to end. It calls Listen if that was not done. A clean end
// returns nil.
func (s *Server) Run(ctx context.Context) error {
	if s.running.apiNet == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	failed := make(chan error, 2)
	if s.Gate != nil {
		door := limits.NewDoor(s.running.apiNet, s.Gate.Limiter)
		s.Gate.Door.Store(door)
		s.running.apiNet = door
	}
	s.running.api = s.start(s.running.apiNet, s.api, failed)
	s.running.ops = s.start(s.running.opsNet, s.ops, failed)
	select {
	case <-ctx.Done():
		return s.drain()
	case err := <-failed:
		return errors.Join(fmt.Errorf("api: serving: %w", err), s.close())
	}
}

func (s *Server) start(l net.Listener, h http.Handler, failed chan<- error) *http.Server {
	if l == nil {
		return nil
	}
	server := s.newHTTPServer(h)
	go func() {
		if err := server.Serve(tls.NewListener(l, server.TLSConfig)); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return server
}

// newHTTPServer sets every limit that an http.Server has. The base context is
// not the one that ends at shutdown: what was begun is finished.
func (s *Server) newHTTPServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	config := s.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	return &http.Server{
		Handler: h, TLSConfig: config, Protocols: protocols,
		ReadHeaderTimeout: s.Timeouts.Header, ReadTimeout: s.Timeouts.Read,
		WriteTimeout: s.Timeouts.Write, IdleTimeout: s.Timeouts.Idle, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10,
			SendPingTimeout: s.Timeouts.Ping, PingTimeout: s.Timeouts.Stall, WriteByteTimeout: s.Timeouts.Stall,
		},
		BaseContext: func(net.Listener) context.Context { return context.Background() },
		ErrorLog:    log.New(connectionLog{s.Logger}, "", 0),
	}
}

func (s *Server) drain() error {
	s.draining.Store(true)
	time.Sleep(s.DrainDelay)
	s.running.api.RegisterOnShutdown(func() { close(s.stopping) }) // once the listener is closed
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
	defer cancel()
	err := s.running.api.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("api: requests were cut after %s: %w", s.DrainTimeout, err)
	}
	return errors.Join(err, s.close())
}

// close cuts what is left.
func (s *Server) close() error {
	var errs []error
	for _, server := range []*http.Server{s.running.api, s.running.ops} {
		if server != nil {
			errs = append(errs, server.Close())
		}
	}
	return errors.Join(errs...)
}

// connectionLog takes what net/http says of a connection: failed handshakes,
// mostly. It is a debug matter: anybody can make any number of them.
type connectionLog struct{ to *slog.Logger }

func (l connectionLog) Write(text []byte) (int, error) {
	l.to.Debug("connection", slog.String("problem", string(text)))
	return len(text), nil
}
