package api

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"

	"strongroom/store"
)

const (
	// streamBuffer is how many bytes of a stream are put together before they
	// are written, and flushAfter how long fewer may wait.
	streamBuffer = 32 << 10
	flushAfter   = 25 * time.Millisecond
	// chunkSize is how many bytes of an import are read at once.
	chunkSize = 256 << 10
)

// openStream turns a call into streams both ways: reading and writing at the
// same time, each cut when it stands still for too long rather than when it
// lasts long.
func (c *call) openStream() (io.Reader, *streamWriter) {
	control := http.NewResponseController(c.w)
	_ = control.EnableFullDuplex() // HTTP/2 is so from the start
	liftDeadlines(control)
	in := &patientReader{c.r.Body, control, c.s.StreamStall}
	return in, &streamWriter{c: c, control: control, stall: c.s.StreamStall}
}

// liftDeadlines takes away the deadlines that an ordinary request has. HTTP/2
// ends a stream at its deadline even when nothing waits to be written, so a
// stream has one only while it writes.
func liftDeadlines(control *http.ResponseController) {
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

// patientReader moves the read deadline on with every read, and lifts it when
// all was read: net/http goes on reading, to see whether the client is still
// there, and would take a deadline for its going away.
type patientReader struct {
	from    io.Reader
	control *http.ResponseController
	stall   time.Duration
}

func (p *patientReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.stall))
	n, err := p.from.Read(b)
	if err == io.EOF {
		_ = p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// streamWriter gathers lines and writes them when there are many, or when they
// have waited. It is safe for concurrent use.
type streamWriter struct {
	c       *call
	control *http.ResponseController
	stall   time.Duration

	mu     sync.Mutex
	buffer []byte
	timer  *time.Timer
	err    error
	ended  bool
}

// begun reports whether something was written, or is about to be.
func (o *streamWriter) begun() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.c.status != 0 || len(o.buffer) > 0
}

// append adds what grow appends to the stream.
func (o *streamWriter) append(grow func([]byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.buffer = grow(o.buffer)
	if len(o.buffer) >= streamBuffer {
		return o.write()
	}
	if o.timer == nil {
		o.timer = time.AfterFunc(flushAfter, func() { _ = o.flush() })
	}
	return nil
}

// flush writes what has gathered.
func (o *streamWriter) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.err != nil {
		return o.err
	}
	return o.write()
}

// stop ends the stream: nothing is written once it returns.
func (o *streamWriter) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.timer != nil {
		o.timer.Stop()
	}
	clear(o.buffer)
	_ = o.control.SetWriteDeadline(time.Now().Add(o.stall)) // for the end that net/http writes
}

// write sends the buffer to the client. The caller holds the lock.
func (o *streamWriter) write() error {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if len(o.buffer) == 0 {
		return nil
	}
	if o.c.status == 0 {
		o.c.w.Header()["Content-Type"] = []string{mediaNDJSON}
		o.c.status = http.StatusOK
	}
	_ = o.control.SetWriteDeadline(time.Now().Add(o.stall))
	n, err := o.c.w.Write(o.buffer)
	o.c.written += int64(n)
	if err == nil {
		err = o.control.Flush()
	}
	_ = o.control.SetWriteDeadline(time.Time{})
	o.buffer = o.buffer[:0]
	if err != nil {
		o.err = errClientGone
	}
	return o.err
}

// lineReader cuts a body into lines without copying them: each is a slice of
// the chunk that it was read into, and no byte of a chunk is written twice, so
// a line stays as it is for as long as somebody holds it.
type lineReader struct {
	body    io.Reader
	longest int // bytes of a line

	chunk   []byte // read bytes
	start   int    // of the line that is being read
	scanned int    // no line ends before
	number  int
	eof     bool
	err     error
}

// next returns the next line that is not blank; false at the end, after which
// err tells whether that was the end of the body.
func (l *lineReader) next() (store.ImportLine, bool) {
	for l.err == nil {
		if i := bytes.IndexByte(l.chunk[l.scanned:], '\n'); i >= 0 {
			line := l.take(l.scanned + i)
			l.start, l.scanned = l.scanned+i+1, l.scanned+i+1
			if len(line.Raw) > 0 {
				return line, true
			}
			continue
		}
		l.scanned = len(l.chunk)
		if len(l.chunk)-l.start > l.longest {
			l.err = errTooLarge
		} else if l.eof {
			line := l.take(len(l.chunk))
			l.start = len(l.chunk)
			return line, len(line.Raw) > 0
		} else {
			l.fill()
		}
	}
	return store.ImportLine{}, false
}

// take cuts the line that ends before an offset.
func (l *lineReader) take(end int) store.ImportLine {
	l.number++
	raw := bytes.Trim(l.chunk[l.start:end:end], " \t\r")
	return store.ImportLine{Number: l.number, Raw: raw}
}

// fill reads more, into a new chunk when this one is full.
func (l *lineReader) fill() {
	if len(l.chunk) == cap(l.chunk) {
		open := l.chunk[l.start:]
		grown := make([]byte, len(open), max(chunkSize, 2*len(open)))
		copy(grown, open)
		l.chunk, l.start, l.scanned = grown, 0, len(open)
	}
	n, err := l.body.Read(l.chunk[len(l.chunk):cap(l.chunk)])
	l.chunk = l.chunk[:len(l.chunk)+n]
	switch {
	case err == io.EOF:
		l.eof = true
	case err != nil:
		l.err = refuse(errBody, "the body did not arrive whole")
	}
}
