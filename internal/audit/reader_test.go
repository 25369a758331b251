package audit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func appendTo(t testing.TB, dir string, number int, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, fileName(number)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func lineOf(record string) string {
	return string(appendLine(nil, &Entry{Phase: Access, Record: record}, noon))
}

// next expects the record, or "EOF", or "damaged".
func next(t *testing.T, r *Reader, want string) {
	t.Helper()
	e, err := r.Next()
	got := e.Record
	if _, ok := errors.AsType[*DamagedError](err); ok {
		got = "damaged"
	} else if errors.Is(err, io.EOF) {
		got = "EOF"
	} else if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestReaderFollows(t *testing.T) {
	dir := t.TempDir()
	r := NewReader(dir, Filter{})
	defer r.Close()
	next(t, r, "EOF") // no file yet
	appendTo(t, dir, 1, lineOf("r1")+lineOf("r2")[:20])
	next(t, r, "r1")
	next(t, r, "EOF") // half a line is no entry yet
	appendTo(t, dir, 1, lineOf("r2")[20:])
	next(t, r, "r2")
	next(t, r, "EOF")
	appendTo(t, dir, 1, lineOf("r3")) // written between the end and the rotation
	appendTo(t, dir, 4, lineOf("r4")) // numbers may have gaps
	next(t, r, "r3")
	next(t, r, "r4")
	next(t, r, "EOF")
	next(t, r, "EOF")
}

// The end of a line, and the next file, can both be written after the reader
// saw the end of this one and before it looks for a successor.
func TestReaderMissesNothingAtARotation(t *testing.T) {
	dir := t.TempDir()
	r := NewReader(dir, Filter{})
	defer r.Close()
	appendTo(t, dir, 1, lineOf("r1")+lineOf("r2")[:20])
	next(t, r, "r1")
	next(t, r, "EOF")
	appendTo(t, dir, 1, lineOf("r2")[20:]+lineOf("r3"))
	appendTo(t, dir, 2, lineOf("r4"))
	if err := r.advance(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"r2", "r3", "r4", "EOF"} {
		next(t, r, want)
	}
}

func TestReaderNamesDamagedLines(t *testing.T) {
	dir := t.TempDir()
	appendTo(t, dir, 1, lineOf("r1")+"{}\n"+lineOf("r2")+"\x00\x00\n"+lineOf("r3")[:30])
	appendTo(t, dir, 2, lineOf("r4"))
	r := NewReader(dir, Filter{})
	defer r.Close()
	next(t, r, "r1")
	_, err := r.Next()
	if bad, ok := errors.AsType[*DamagedError](err); !ok || *bad != (DamagedError{fileName(1), 2}) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"r2", "damaged", "damaged", "r4", "EOF"} {
		next(t, r, want)
	}
}

func TestReaderFollowsAWriterThatRotates(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{MaxSize: 500})
	const n = 2000
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range n {
			if err := l.Write(&Entry{Phase: Access, Revision: uint64(i + 1)}); err != nil {
				t.Error(err)
			}
		}
	})
	r := NewReader(dir, Filter{})
	defer r.Close()
	end := time.Now().Add(10 * time.Second)
	for want := uint64(1); want <= n; {
		e, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			if time.Now().After(end) {
				t.Fatalf("stuck before %d", want)
			}
		case err != nil:
			t.Fatal(err)
		case e.Revision != want:
			t.Fatalf("got %d, want %d", e.Revision, want)
		default:
			want++
		}
	}
}

func TestFilterSelects(t *testing.T) {
	e := Entry{Time: noon, Phase: Access, Outcome: Denied, Client: "c", Action: "read", Integration: "i", Collection: "k",
		Record: "r", Records: []string{"s", "t"}, Operation: "o", RequestID: "q", Event: "e"}
	for name, c := range map[string]struct {
		f    Filter
		want bool
	}{
		"everything":         {Filter{}, true},
		"all members":        {Filter{Since: noon, Until: noon.Add(1), Phase: Access, Outcome: Denied, Client: "c", Action: "read", Integration: "i", Collection: "k", Record: "r", Operation: "o", RequestID: "q", Event: "e"}, true},
		"one of several":     {Filter{Record: "t"}, true},
		"too late":           {Filter{Since: noon.Add(1)}, false},
		"until is exclusive": {Filter{Until: noon}, false},
		"phase":              {Filter{Phase: Intent}, false},
		"outcome":            {Filter{Outcome: Allowed}, false},
		"client":             {Filter{Client: "x"}, false},
		"action":             {Filter{Action: "x"}, false},
		"integration":        {Filter{Integration: "x"}, false},
		"collection":         {Filter{Collection: "x"}, false},
		"record":             {Filter{Record: "x"}, false},
		"operation":          {Filter{Operation: "x"}, false},
		"request":            {Filter{RequestID: "x"}, false},
		"event":              {Filter{Event: "x"}, false},
	} {
		if got := c.f.Matches(&e); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOtherFilesAreNoLogs(t *testing.T) {
	for name, want := range map[string]int{
		"strongroom-audit-000001.jsonl": 1, "strongroom-audit-1234567.jsonl": 1234567,
		"strongroom-audit-1.jsonl": 0, "strongroom-audit-000000.jsonl": 0, "strongroom-audit--00001.jsonl": 0,
		"strongroom-audit-000001.jsonl.gz": 0, "strongroom-audit.lock": 0, "strongroom-audit-.jsonl": 0,
	} {
		if n, ok := fileNumber(name); ok != (want > 0) || ok && n != want {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(lineOf("r1")))
	f.Add(appendLine(nil, typicalEntry(), noon))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseLine(line)
		if err != nil {
			return
		}
		if e.Duration < 0 || e.Time.Year() < 0 || e.Time.Year() > 9999 || e.Duration.Microseconds() > 1<<50 {
			return // not what a log writes
		}
		again, err := parseLine(appendLine(nil, &e, noon))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
