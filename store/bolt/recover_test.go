package bolt

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

var errDisk = errors.New("the disk is on fire")

// faults plays commits that fail, when told to.
type faults struct {
	before atomic.Int32 // so many commits fail and store nothing
	after  atomic.Int32 // so many commits fail although they are stored
	shut   atomic.Bool  // the file can't be opened again
}

func (f *faults) options() Options {
	return Options{hooks: hooks{commit: f.commit, reopen: f.reopen}}
}

func (f *faults) commit(tx *bbolt.Tx) error {
	if f.before.Add(-1) >= 0 {
		return errors.Join(errDisk, tx.Rollback())
	}
	if f.after.Add(-1) >= 0 {
		return errors.Join(tx.Commit(), errDisk)
	}
	return tx.Commit()
}

func (f *faults) reopen() error {
	if f.shut.Load() {
		return errDisk
	}
	return nil
}

func TestFailedAndNotPersisted(t *testing.T) {
	var f faults
	e := create(t, f.options())
	mustPut(t, e, kv.Records, "a", "1")
	f.before.Store(1)
	err := put(e, kv.Records, "a", "2")
	wantError(t, err, kv.ErrNotPersisted)
	wantError(t, err, errDisk)
	want(t, "a", get(t, e, kv.Records, "a"), "1")
	mustPut(t, e, kv.Records, "a", "3")
	want(t, "a", get(t, e, kv.Records, "a"), "3")
}

func TestFailedButPersisted(t *testing.T) {
	var f faults
	e := create(t, f.options())
	f.after.Store(1)
	mustPut(t, e, kv.Records, "a", "2")
	want(t, "a", get(t, e, kv.Records, "a"), "2")
	mustPut(t, e, kv.Records, "a", "3")
	want(t, "a", get(t, e, kv.Records, "a"), "3")
}

func TestFailedAndHealsLater(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		var f faults
		e := create(t, f.options())
		mustPut(t, e, kv.Records, "a", "1")
		f.shut.Store(true)
		expect := "1"
		if persisted {
			f.after.Store(1)
			expect = "2"
		} else {
			f.before.Store(1)
		}
		wantError(t, put(e, kv.Records, "a", "2"), kv.ErrOutcomeUnknown)
		wantError(t, put(e, kv.Records, "a", "3"), kv.ErrClosed)
		wantError(t, e.View(background, func(kv.ReadTx) error { return nil }), kv.ErrClosed)
		f.shut.Store(false)
		eventually(t, "healing", func() bool {
			return e.View(background, func(kv.ReadTx) error { return nil }) == nil
		})
		want(t, "a", get(t, e, kv.Records, "a"), expect)
		mustPut(t, e, kv.Records, "a", "4")
	}
}

func TestCloseWhileBroken(t *testing.T) {
	var f faults
	e := create(t, f.options())
	f.shut.Store(true)
	f.before.Store(1)
	wantError(t, put(e, kv.Records, "a", "2"), kv.ErrOutcomeUnknown)
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	again, err := Open(e.Path(), Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	checkAndClose(t, again)
}

// TestFailuresUnderLoad fails commits at random moments while many write and
// read. What each writer was told must be what the file holds.
func TestFailuresUnderLoad(t *testing.T) {
	var f faults
	e := create(t, f.options())
	var wg sync.WaitGroup
	var failed atomic.Int32
	for w := range 8 {
		wg.Go(func() {
			key, last := string(rune('a'+w)), "-"
			for i := range 60 {
				value := key + string(rune('0'+i))
				switch err := put(e, kv.Records, key, value); {
				case err == nil:
					last = value
				case errors.Is(err, kv.ErrNotPersisted):
					failed.Add(1)
				default:
					t.Errorf("put: %v", err)
				}
				if got := get(t, e, kv.Records, key); got != last {
					t.Errorf("key %s holds %q, the writer was told %q", key, got, last)
				}
			}
		})
	}
	stop := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				if i%2 == 0 {
					f.before.Store(1)
				} else {
					f.after.Store(1)
				}
			}
		}
	}()
	wg.Wait()
	close(stop)
	if failed.Load() == 0 {
		t.Error("no commit failed: the test has tested nothing")
	}
}

// TestMisled sees that a refusal which was based on a write of the same batch
// is not handed out when that write was not stored.
func TestMisled(t *testing.T) {
	var f faults
	e := create(t, f.options())
	errTaken, errAbsent := errors.New("taken"), errors.New("absent")
	refuse := func(tx kv.Tx) error {
		if tx.Get(kv.Index, []byte("unique")) != nil {
			return errTaken
		}
		return errAbsent
	}
	release := block(e)
	alone := begin(e, refuse)
	writer := begin(e, func(tx kv.Tx) error {
		tx.Put(kv.Index, []byte("unique"), nil)
		return nil
	})
	reader := begin(e, refuse)
	dropped := begin(e, func(tx kv.Tx) error {
		tx.Put(kv.Index, []byte("other"), nil)
		return refuse(tx)
	})
	f.before.Store(1)
	release()
	wantError(t, <-alone, errAbsent) // it saw nothing but what was stored
	wantError(t, <-writer, kv.ErrNotPersisted)
	wantError(t, <-reader, kv.ErrNotPersisted)
	wantError(t, <-dropped, kv.ErrNotPersisted)
}

// block holds the committer in an operation of its own until release, so that
// what begins meanwhile shares its batch.
func block(e *Engine) (release func()) {
	started, free, done := make(chan struct{}), make(chan struct{}), make(chan error)
	var once sync.Once
	go func() {
		done <- e.Update(background, kv.Interactive, 0, func(kv.Tx) error {
			once.Do(func() { close(started) })
			<-free
			return nil
		})
	}()
	<-started
	return func() {
		close(free)
		<-done
	}
}

// begin queues an update behind a blocked committer.
func begin(e *Engine, fn func(kv.Tx) error) <-chan error {
	before := queued(e)
	done := make(chan error, 1)
	go func() { done <- e.Update(background, kv.Interactive, 1, fn) }()
	for queued(e) == before {
		time.Sleep(100 * time.Microsecond)
	}
	return done
}

func queued(e *Engine) int {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	return e.queue.waiting[kv.Interactive].len()
}

// TestReaderWithinReader nests a read while the file is opened again: neither
// may wait for the other.
func TestReaderWithinReader(t *testing.T) {
	var f faults
	e := create(t, f.options())
	mustPut(t, e, kv.Records, "a", "1")
	outer := make(chan error, 1)
	inside, failing := make(chan struct{}), make(chan struct{})
	go func() {
		outer <- e.View(background, func(kv.ReadTx) error {
			close(inside)
			<-failing
			return e.View(background, func(kv.ReadTx) error { return nil })
		})
	}()
	<-inside
	f.before.Store(1)
	told := make(chan error, 1)
	go func() { told <- put(e, kv.Records, "a", "2") }()
	eventually(t, "the file is let go", func() bool { return e.state.Load().db == nil })
	close(failing)
	wantError(t, <-told, kv.ErrOutcomeUnknown)
	wantError(t, <-outer, kv.ErrClosed)
	eventually(t, "healing", func() bool {
		return e.View(background, func(kv.ReadTx) error { return nil }) == nil
	})
	want(t, "a", get(t, e, kv.Records, "a"), "1")
}

// TestCommitPanics plays bbolt meeting a broken page while it commits.
func TestCommitPanics(t *testing.T) {
	var broken atomic.Bool
	e := create(t, Options{hooks: hooks{commit: func(tx *bbolt.Tx) error {
		if broken.CompareAndSwap(true, false) {
			panic("assertion failed: page 7 is no page")
		}
		return tx.Commit()
	}}})
	broken.Store(true)
	err := put(e, kv.Records, "a", "1")
	wantError(t, err, kv.ErrNotPersisted)
	wantError(t, err, ErrDamaged)
	if err != nil && !strings.Contains(err.Error(), "page 7") {
		t.Errorf("the error hides its cause: %v", err)
	}
	mustPut(t, e, kv.Records, "a", "2")
}
