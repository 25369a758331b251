package audit

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrUnavailable comes when an entry could not be written: the disk is full,
	// fails or hangs, or the log was closed. Whoever gets it must not act. The
	// log tries again with the next entry.
	ErrUnavailable = errors.New("the audit log is unavailable")
	// ErrInUse comes from Open when another process writes to the directory.
	ErrInUse = errors.New("another process writes to this audit log")
)

var errClosed = fmt.Errorf("%w: it was closed", ErrUnavailable)

// Options of a Log; the zero value has the defaults.
type Options struct {
	MaxSize   int64         // bytes at which a file is rotated; 64 MiB
	SyncEvery time.Duration // at most this much is lost with the machine; 1 s
	Stall     time.Duration // a write that hangs longer makes the log unavailable; 2 s
	Now       func() time.Time

	disk disk // the operating system's, unless a test plays faults
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 20
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = time.Second
	}
	if o.Stall <= 0 {
		o.Stall = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	return o
}

// Log is an open audit log. It is safe for concurrent use.
//
// Writers that come while a write(2) is under way gather in a batch, whose
// first writer, its leader, writes it when it gets the pen. A write that fails
// leaves no half line behind: the file is cut back, or left for a new one.
type Log struct {
	dir  string
	opts Options
	lock *os.File
	n    counters

	pen    chan struct{} // holds one token while someone owns writer
	writer writer

	mu      sync.Mutex
	open    *batch // gathers entries; nil when the next one starts a batch
	flight  *batch // is being written
	stalled bool
	closed  bool
	retired []file // rotated out, to be synced and closed
	current file   // writer.f, for the syncer
	newFile bool   // a file was created since the directory was synced

	dirty atomic.Bool // something was written since the last sync
	stop  chan struct{}
	tasks sync.WaitGroup
}

// batch is what one write(2) writes.
type batch struct {
	buf  *[]byte // pooled
	n    uint64
	done chan struct{} // closed when err is known
	err  error
	over bool // done is closed
}

// Open opens the log in dir, which is created when missing, behind what earlier
// processes wrote. A line that a crash tore is cut off, and an entry says so.
func Open(dir string, o Options) (*Log, error) {
	l := &Log{dir: dir, opts: o.withDefaults(), pen: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: open: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit: open: %w", err)
	}
	l.lock = lock
	if err := l.openLast(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("audit: open: %w", err)
	}
	l.tasks.Add(2)
	go l.syncLoop()
	go l.watchLoop()
	return l, nil
}

// Write appends the entry. When it returns nil, the line has been handed to the
// operating system; otherwise the error is ErrUnavailable. The entry is not
// kept, nor changed.
func (l *Log) Write(e *Entry) error {
	scratch := linePool.Get().(*[]byte)
	*scratch = appendLine((*scratch)[:0], e, l.opts.Now())
	b, leads, err := l.join(*scratch)
	if cap(*scratch) <= maxPooled {
		linePool.Put(scratch)
	}
	switch {
	case err != nil:
		return err
	case leads:
		return l.lead(b)
	}
	<-b.done
	return b.err
}

const maxPooled = 1 << 20 // bytes; a larger buffer is left to the collector

var linePool = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// join puts a line into the open batch; the writer that starts it leads it.
func (l *Log) join(line []byte) (b *batch, leads bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, false, errClosed
	case l.stalled:
		l.lose(1)
		return nil, false, errStalled
	}
	if leads = l.open == nil; leads {
		l.open = &batch{buf: linePool.Get().(*[]byte), done: make(chan struct{})}
		*l.open.buf = (*l.open.buf)[:0]
	}
	b = l.open
	*b.buf = append(*b.buf, line...)
	b.n++
	return b, leads, nil
}

// lead waits for the pen, closes the batch to newcomers and writes it.
func (l *Log) lead(b *batch) error {
	select {
	case l.pen <- struct{}{}:
	case <-b.done: // given up by the watch
		return b.err
	}
	defer func() { <-l.pen }()
	if !l.launch(b) {
		return b.err
	}
	err := l.flush(*b.buf, b.n)
	l.land(b, err)
	return err
}

// launch moves the batch from gathering to flight; false when it was given up.
func (l *Log) launch(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.over {
		return false
	}
	l.open, l.flight = nil, b
	return true
}

// land tells everybody in the batch how the write ended.
func (l *Log) land(b *batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flight, l.stalled = nil, false
	l.finish(b, err)
	if cap(*b.buf) <= maxPooled {
		linePool.Put(b.buf)
	}
	b.buf = nil
}

// finish is called with mu held.
func (l *Log) finish(b *batch, err error) {
	if b.over {
		return
	}
	b.over, b.err = true, err
	close(b.done)
}

// Close writes what is under way, syncs and closes the log. Later writes get
// ErrUnavailable, as does Close itself when the disk hangs.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	ended := make(chan error, 1)
	go func() {
		l.pen <- struct{}{} // kept: nobody writes any more
		l.drain()
		l.tasks.Wait()
		ended <- l.closeFiles()
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(l.opts.Stall + l.opts.Stall/2):
		return errStalled
	}
}

// drain writes the batch that gathered while Close waited for the pen.
func (l *Log) drain() {
	l.mu.Lock()
	b := l.open
	l.open, l.flight = nil, b
	l.mu.Unlock()
	if b != nil {
		l.land(b, l.flush(*b.buf, b.n))
	}
}

func (l *Log) closeFiles() error {
	errs := []error{l.syncOnce(), l.writer.f.Close()}
	if err := errors.Join(append(errs, l.lock.Close())...); err != nil {
		return fmt.Errorf("audit: close: %w", err)
	}
	return nil
}
