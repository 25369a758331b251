package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// mountSmall mounts a tmpfs of some kilobytes. It needs root; only CI insists.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("mounting a tmpfs is not permitted here (%v); CI plays the full disk", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestARealFullDisk(t *testing.T) {
	dir := mountSmall(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 24<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, Options{MaxSize: 8 << 10})
	accepted, lost := fill(t, l)
	if accepted == 0 || lost == 0 {
		t.Fatalf("%d accepted, %d lost: the disk did not run full", accepted, lost)
	}
	if got := len(readAll(t, dir, 0)); got != accepted { // whole lines alone
		t.Errorf("%d entries, %d accepted", got, accepted)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(t, l, "after")
	all := told(readAll(t, dir, 0))
	want := []string{fmt.Sprintf("%s %d", EventGap, lost), "after"}
	if len(all) != accepted+2 || all[accepted] != want[0] || all[accepted+1] != want[1] {
		t.Errorf("%d accepted, then %v, want %v", accepted, all[min(accepted, len(all)):], want)
	}
}

// fill writes from eight goroutines until each was refused ten times.
func fill(t *testing.T, l *Log) (accepted, lost int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for failed := 0; failed < 10; {
				err := l.Write(typicalEntry())
				mu.Lock()
				switch {
				case err == nil:
					accepted++
				case errors.Is(err, ErrUnavailable) && errors.Is(err, syscall.ENOSPC):
					failed++
					lost++
				default:
					t.Error(err)
					failed = 10
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return accepted, lost
}
