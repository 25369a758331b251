package audit

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// writer is the state that belongs to whoever holds the pen.
type writer struct {
	f       file
	number  int    // of the file
	size    int64  // bytes that are whole lines
	torn    bool   // there may be more in the file than size
	failed  error  // of the last write
	notes   []byte // lines of the log's own that wait to be written
	nextNew time.Time
}

// flush writes lines, and before them what the log itself has to say. It is
// called with the pen held.
func (l *Log) flush(lines []byte, n uint64) error {
	w := &l.writer
	l.n.flights.Add(1)
	defer l.n.landed.Store(l.n.flights.Load())
	if err := l.repair(); err != nil {
		return l.refuse(n, err)
	}
	if w.size > 0 && w.size+int64(len(lines)) > l.opts.MaxSize {
		l.rotate()
	}
	gap := l.n.lost.Load()
	if gap > 0 || len(w.notes) > 0 {
		lines = append(l.preface(gap), lines...)
	}
	if err := l.put(lines); err != nil {
		return l.refuse(n, err)
	}
	l.recovered(gap)
	l.n.entries.Add(n)
	return nil
}

// put appends to the file, whole or not at all as far as the disk lets it.
func (l *Log) put(lines []byte) error {
	w := &l.writer
	m, err := w.f.Write(lines)
	if err == nil && m < len(lines) {
		err = io.ErrShortWrite
	}
	w.failed = err
	if err != nil {
		w.torn = true
		_ = l.cutBack() // when it fails, repair tries again
		return err
	}
	w.size += int64(m)
	l.n.size.Store(w.size)
	l.n.bytes.Add(uint64(m))
	l.n.writes.Add(1)
	l.dirty.Store(true)
	return nil
}

func (l *Log) cutBack() error {
	w := &l.writer
	if err := w.f.Truncate(w.size); err != nil {
		return err
	}
	w.torn = false
	return nil
}

// repair makes the file end with a whole line again after a failed write. When
// that can't be had, or the file fails for another reason than a full disk, the
// log goes on in a new file.
func (l *Log) repair() error {
	w := &l.writer
	if w.failed == nil {
		return nil
	}
	if w.torn {
		_ = l.cutBack()
	}
	full := errors.Is(w.failed, syscall.ENOSPC) || errors.Is(w.failed, syscall.EDQUOT)
	if w.torn || !full {
		l.rotate()
	}
	if w.torn {
		return w.failed
	}
	return nil
}

// preface returns the waiting notes and, when entries were lost, a gap event.
func (l *Log) preface(gap uint64) []byte {
	b := append([]byte(nil), l.writer.notes...)
	if gap == 0 {
		return b
	}
	e := &Entry{Phase: Event, Event: EventGap, Outcome: Failed, Lost: gap,
		Detail: "These entries could not be written, and what they told of was refused."}
	if since := l.n.lostSince.Load(); since != 0 {
		e.Detail += " The first was lost at " + time.Unix(0, since).UTC().Format(time.RFC3339Nano) + "."
	}
	return appendLine(b, e, l.opts.Now())
}

// lose counts entries that nobody will find in the log.
func (l *Log) lose(n uint64) {
	if n == 0 {
		return
	}
	l.n.lostSince.CompareAndSwap(0, l.opts.Now().UnixNano())
	l.n.lost.Add(n)
	l.n.refused.Add(n)
}

func (l *Log) refuse(n uint64, cause error) error {
	l.lose(n)
	l.n.failing.Store(true)
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// recovered takes back what the preface told of.
func (l *Log) recovered(gap uint64) {
	l.n.failing.Store(false)
	l.writer.notes = nil
	if gap == 0 {
		return
	}
	if l.n.lost.Add(-gap) == 0 {
		l.n.lostSince.Store(0)
	}
}
