package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"strongroom/store"
)

// patience is how long a test waits for what must come; nothing is measured
// against it.
const patience = 30 * time.Second

// door is a server on a socket of its own, with time-outs that a test can wait
// for.
type door struct {
	*fixture
	held *holding
	addr string
}

// holding is a store whose reads of a record wait until the test lets go or the
// caller is gone, and which counts them.
type holding struct {
	*scripted
	release   chan struct{}
	now, peak atomic.Int64
}

func (h *holding) GetRecord(ctx context.Context, c store.Caller, ref store.RecordRef, o store.ReadOptions) (store.Record, error) {
	n := h.now.Add(1)
	defer h.now.Add(-1)
	for peak := h.peak.Load(); n > peak && !h.peak.CompareAndSwap(peak, n); peak = h.peak.Load() {
	}
	select {
	case <-h.release:
	case <-time.After(patience):
	}
	return h.scripted.GetRecord(ctx, c, ref, o)
}

func newDoor(t *testing.T, timeouts Timeouts) *door {
	t.Helper()
	f := newScripted(t)
	d := &door{fixture: f, held: &holding{scripted: f.script, release: make(chan struct{})}}
	config := f.server.Config
	config.Store, config.TLS, config.Timeouts = d.held, f.web.TLS, timeouts
	config.Listen, config.OpsListen = "127.0.0.1:0", "-"
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	d.addr = s.Addr()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		s.close()
		<-ended
	})
	return d
}

// connect opens a connection that speaks a protocol.
func (d *door) connect(proto string) *tls.Conn {
	d.t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}}}
	c, err := dialer.DialContext(d.t.Context(), "tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	conn := c.(*tls.Conn)
	if got := conn.ConnectionState().NegotiatedProtocol; got != proto {
		d.t.Fatalf("speaks %q, not %q", got, proto)
	}
	conn.SetDeadline(time.Now().Add(patience))
	d.t.Cleanup(func() { conn.Close() })
	return conn
}

// stillServes fails the test unless a well-behaved client is answered.
func (d *door) stillServes() {
	d.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + d.addr + "/livez")
	if err != nil {
		d.t.Fatalf("another client is not answered: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		d.t.Errorf("another client got %d", resp.StatusCode)
	}
}

// closes fails the test unless the server ends a connection; it returns what
// came before.
func (d *door) closes(conn net.Conn) []byte {
	d.t.Helper()
	text, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatal("the connection stays open")
	}
	return text
}

// raw is an HTTP/2 connection of which a test writes every frame.
type raw struct {
	*http2.Framer
	d    *door
	conn *tls.Conn
	hp   *hpack.Encoder
	text bytes.Buffer
	next uint32
}

func (d *door) raw(settings ...http2.Setting) *raw {
	d.t.Helper()
	conn := d.connect("h2")
	r := &raw{Framer: http2.NewFramer(conn, conn), d: d, conn: conn, next: 1}
	r.hp = hpack.NewEncoder(&r.text)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		d.t.Fatal(err)
	}
	if err := r.WriteSettings(settings...); err != nil {
		d.t.Fatal(err)
	}
	return r
}

// header encodes the header of a request; more come in pairs.
func (r *raw) header(method, path string, more ...string) []byte {
	r.text.Reset()
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "localhost", ":path", path,
		"authorization", "Bearer " + r.d.token}, more...)
	for i := 0; i < len(fields); i += 2 {
		r.hp.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return r.text.Bytes()
}

// open sends the header of a request and returns its stream.
func (r *raw) open(end bool, header []byte) (uint32, error) {
	id := r.next
	r.next += 2
	return id, r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: header, EndStream: end, EndHeaders: true})
}

// ending is how the server ended a connection.
type ending struct {
	goAway http2.ErrCode // of the last GOAWAY; 0xff when there was none
	resets map[uint32]http2.ErrCode
	status map[uint32]string
}

// readAll reads frames until the server ends the connection, or until enough
// says so. It writes none, so that another goroutine can.
func (r *raw) readAll(enough func(*ending) bool) *ending {
	r.d.t.Helper()
	e := &ending{goAway: 0xff, resets: map[uint32]http2.ErrCode{}, status: map[uint32]string{}}
	decoder := hpack.NewDecoder(4096, nil)
	for enough == nil || !enough(e) {
		frame, err := r.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.d.t.Error("the connection stays open")
		}
		if err != nil {
			return e
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			e.goAway = f.ErrCode
		case *http2.RSTStreamFrame:
			e.resets[f.StreamID] = f.ErrCode
		case *http2.HeadersFrame:
			fields, _ := decoder.DecodeFull(f.HeaderBlockFragment())
			for _, field := range fields {
				if field.Name == ":status" {
					e.status[f.StreamID] = field.Value
				}
			}
		}
	}
	return e
}
