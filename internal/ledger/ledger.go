package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Errors of a ledger.
var (
	// ErrChanged comes when the file is not what was written: an entry was
	// changed, taken out or put elsewhere, or somebody without the keys wrote it.
	ErrChanged = errors.New("the ledger of erasures is not as it was written")
	// ErrUnavailable comes when an entry could not be made durable. It is kept
	// in memory and written with the next one, or by Flush.
	ErrUnavailable = errors.New("the ledger of erasures cannot be written")
	// ErrInUse comes from Open when another process has the file.
	ErrInUse = errors.New("another process uses this ledger")
)

// FileName is the name of the file in its folder.
const FileName = "erasures.log"

// disk is what the ledger asks of its file; tests play faults.
type disk interface {
	io.ReaderAt
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Ledger is an open file. It is safe for concurrent use.
type Ledger struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	f       disk
	size    int64 // of what is durable
	last    Entry // of the lines that are durable
	head    Hash  // of the last of them
	epoch   Entry // the last of kind Keys
	began   int64 // where that one lies
	torn    int64
	mac     MAC
	unclean bool // the file may hold more than size

	queue   []Entry       // waits to be written
	waiting []chan error  // whoever waits for it
	pen     chan struct{} // holds a token while nobody writes
}

// Open opens the ledger in a folder, or makes an empty one. What a crash left
// half written at the end is cut off; a chain of hashes that does not fit is
// ErrChanged. Who wrote the file is not known before Verify.
func Open(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the ledger: %w", err)
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	l, err := open(path, f)
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func open(path string, f disk) (*Ledger, error) {
	l := &Ledger{path: path, f: f, now: time.Now, pen: make(chan struct{}, 1)}
	l.pen <- struct{}{}
	err := l.read(func(line []byte, e *Entry, _ []byte, _ Hash) error { return l.follow(line, e) })
	if err != nil {
		return nil, err
	}
	if l.torn > 0 {
		if err := errors.Join(f.Truncate(l.size), f.Sync()); err != nil {
			return nil, fmt.Errorf("cut off what a crash left at the end of the ledger: %w", err)
		}
	}
	return l, nil
}

// read hands out the whole lines of the file in order, and notes what is torn.
// An error names the entry.
func (l *Ledger) read(each func(line []byte, e *Entry, body []byte, mac Hash) error) error {
	r := newLines(io.NewSectionReader(l.f, 0, math.MaxInt64))
	l.size, l.torn, l.head, l.last = 0, 0, Hash{}, Entry{}
	for n := uint64(1); ; n++ {
		line, torn, err := r.next()
		if err == io.EOF {
			l.torn = torn
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		e, body, mac, err := decode(line)
		if err == nil {
			err = each(line, &e, body, mac)
		}
		if err != nil {
			return fmt.Errorf("%w: %s, entry %d: %w", ErrChanged, l.path, n, err)
		}
	}
}

// follow takes a line in that stands after those before it.
func (l *Ledger) follow(line []byte, e *Entry) error {
	switch {
	case e.Number != l.last.Number+1:
		return errors.New("it is not the one that belongs there")
	case e.Prev != l.head:
		return errors.New("it does not follow the one before it")
	case e.Number == 1 && e.Kind != Keys:
		return errors.New("it does not begin as a ledger")
	case e.Kind == Keys && e.Store != l.epoch.Store && !l.epoch.Store.IsZero():
		return errors.New("it is of another store")
	}
	if e.Kind == Keys {
		l.epoch, l.began = *e, l.size
	}
	l.head, l.last = sha256.Sum256(line), *e
	l.size += int64(len(line)) + 1
	return nil
}

// Path returns where the file is.
func (l *Ledger) Path() string { return l.path }

// Torn returns how many bytes of a half written entry Open cut off.
func (l *Ledger) Torn() int64 { return l.torn }

// Epoch returns the last entry that carries keysets; ok is false for a ledger
// that is empty.
func (l *Ledger) Epoch() (e Entry, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, l.epoch.Number > 0
}

// Head returns the number and the hash of the last durable entry; 0 when there
// is none.
func (l *Ledger) Head() (uint64, Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.Number, l.head
}

// Verify checks the MAC of every entry since the last that carries keysets,
// with the key of those. The chain of hashes, which Open checked, vouches for
// the entries before.
func (l *Ledger) Verify(mac MAC) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan(l.began, func(e *Entry, body []byte, sum Hash, _ Hash) error {
		want, err := mac(body)
		if err == nil && want != sum {
			err = fmt.Errorf("%w: %s, entry %d: whoever wrote it has not the keys of this store", ErrChanged, l.path, e.Number)
		}
		return err
	})
}

// Each hands out the entries in order with the hash of each.
func (l *Ledger) Each(fn func(e *Entry, hash Hash) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan(0, func(e *Entry, _ []byte, _ Hash, hash Hash) error { return fn(e, hash) })
}

// scan reads the durable lines from one on. The caller holds mu.
func (l *Ledger) scan(from int64, fn func(e *Entry, body []byte, mac, hash Hash) error) error {
	r := newLines(io.NewSectionReader(l.f, from, l.size-from))
	for {
		line, _, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		e, body, mac, err := decode(line)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrChanged, l.path, err)
		}
		if err := fn(&e, body, mac, sha256.Sum256(line)); err != nil {
			return err
		}
	}
}

// Use says what entries are MACed with from now on, and under which keysets
// that is: they are written first when they are not those of the last ones.
func (l *Ledger) Use(keys Note, mac MAC) error {
	l.mu.Lock()
	same := keys.Store == l.epoch.Store && equalKeysets(keys.Keysets, l.epoch.Keysets)
	if same {
		l.mac = mac
		l.mu.Unlock()
		return nil
	}
	if !l.epoch.Store.IsZero() && keys.Store != l.epoch.Store {
		l.mu.Unlock()
		return fmt.Errorf("the ledger %s is of store %s, and this store is %s", l.path, l.epoch.Store, keys.Store)
	}
	l.mu.Unlock()
	keys.Kind = Keys
	<-l.pen
	defer func() { l.pen <- struct{}{} }()
	return l.write([]Entry{{Note: keys}}, mac)
}

func equalKeysets(a, b []Keyset) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Purpose != b[i].Purpose || a[i].Generation != b[i].Generation || a[i].State != b[i].State || !bytes.Equal(a[i].Blob, b[i].Blob) {
			return false
		}
	}
	return true
}

// Close lets go of the file.
func (l *Ledger) Close() error { return l.f.Close() }
