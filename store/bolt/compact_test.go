package bolt

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/store/kv"
)

func thin(t testing.TB, e *Engine, table kv.Table, n int) {
	t.Helper()
	err := e.Update(background, kv.Bulk, 0, func(tx kv.Tx) error {
		for i := range n {
			if i%10 != 0 {
				tx.Delete(table, fmt.Appendf(nil, "key-%06d", i))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCompact(t *testing.T) {
	e := create(t, Options{})
	fill(t, e, kv.Revisions, 30_000)
	thin(t, e, kv.Revisions, 30_000)
	mustPut(t, e, kv.Meta, "format", "1")
	before, number := contents(t, e), mustNumber(t, e)
	stats, err := e.Compact(background)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stats)
	if stats.After > stats.Before/2 {
		t.Errorf("the file went from %d to %d bytes", stats.Before, stats.After)
	}
	want(t, "entries", stats.Entries, int64(len(before)))
	want(t, "the contents are the same", maps.Equal(contents(t, e), before), true)
	want(t, "commit number", mustNumber(t, e), number)
	mustPut(t, e, kv.Meta, "format", "2")
	want(t, "commit number", mustNumber(t, e), number+1)
	wantOneFile(t, e)
}

func mustNumber(t testing.TB, e *Engine) uint64 {
	t.Helper()
	number, err := e.currentNumber()
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func wantOneFile(t testing.TB, e *Engine) {
	t.Helper()
	found, err := os.ReadDir(filepath.Dir(e.Path()))
	if err != nil || len(found) != 1 {
		t.Errorf("next to the data file: %v, %v", found, err)
	}
}

// load writes and reads until stop is called, which compares what is stored
// with what the writers were told. It counts the longest waits.
type load struct {
	engine        *Engine
	stopped       atomic.Bool
	wg            sync.WaitGroup
	mu            sync.Mutex
	shadow        map[string]string
	slowestRead   time.Duration
	slowestWrite  time.Duration
	reads, writes int
}

// Each writer has keys of its own: loadWriters divides loadKeys, and 7 divides
// neither.
const (
	loadKeys    = 20_000
	loadWriters = 32
)

func startLoad(t testing.TB, e *Engine) *load {
	l := &load{engine: e, shadow: map[string]string{}}
	for w := range loadWriters {
		l.wg.Go(func() { l.write(t, w) })
	}
	for range 2 {
		l.wg.Go(func() { l.read(t) })
	}
	return l
}

func (l *load) write(t testing.TB, w int) {
	for i := 0; !l.stopped.Load(); i++ {
		key, value := fmt.Sprintf("key-%06d", (i*loadWriters+w)*7%loadKeys), fmt.Sprintf("%d of %d", i, w)
		remove, start := i%5 == 4, time.Now()
		err := l.engine.Update(background, kv.Interactive, 100, func(tx kv.Tx) error {
			if remove {
				tx.Delete(kv.Records, []byte(key))
			} else {
				tx.Put(kv.Records, []byte(key), []byte(value))
			}
			return nil
		})
		if err != nil {
			t.Errorf("write: %v", err)
			return
		}
		l.wrote(key, value, remove, time.Since(start))
	}
}

// wrote keeps in mind what the tables must hold. A key belongs to one writer,
// by its remainder.
func (l *load) wrote(key, value string, removed bool, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	l.slowestWrite = max(l.slowestWrite, took)
	if removed {
		delete(l.shadow, key)
	} else {
		l.shadow[key] = value
	}
}

func (l *load) read(t testing.TB) {
	for i := 0; !l.stopped.Load(); i++ {
		time.Sleep(50 * time.Microsecond) // leave the writers some processor
		start := time.Now()
		err := l.engine.View(background, func(tx kv.ReadTx) error {
			tx.Get(kv.Records, fmt.Appendf(nil, "key-%06d", i%loadKeys))
			return nil
		})
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		l.mu.Lock()
		l.reads++
		l.slowestRead = max(l.slowestRead, time.Since(start))
		l.mu.Unlock()
	}
}

func (l *load) stop(t testing.TB) {
	t.Helper()
	l.stopped.Store(true)
	l.wg.Wait()
	t.Logf("%d writes, slowest %v; %d reads, slowest %v", l.writes, l.slowestWrite, l.reads, l.slowestRead)
	found := map[string]string{}
	for k, v := range contents(t, l.engine) {
		if name, ok := cutTable(k, kv.Records); ok {
			found[name] = v
		}
	}
	if !maps.Equal(found, l.shadow) {
		t.Errorf("the file holds %d keys and the writers were told of %d, or values differ", len(found), len(l.shadow))
	}
}

func cutTable(k string, table kv.Table) (string, bool) {
	prefix := table.String() + " "
	if len(k) < len(prefix) || k[:len(prefix)] != prefix {
		return "", false
	}
	return k[len(prefix):], true
}

// TestCompactUnderLoad compacts again and again while others write and read.
func TestCompactUnderLoad(t *testing.T) {
	const limit = 100 * time.Millisecond
	e := create(t, Options{})
	fill(t, e, kv.Revisions, 20_000)
	thin(t, e, kv.Revisions, 20_000)
	l := startLoad(t, e)
	var replayed int64
	var pauses []time.Duration
	for range 5 {
		stats, err := e.Compact(background)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", stats)
		replayed += stats.Replayed
		pauses = append(pauses, stats.Pause)
	}
	l.stop(t)
	slices.Sort(pauses)
	if pauses[2] > limit { // the median: others may be using the disk
		t.Errorf("writers waited for %v", pauses)
	}
	if replayed == 0 {
		t.Error("nothing was written meanwhile: the test has tested nothing")
	}
	wantOneFile(t, e)
}

// TestCompactWaitsForReaders: when Compact returns, nobody reads the old file.
func TestCompactWaitsForReaders(t *testing.T) {
	e := create(t, Options{})
	mustPut(t, e, kv.Records, "a", "old")
	inside, leave := make(chan struct{}), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		err := e.View(background, func(tx kv.ReadTx) error {
			close(inside)
			<-leave
			want(t, "the old moment", string(tx.Get(kv.Records, []byte("a"))), "old")
			return nil
		})
		if err != nil {
			t.Errorf("view: %v", err)
		}
	})
	<-inside
	first := e.state.Load()
	compacted := make(chan error, 1)
	go func() {
		_, err := e.Compact(background)
		compacted <- err
	}()
	eventually(t, "the swap", func() bool { return e.state.Load() != first })
	mustPut(t, e, kv.Records, "a", "new") // nobody else waits for the reader
	want(t, "a", get(t, e, kv.Records, "a"), "new")
	select {
	case err := <-compacted:
		t.Errorf("Compact returned next to a reader of the old file: %v", err)
	default:
	}
	close(leave)
	if err := <-compacted; err != nil {
		t.Errorf("compact: %v", err)
	}
	reader.Wait()
}

var compactionSteps = []string{"copied", "caught up", "complete", "renamed"}

// TestCompactCrashes takes the files as a crash after each step would leave
// them, and opens them.
func TestCompactCrashes(t *testing.T) {
	images := t.TempDir()
	var e *Engine
	seen := 0
	e = create(t, Options{hooks: hooks{step: func(step string) error {
		want(t, "step", step, compactionSteps[seen])
		seen++
		return os.CopyFS(filepath.Join(images, step), os.DirFS(filepath.Dir(e.Path())))
	}}})
	fill(t, e, kv.Records, 3000)
	thin(t, e, kv.Records, 3000)
	expect := contents(t, e)
	if _, err := e.Compact(background); err != nil {
		t.Fatal(err)
	}
	want(t, "steps", seen, len(compactionSteps))
	for _, step := range compactionSteps {
		image, err := Open(filepath.Join(images, step, filepath.Base(e.Path())), Options{})
		if err != nil {
			t.Errorf("after %q: %v", step, err)
			continue
		}
		want(t, "contents after "+step, maps.Equal(contents(t, image), expect), true)
		mustPut(t, image, kv.Records, "new", "1")
		wantOneFile(t, image)
		checkAndClose(t, image)
	}
}

// TestCompactFails sees that a failing step leaves an engine that serves.
func TestCompactFails(t *testing.T) {
	for _, failing := range compactionSteps {
		t.Run(failing, func(t *testing.T) {
			e := create(t, Options{hooks: hooks{step: func(step string) error {
				if step == failing {
					return errDisk
				}
				return nil
			}}})
			fill(t, e, kv.Records, 100)
			expect := contents(t, e)
			_, err := e.Compact(background)
			wantError(t, err, errDisk)
			want(t, "closed", errors.Is(err, kv.ErrClosed), failing == "renamed")
			eventually(t, "writes", func() bool { return put(e, kv.Records, "new", "1") == nil })
			expect["records new"] = "1"
			want(t, "contents", maps.Equal(contents(t, e), expect), true)
			wantOneFile(t, e)
		})
	}
}
