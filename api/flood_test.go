package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Opening and resetting streams (CVE-2023-44487): however many a client opens
// and takes back, no more run than it may have under way, and one that goes on
// is cut off.
func TestRapidReset(t *testing.T) {
	d := newDoor(t, Timeouts{})
	r := d.raw()
	read := make(chan *ending, 1)
	go func() { read <- r.readAll(nil) }()
	var failed error
	sent := 0
	for ; sent < 10_000 && failed == nil; sent++ {
		id, err := r.open(true, r.header("GET", someRecord))
		if err == nil {
			err = r.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		failed = err
	}
	e := <-read
	if e.goAway != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("after %d streams (%v) the connection ended in %v, want ENHANCE_YOUR_CALM", sent, failed, e.goAway)
	}
	if peak := d.held.peak.Load(); peak == 0 || peak > maxStreams {
		t.Errorf("%d requests ran at a time, want at most %d", peak, maxStreams)
	}
	d.stillServes()
	close(d.held.release)
}

// More streams than are allowed are refused one by one, without the rest.
func TestTooManyStreams(t *testing.T) {
	d := newDoor(t, Timeouts{})
	r := d.raw()
	const over = 20
	for range maxStreams + over {
		if _, err := r.open(true, r.header("GET", someRecord)); err != nil {
			t.Fatal(err)
		}
	}
	e := r.readAll(func(e *ending) bool { return len(e.resets) == over })
	for id, code := range e.resets {
		if code != http2.ErrCodeRefusedStream {
			t.Errorf("stream %d: %v", id, code)
		}
	}
	if peak := d.held.peak.Load(); peak > maxStreams {
		t.Errorf("%d requests ran at a time", peak)
	}
	d.stillServes()
	close(d.held.release)
	e = r.readAll(func(e *ending) bool { return len(e.status) == maxStreams })
	if e.status[1] != "200" {
		t.Errorf("the first request ended in %q", e.status[1])
	}
}

// growth returns by how much the heap is larger after a test's work, in bytes.
func growth(work func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	work()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// A header that never ends (CVE-2023-45288) is cut off, not gathered.
func TestContinuationFlood(t *testing.T) {
	d := newDoor(t, Timeouts{})
	r := d.raw()
	go r.readAll(nil)
	filler := bytes.Clone(r.header("GET", "/livez", "x-filler", strings.Repeat("a", 12<<10)))
	grown := growth(func() {
		err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: filler})
		sent := 0
		for ; err == nil && sent < 100_000; sent++ {
			err = r.WriteContinuation(1, false, filler)
		}
		if err == nil {
			t.Errorf("%d frames of a header were taken", sent)
		}
	})
	if grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	d.stillServes()
}

// Frames that ask for an answer each, from a client that reads none: what waits
// to be written is bounded, and the client cut off. Of SETTINGS no answer waits
// behind another, so that a flood of them costs its sender as much.
func TestControlFrameFloods(t *testing.T) {
	for name, tt := range map[string]struct {
		send func(*raw) error
		cut  bool
	}{
		"PING":     {func(r *raw) error { return r.WritePing(false, [8]byte{1}) }, true},
		"SETTINGS": {func(r *raw) error { return r.WriteSettings() }, false},
		"requests that are not well-formed": {func(r *raw) error { // the server resets each
			_, err := r.open(true, r.header("GET", "/livez", "connection", "close"))
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, Timeouts{Ping: time.Second, Stall: time.Second})
			r := d.raw()
			var err error
			sent, most := 0, 300_000
			if tt.cut {
				most *= 20 // it ends when the buffers of both systems are full
			}
			grown := growth(func() {
				for ; err == nil && sent < most; sent++ {
					err = tt.send(r)
				}
				d.stillServes()
			})
			if cut := err != nil && !errors.Is(err, os.ErrDeadlineExceeded); cut != tt.cut {
				t.Errorf("after %d frames: %v", sent, err)
			}
			if grown > 32<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
		})
	}
}

// A client that asks for much and reads nothing holds nothing for long: the
// stream, or the connection, is cut.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	d := newDoor(t, Timeouts{Write: 300 * time.Millisecond, Stall: 300 * time.Millisecond})
	t.Cleanup(func() { d.stillServes() }) // when all of these are done
	t.Run("HTTP/2, no window", func(t *testing.T) {
		t.Parallel()
		r := d.raw(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		id, err := r.open(true, r.header("GET", "/openapi.json"))
		if err != nil {
			t.Fatal(err)
		}
		r.readAll(func(e *ending) bool { _, reset := e.resets[id]; return reset })
	})
	t.Run("HTTP/2, a full socket", func(t *testing.T) {
		t.Parallel()
		r := d.raw(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		r.conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
		r.WriteWindowUpdate(0, 1<<31-1-65535)
		var err error
		for range 100_000 {
			if _, err = r.open(true, r.header("GET", "/openapi.json")); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err == nil {
			t.Error("the connection stays open")
		}
	})
	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		conn := d.connect("http/1.1")
		conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
		var err error
		for range 100_000 {
			if _, err = io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err == nil {
			t.Error("the connection stays open")
		}
	})
}

// Slow writers: a header or a body that comes byte by byte, or stops, is not
// waited for.
func TestSlowWriters(t *testing.T) {
	t.Parallel()
	short := 300 * time.Millisecond
	d := newDoor(t, Timeouts{Header: short, Read: short, Idle: short, Ping: short, Stall: short})
	t.Cleanup(func() { d.stillServes() }) // when all of these are done
	drip := func(conn net.Conn, text string) {
		for i := range 1_000_000 {
			if _, err := io.WriteString(conn, text[i%len(text):i%len(text)+1]); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Error("the connection stays open")
	}
	t.Run("header", func(t *testing.T) {
		t.Parallel()
		conn := d.connect("http/1.1")
		io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n")
		drip(conn, "X-A: b\r\n")
	})
	t.Run("body", func(t *testing.T) {
		t.Parallel()
		conn := d.connect("http/1.1")
		fmt.Fprintf(conn, "POST %s/records HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n", customers, d.token)
		drip(conn, `{"fields":{"email":"aaaaaaaaaaaaaaaaaaaaaa`)
	})
	t.Run("body in chunks", func(t *testing.T) {
		t.Parallel()
		conn := d.connect("http/1.1")
		fmt.Fprintf(conn, "POST %s/records HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", customers, d.token)
		drip(conn, "1\r\n \r\n")
	})
	t.Run("handshake", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write([]byte{22, 3, 1})
		d.closes(conn)
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		d.closes(d.connect("http/1.1"))
	})
	t.Run("nothing, HTTP/2", func(t *testing.T) {
		t.Parallel()
		d.closes(d.connect("h2"))
	})
	t.Run("idle, HTTP/2", func(t *testing.T) {
		t.Parallel()
		d.raw().readAll(nil)
	})
	t.Run("half a header, HTTP/2", func(t *testing.T) {
		t.Parallel()
		r := d.raw()
		if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.header("GET", "/livez")[:3]}); err != nil {
			t.Fatal(err)
		}
		r.readAll(nil)
	})
	t.Run("half a body, HTTP/2", func(t *testing.T) {
		t.Parallel()
		r := d.raw()
		id, err := r.open(false, r.header("POST", customers+"/records", "content-type", "application/json"))
		if err != nil || r.WriteData(id, false, []byte(`{"fields":`)) != nil {
			t.Fatal("the request was not sent")
		}
		e := r.readAll(func(e *ending) bool { return e.status[id] != "" || len(e.resets) > 0 })
		if e.status[id] != "400" && len(e.resets) == 0 {
			t.Errorf("it ended in %q", e.status[id])
		}
	})
}

// A header is bounded in bytes and in fields.
func TestLargeHeaders(t *testing.T) {
	d := newDoor(t, Timeouts{})
	for name, extra := range map[string]string{
		"a long value":   "X-Filler: " + strings.Repeat("a", 64<<10) + "\r\n",
		"many fields":    strings.Repeat("X-Filler: a\r\n", maxHeaderFields+1),
		"many names":     manyNames(maxHeaderFields + 1),
		"a long address": "",
	} {
		conn := d.connect("http/1.1")
		path := "/livez"
		if extra == "" {
			path += "?" + strings.Repeat("a", 64<<10)
		}
		go io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+extra+"\r\n")
		if text := d.closes(conn); !bytes.HasPrefix(text, []byte("HTTP/1.1 431 ")) {
			t.Errorf("%s: %.40q", name, text)
		}
	}
	for name, more := range map[string][]string{
		"long values": {"x-a", strings.Repeat("a", 14<<10), "x-b", strings.Repeat("b", 14<<10), "x-c", strings.Repeat("c", 14<<10)},
		"many fields": strings.Fields(strings.Repeat("x-filler a ", maxHeaderFields+1)),
	} {
		r := d.raw()
		block := bytes.Clone(r.header("GET", "/livez", more...))
		first := min(len(block), 16<<10)
		if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:first], EndStream: true, EndHeaders: first == len(block)}); err != nil {
			t.Fatal(err)
		}
		for rest := block[first:]; len(rest) > 0; {
			n := min(len(rest), 16<<10)
			r.WriteContinuation(1, n == len(rest), rest[:n])
			rest = rest[n:]
		}
		e := r.readAll(func(e *ending) bool { return e.status[1] != "" || len(e.resets) > 0 })
		if e.status[1] != "431" {
			t.Errorf("HTTP/2, %s: status %q, resets %v, goaway %v", name, e.status[1], e.resets, e.goAway)
		}
	}
	d.stillServes()
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-Filler-%d: a\r\n", i)
	}
	return b.String()
}
