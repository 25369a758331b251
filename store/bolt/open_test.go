package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

func TestTableCount(t *testing.T) {
	want(t, "tables", tableCount, len(kv.Tables()))
}

func TestCreateRefusesToOverwrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Create(path, Options{})
	wantError(t, err, ErrExists)
	namesFile(t, err, path)
	if kept, _ := os.ReadFile(path); string(kept) != "dear diary" {
		t.Errorf("the file was written over: %q", kept)
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		what, path string
		err        error
	}{
		{"missing", filepath.Join(dir, "missing.db"), ErrMissing},
		{"a directory", dir, ErrForeign},
		{"empty", write("empty.db", nil), ErrForeign},
		{"text", write("text.db", []byte(strings.Repeat("dear diary\n", 2000))), ErrForeign},
		{"another program's bbolt file", foreign, ErrForeign},
	} {
		t.Run(c.what, func(t *testing.T) {
			e, err := Open(c.path, Options{})
			wantError(t, err, c.err)
			namesFile(t, err, c.path)
			if err == nil {
				e.Close()
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "missing.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open has created the missing file: %v", err)
	}
}

func namesFile(t *testing.T, err error, path string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name %s: %v", path, err)
	}
}

func TestLock(t *testing.T) {
	e := create(t, Options{})
	start := time.Now()
	_, err := Open(e.Path(), Options{LockTimeout: 100 * time.Millisecond})
	wantError(t, err, ErrLocked)
	namesFile(t, err, e.Path())
	if waited := time.Since(start); waited > 2*time.Second {
		t.Errorf("waited %v for the lock", waited)
	}
}

func TestFileMode(t *testing.T) {
	e := create(t, Options{})
	for range 2 {
		info, err := os.Stat(e.Path())
		if err != nil {
			t.Fatal(err)
		}
		want(t, "mode", info.Mode().Perm(), 0o600)
		if _, err := e.Compact(background); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReopened(t *testing.T) {
	e := create(t, Options{})
	mustPut(t, e, kv.Records, "a", "1")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	leftovers := []string{e.Path() + compactSuffix, e.Path() + createSuffix}
	for _, path := range leftovers {
		if err := os.WriteFile(path, []byte("half a copy"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(e.Path(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer checkAndClose(t, again)
	want(t, "a", get(t, again, kv.Records, "a"), "1")
	for _, path := range leftovers {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not removed: %v", path, err)
		}
	}
}

// TestMmapRefused asks for more address space than there is.
func TestMmapRefused(t *testing.T) {
	e := create(t, Options{MmapSize: 1 << 47})
	mustPut(t, e, kv.Records, "a", "1")
	want(t, "a", get(t, e, kv.Records, "a"), "1")
}

func TestStats(t *testing.T) {
	e := create(t, Options{})
	fill(t, e, kv.Records, 2000)
	err := e.Update(background, kv.Bulk, 0, func(tx kv.Tx) error {
		for i := range 2000 {
			tx.Delete(kv.Records, fmt.Appendf(nil, "key-%06d", i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.FreePages < 400 || s.FreePages > int(s.FileSize)/s.PageSize {
		t.Errorf("free pages: %d of %d", s.FreePages, s.FileSize/int64(s.PageSize))
	}
	want(t, "batches", s.Batches, 5)
	want(t, "operations", s.Operations, 5)
	want(t, "failures", s.Failures, 0)
	if s.LastCommit <= 0 || s.SlowestCommit < s.LastCommit {
		t.Errorf("commit latency: last %v, slowest %v", s.LastCommit, s.SlowestCommit)
	}
}
