package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func openLog(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func write(t testing.TB, l *Log, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := l.Write(&Entry{Phase: Access, Record: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// refused writes and expects ErrUnavailable.
func refused(t testing.TB, l *Log, record string) error {
	t.Helper()
	err := l.Write(&Entry{Phase: Access, Record: record})
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	return err
}

// readAll returns all entries, and fails on a damaged line unless allowed.
func readAll(t testing.TB, dir string, damaged int) []Entry {
	t.Helper()
	r := NewReader(dir, Filter{})
	defer r.Close()
	var all []Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			if damaged != 0 {
				t.Errorf("damaged lines: %d fewer or more than expected", damaged)
			}
			return all
		}
		if _, ok := errors.AsType[*DamagedError](err); ok {
			damaged--
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// told returns the records of the entries, events as their name and Lost.
func told(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		switch {
		case e.Event == "":
			out = append(out, e.Record)
		case e.Lost > 0:
			out = append(out, fmt.Sprintf("%s %d", e.Event, e.Lost))
		default:
			out = append(out, e.Event)
		}
	}
	return out
}

func expect(t testing.TB, dir string, damaged int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, told(readAll(t, dir, damaged)), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "audit")
	l := openLog(t, dir, Options{Now: func() time.Time { return noon }})
	if err := l.Write(typicalEntry()); err != nil {
		t.Fatal(err)
	}
	write(t, l, "r1") // readable before Close, by another process too
	want := []Entry{*typicalEntry(), {Time: noon, Phase: Access, Record: "r1"}}
	if diff := cmp.Diff(want, readAll(t, dir, 0)); diff != "" {
		t.Error(diff)
	}
	if s := l.Stats(); s.Entries != 2 || s.Refused != 0 || s.Unavailable || s.File != "strongroom-audit-000001.jsonl" || int64(s.Bytes) != s.Size {
		t.Errorf("stats %+v", s)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := openLog(t, dir, Options{MaxSize: 1})
	write(t, l, "r1", "r2")
	l.Close()
	modes := func(path string, want os.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", filepath.Base(path), info.Mode(), err)
		}
	}
	modes(dir, 0o700)
	for _, name := range []string{fileName(1), fileName(2), lockName} {
		modes(filepath.Join(dir, name), 0o600)
	}
	if err := os.Chmod(filepath.Join(dir, fileName(2)), 0o644); err != nil {
		t.Fatal(err)
	}
	openLog(t, dir, Options{})
	modes(filepath.Join(dir, fileName(2)), 0o600)
}

func TestOneWriterADirectory(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openLog(t, dir, Options{})
}

func TestClosedLogRefuses(t *testing.T) {
	l := openLog(t, t.TempDir(), Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, l, "late")
	if !l.Stats().Unavailable {
		t.Error("a closed log says that it is available")
	}
}

func TestRotationKeepsOrder(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxSize: 300, SyncEvery: 5 * time.Millisecond}
	var want []string
	for range 3 { // opened again, it goes on where it was
		l := openLog(t, dir, o)
		for range 20 {
			want = append(want, fmt.Sprintf("r%04d", len(want)))
			write(t, l, want[len(want)-1])
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, dir, 0, want...)
	list, err := numbers(dir)
	if err != nil || len(list) < 10 {
		t.Errorf("files %v, %v", list, err)
	}
	for _, n := range list {
		if info, err := os.Stat(filepath.Join(dir, fileName(n))); err != nil || info.Size() > 300 || info.Size() == 0 {
			t.Errorf("file %d: %v, %v", n, info.Size(), err)
		}
	}
}

func TestManyWritersShareWrites(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{}
	d.write = func(int, []byte) (int, error) { time.Sleep(200 * time.Microsecond); return 0, nil }
	l := openLog(t, dir, Options{disk: faultDiskFS{d}, MaxSize: 40_000})
	const writers, each = 64, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := l.Write(&Entry{Phase: Access, Client: fmt.Sprint(w), Revision: uint64(i + 1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := map[string]uint64{}
	for _, e := range readAll(t, dir, 0) {
		if e.Revision != last[e.Client]+1 {
			t.Fatalf("writer %s: %d after %d", e.Client, e.Revision, last[e.Client])
		}
		last[e.Client] = e.Revision
	}
	if len(last) != writers {
		t.Errorf("%d writers found", len(last))
	}
	for w, n := range last {
		if n != each {
			t.Errorf("writer %s: %d entries", w, n)
		}
	}
	if s := l.Stats(); s.Entries != writers*each || s.Writes > writers*each/8 {
		t.Errorf("%d entries took %d writes", s.Entries, s.Writes)
	}
}

func TestATornTailIsCutOffAndTold(t *testing.T) {
	first := appendLine(nil, &Entry{Phase: Access, Record: "r1"}, noon)
	second := appendLine(nil, &Entry{Phase: Access, Record: "r2"}, noon)
	whole := append(append([]byte(nil), first...), second...)
	zeros := append(append([]byte(nil), first...), make([]byte, 200_000)...)
	for _, c := range []struct {
		name    string
		content []byte
		keeps   []string
		torn    int
	}{
		{"nothing", nil, nil, 0},
		{"whole lines", whole, []string{"r1", "r2"}, 0},
		{"half the first line", first[:len(first)/2], nil, len(first) / 2},
		{"the newline is missing", whole[:len(whole)-1], []string{"r1"}, len(second) - 1},
		{"one byte of the second line", whole[:len(first)+1], []string{"r1"}, 1},
		{"zeros, as file systems leave them", zeros, []string{"r1"}, 200_000},
		{"zeros alone", make([]byte, 70_000), nil, 70_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, fileName(7)), c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLog(t, dir, Options{})
			write(t, l, "new")
			want := c.keeps
			if c.torn > 0 {
				want = append(want, EventTornTail)
			}
			expect(t, dir, 0, append(want, "new")...)
			for _, e := range readAll(t, dir, 0) {
				if e.Event == EventTornTail && !strings.HasPrefix(e.Detail, fmt.Sprintf("%d bytes", c.torn)) {
					t.Errorf("detail %q", e.Detail)
				}
			}
		})
	}
}

func TestSyncsWithinTheInterval(t *testing.T) {
	l := openLog(t, t.TempDir(), Options{SyncEvery: 10 * time.Millisecond})
	waitFor(t, func() bool { return l.Stats().Syncs == 1 }) // the new file and its directory
	write(t, l, "r1")
	waitFor(t, func() bool { return l.Stats().Syncs == 2 })
	time.Sleep(50 * time.Millisecond)
	if n := l.Stats().Syncs; n != 2 {
		t.Errorf("%d syncs, though nothing was written", n)
	}
}

func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := openLog(b, b.TempDir(), Options{})
			b.SetParallelism(max(1, writers/2)) // times GOMAXPROCS
			b.ReportAllocs()
			b.ResetTimer()
			if writers == 1 {
				for b.Loop() {
					write1(b, l)
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						write1(b, l)
					}
				})
			}
			s := l.Stats()
			b.ReportMetric(float64(s.Entries)/float64(s.Writes), "entries/write")
		})
	}
}

// BenchmarkFloor is what the operating system takes for the same bytes.
func BenchmarkFloor(b *testing.B) {
	f, err := osDisk{}.create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	line := appendLine(nil, typicalEntry(), noon)
	for b.Loop() {
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
	}
}

func write1(b *testing.B, l *Log) {
	e := typicalEntry()
	e.Time = time.Time{}
	if err := l.Write(e); err != nil {
		b.Error(err)
	}
}
