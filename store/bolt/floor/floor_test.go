package floor

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func TestWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "floor.db")
	var observed atomic.Uint64
	r, err := Writes(Options{
		Path: path, Writers: 8, Duration: 200 * time.Millisecond, Value: make([]byte, 700),
		Observe: func(int, time.Duration) { observed.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Puts == 0 || r.Puts != observed.Load() {
		t.Errorf("%d puts, %d observed", r.Puts, observed.Load())
	}
	if r.Commits == 0 || r.Commits > r.Puts {
		t.Errorf("%d commits of %d puts", r.Commits, r.Puts)
	}
	if r.Elapsed < 200*time.Millisecond {
		t.Errorf("it took %v", r.Elapsed)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file was left behind: %v", err)
	}
}

func TestWritesOverNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "there.db")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Writes(Options{Path: path, Writers: 1, Duration: time.Millisecond}); err == nil {
		t.Error("an existing file was taken")
	}
	if left, _ := os.ReadFile(path); string(left) != "mine" {
		t.Error("an existing file was changed")
	}
}
