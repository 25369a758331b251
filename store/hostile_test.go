package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"strongroom/internal/audit"
	"strongroom/store"
)

// sameObject compares two JSON texts whatever the order of their members.
func sameObject(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatalf("compare: %v", err)
	}
	return reflect.DeepEqual(x, y)
}

// auditText returns the whole audit log as it lies on the disk.
func (w *world) auditText() string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.AuditDir, "*"))
	w.must(err)
	var all bytes.Buffer
	for _, name := range files {
		b, err := os.ReadFile(name)
		w.must(err)
		all.Write(b)
	}
	if all.Len() == 0 {
		w.t.Fatal("there is no audit log")
	}
	return all.String()
}

// audited returns the entries of the audit log that a filter selects.
func audited(t testing.TB, dir string, f audit.Filter) (entries []audit.Entry) {
	t.Helper()
	r := audit.NewReader(dir, f)
	defer r.Close()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
}

// sound fails the test when fsck finds anything.
func sound(t testing.TB, s *store.Store) {
	t.Helper()
	report, err := s.Fsck(context.Background(), store.FsckOptions{Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Damages {
		t.Errorf("fsck: %s at %s: %s", d.Kind, d.Where, d.Detail)
	}
}

// long reports whether the tests that take minutes are to run in full.
func long() bool { return os.Getenv("STRONGROOM_LONG") == "1" }
