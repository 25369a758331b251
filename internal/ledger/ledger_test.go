package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/uid"
)

var store = uid.UID{1}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// macOf is a MAC under a key that a test makes up.
func macOf(key string) MAC {
	return func(body []byte) (Hash, error) {
		m := hmac.New(sha256.New, []byte(key))
		m.Write(body)
		return Hash(m.Sum(nil)), nil
	}
}

func keysEntry(generation uint32) Note {
	return Note{Store: store, Keysets: []Keyset{{Purpose: 2, Generation: generation, Blob: []byte("wrapped")}}}
}

func erased(id string) Entry {
	return Entry{Operation: uid.UID{9}, Note: Note{Kind: Erased, Collection: uid.UID{2}, Records: []Record{{id, 3}}}}
}

func openIn(t testing.TB, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// newLedger has three entries after that of its keys.
func newLedger(t testing.TB, dir string) *Ledger {
	t.Helper()
	l := openIn(t, dir)
	must(t, l.Use(keysEntry(1), macOf("k1")))
	must(t, l.Append(erased("a")))
	must(t, l.Append(erased("b"), erased("c")))
	return l
}

func ids(t testing.TB, l *Ledger) (all []string) {
	t.Helper()
	must(t, l.Each(func(e *Entry, _ Hash) error {
		for _, r := range e.Records {
			all = append(all, r.ID)
		}
		return nil
	}))
	return all
}

func TestEntriesOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	number, head := l.Head()
	must(t, l.Close())
	l = openIn(t, dir)
	must(t, l.Verify(macOf("k1")))
	if n, h := l.Head(); n != number || h != head || n != 4 {
		t.Errorf("entry %d, %v after opening again, was %d, %v", n, h, number, head)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids(t, l)); diff != "" {
		t.Error(diff)
	}
	if epoch, ok := l.Epoch(); !ok || epoch.Keysets[0].Generation != 1 || epoch.Store != store {
		t.Errorf("keys: %+v", epoch)
	}
	if err := l.Append(erased("d")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
	must(t, l.Use(keysEntry(1), macOf("k1")))
	must(t, l.Flush())
	if n, _ := l.Head(); n != 5 {
		t.Errorf("what waited for the keys was not written: %d entries", n)
	}
}

// After the keys were rotated the old one is not needed any more: the entry of
// the new ones vouches for what was before.
func TestTheChainOutlivesItsKeys(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, dir)
	must(t, l.Use(keysEntry(2), macOf("k2")))
	must(t, l.Append(erased("d")))
	must(t, l.Close())
	l = openIn(t, dir)
	must(t, l.Verify(macOf("k2")))
	if err := l.Verify(macOf("k1")); !errors.Is(err, ErrChanged) {
		t.Errorf("the old key: %v", err)
	}
	other := keysEntry(3)
	other.Store = uid.UID{7}
	if err := l.Use(other, macOf("k2")); err == nil || !strings.Contains(err.Error(), "is of store") {
		t.Errorf("another store: %v", err)
	}
}

func content(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	must(t, err)
	return b
}

// refused opens a changed file, and wants ErrChanged from that or from Verify.
func refused(t *testing.T, what string, changed []byte) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, FileName), changed, 0o600))
	l, err := Open(dir)
	if err == nil {
		defer l.Close()
		err = l.Verify(macOf("k1"))
	}
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAChangedLedgerIsRefused(t *testing.T) {
	dir := t.TempDir()
	newLedger(t, dir)
	whole := content(t, dir)
	lines := bytes.SplitAfter(whole, []byte("\n"))[:4]
	join := func(order ...int) (b []byte) {
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		return b
	}
	refused(t, "two swapped", join(0, 2, 1, 3))
	refused(t, "one taken out", join(0, 1, 3))
	refused(t, "the first taken out", join(1, 2, 3))
	refused(t, "one twice", join(0, 1, 1, 2, 3))
	for i := range whole {
		if whole[i] == '\n' && i == len(whole)-1 {
			continue // a torn end
		}
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		refused(t, fmt.Sprintf("byte %d (%q) changed", i, whole[i]), changed)
	}
}

// A forger who can hash but has no key writes an entry of his own.
func TestAForgedEntryIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, dir)
	must(t, l.Use(keysEntry(1), macOf("forged")))
	must(t, l.Append(erased("d")))
	refused(t, "an entry under another key", content(t, dir))
}

// Wherever a crash cuts the file within the last entry, that entry is gone and
// the others stand.
func TestATornEndIsCutOff(t *testing.T) {
	dir := t.TempDir()
	newLedger(t, dir)
	whole := content(t, dir)
	before := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := before; cut < len(whole); cut++ {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, FileName), whole[:cut], 0o600))
		l := openIn(t, dir)
		if n, _ := l.Head(); n != 3 || l.Torn() != int64(cut-before) {
			t.Fatalf("cut at %d: %d entries, %d bytes torn", cut, n, l.Torn())
		}
		must(t, l.Use(keysEntry(1), macOf("k1")))
		must(t, l.Append(erased("d")))
		if got := ids(t, l); !slices.Equal(got, []string{"a", "b", "d"}) {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		must(t, l.Close())
		must(t, openIn(t, dir).Verify(macOf("k1")))
	}
}

// faulty fails at one of its writes or syncs, before or after it took effect.
type faulty struct {
	*os.File
	write, sync, truncate error
	half                  bool
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if f.write == nil {
		return f.File.WriteAt(p, off)
	}
	if f.half {
		_, _ = f.File.WriteAt(p[:len(p)/2], off)
	}
	return 0, f.write
}

func (f *faulty) Sync() error {
	if f.sync != nil {
		return f.sync
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.File.Truncate(n)
}

func TestWhatCannotBeWrittenIsWrittenLater(t *testing.T) {
	broken := errors.New("broken")
	for name, fault := range map[string]faulty{
		"not written": {write: broken}, "half written": {write: broken, half: true},
		"written and not synced": {sync: broken}, "half written, and not to be cut": {write: broken, half: true, truncate: broken},
	} {
		dir := t.TempDir()
		f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		sick := &faulty{File: f}
		l, err := open(f.Name(), sick)
		must(t, err)
		must(t, l.Use(keysEntry(1), macOf("k1")))
		must(t, l.Append(erased("a")))
		sick.write, sick.sync, sick.truncate, sick.half = fault.write, fault.sync, fault.truncate, fault.half
		for _, id := range []string{"b", "c"} {
			if err := l.Append(erased(id)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		sick.write, sick.sync, sick.truncate = nil, nil, nil
		must(t, l.Append(erased("d")))
		must(t, l.Flush())
		must(t, l.Close())
		l = openIn(t, dir)
		must(t, l.Verify(macOf("k1")))
		if got := ids(t, l); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := newLedger(t, dir)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			if err := l.Append(erased(fmt.Sprint("r", i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	must(t, l.Close())
	l = openIn(t, dir)
	must(t, l.Verify(macOf("k1")))
	if got := ids(t, l); len(got) != 67 {
		t.Errorf("%d records, want 67", len(got))
	}
}

func FuzzDecode(f *testing.F) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	for _, e := range []Entry{
		{Number: 1, At: at, Note: Note{Kind: Keys, Store: store, Keysets: keysEntry(1).Keysets}},
		{Number: 2, At: at, Note: erased("a").Note},
		{Number: 3, At: at, Note: Note{Kind: TokenRevoked, Token: "t", Expires: &at}}, {Number: 4, At: at, Note: Note{Kind: Restored, Reason: "<disk>"}},
	} {
		line, err := e.encode(macOf("k"))
		must(f, err)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, _, mac, err := decode(line)
		if err != nil {
			if e.Kind != "" {
				t.Error("an entry came with the error")
			}
			return
		}
		again, err := e.encode(func([]byte) (Hash, error) { return mac, nil })
		must(t, err)
		if !bytes.Equal(again, line) {
			t.Errorf("decode and encode give %q of %q", again, line)
		}
	})
}
