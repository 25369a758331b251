package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom/store/kv"
)

// closedFile returns a file with some thousand keys, and its bytes.
func closedFile(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	e, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, e, kv.Records, 3000)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// TestDamage breaks files. Reading them ends in ErrDamaged, in Open or in what
// comes after, and never in wrong answers or the end of the process.
func TestDamage(t *testing.T) {
	_, intact := closedFile(t)
	const page = 4096
	for what, damage := range map[string]func([]byte) []byte{
		"cut to an eighth":        func(b []byte) []byte { return b[:len(b)/8/page*page] },
		"cut to twenty pages":     func(b []byte) []byte { return b[:20*page] },
		"pages of ones":           func(b []byte) []byte { return overwrite(b, 20*page, 300*page, 0xFF) },
		"pages of zeros":          func(b []byte) []byte { return overwrite(b, 20*page, 300*page, 0) },
		"everything but the meta": func(b []byte) []byte { return overwrite(b, 2*page, len(b), 0xFF) },
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, damage(bytes.Clone(intact)), 0o600); err != nil {
				t.Fatal(err)
			}
			wantError(t, readAll(path), ErrDamaged)
		})
	}
}

func overwrite(b []byte, from, to int, with byte) []byte {
	for i := from; i < to; i++ {
		b[i] = with
	}
	return b
}

// readAll opens a file and reads each key and value by itself, then checks it.
func readAll(path string) error {
	e, err := Open(path, Options{})
	if err != nil {
		return err
	}
	var errs []error
	for i := range 3000 {
		errs = append(errs, e.View(background, func(tx kv.ReadTx) error {
			if v := tx.Get(kv.Records, fmt.Appendf(nil, "key-%06d", i)); v != nil && !bytes.Equal(v, make([]byte, 1<<10)) {
				return errors.New("a wrong value")
			}
			return nil
		}))
	}
	if read := errors.Join(errs...); read != nil && !errors.Is(e.Check(background, nil), ErrDamaged) {
		errs = []error{errors.New("the check finds nothing, but reading fails: " + read.Error())}
	}
	return errors.Join(append(errs, e.Close())...)
}

func TestCheckProgress(t *testing.T) {
	e := create(t, Options{})
	fill(t, e, kv.Records, 3000)
	mustPut(t, e, kv.Labels, "a", "1")
	var last Progress
	stages := map[string]bool{}
	if err := e.Check(background, func(p Progress) { last, stages[p.Stage] = p, true }); err != nil {
		t.Fatal(err)
	}
	want(t, "entries", last.Entries, 3001)
	want(t, "bytes", last.Bytes, 3000*(1<<10+10)+2)
	want(t, "stages", len(stages), 3) // records, labels, structure
}

// TestViewPanics sees a panic of the caller's pass, and nothing kept.
func TestViewPanics(t *testing.T) {
	e := create(t, Options{})
	func() {
		defer func() { want(t, "panic", recover(), any("a bug")) }()
		_ = e.View(background, func(kv.ReadTx) error { panic("a bug") })
	}()
	want(t, "references", e.state.Load().now.Load().refs.Load(), 1)
	mustPut(t, e, kv.Records, "a", "1")
}
