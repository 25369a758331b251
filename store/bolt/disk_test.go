//go:build linux

package bolt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/store/kv"
)

// smallDisk mounts a file system of size bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		unable(t, "mounting a small file system: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestDiskFull writes until nothing goes any more, and on; makes room, and
// writes again. What each writer was told is what the file holds.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, 12<<20)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Create(filepath.Join(dir, "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	told, refused := map[string]bool{}, 0
	for i := 0; refused < 20; i++ {
		key := fmt.Sprintf("key-%06d", i)
		err := put(e, kv.Records, key, strings.Repeat(key, 3000))
		if err != nil {
			wantError(t, err, kv.ErrNotPersisted)
			wantError(t, err, unix.ENOSPC)
			refused++
		}
		told[key] = err == nil
	}
	compareTold(t, e, told)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, kv.Records, "after", "1")
	told["after"] = true
	checkAndClose(t, e)
	again, err := Open(e.Path(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	compareTold(t, again, told)
	checkAndClose(t, again)
}

// compareTold compares what the file holds with what writers were told.
func compareTold(t *testing.T, e *Engine, told map[string]bool) {
	t.Helper()
	stored := 0
	for key, yes := range told {
		want(t, key+" is stored", get(t, e, kv.Records, key) != "-", yes)
		if yes {
			stored++
		}
	}
	if stored == 0 {
		t.Error("nothing was stored: the test has tested nothing")
	}
}

// TestCompactOnFullDisk has no room for the copy: the engine goes on.
func TestCompactOnFullDisk(t *testing.T) {
	dir := smallDisk(t, 12<<20)
	e, err := Create(filepath.Join(dir, "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, e, kv.Records, 5000)
	_, err = e.Compact(background)
	wantError(t, err, unix.ENOSPC)
	wantOneFile(t, e)
	thin(t, e, kv.Records, 5000)
	if _, err := e.Compact(background); err != nil {
		t.Errorf("compact: %v", err)
	}
	checkAndClose(t, e)
}

// The helper's environment: the file that it opens.
const helperFile = "STRONGROOM_BOLT_HELPER_FILE"

// TestHelperWrites is no test: TestFsyncFails runs it in a process of its own.
// It writes some keys and says what it was told of each.
func TestHelperWrites(t *testing.T) {
	path := os.Getenv(helperFile)
	if path == "" {
		return
	}
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range 6 {
		key := fmt.Sprintf("key-%d", i)
		answer := "stored"
		if err := put(e, kv.Records, key, "x"); errors.Is(err, kv.ErrNotPersisted) {
			answer = "refused"
		} else if err != nil {
			answer = "unknown"
		}
		fmt.Println("told", key, answer)
	}
}

// TestFsyncFails makes the kernel's fdatasync fail, at each place in turn: an
// odd one is that of the data, an even one that of the meta page, after which
// the cache shows a commit that may not be on the disk.
func TestFsyncFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		unable(t, "strace is not installed")
	}
	if err := exec.Command(strace, "-f", "-o", os.DevNull, "true").Run(); err != nil {
		unable(t, "strace can't trace: "+err.Error())
	}
	total := 0
	places := []string{"1", "2", "3", "4", "7", "1+2", "2+2", "3+1"}
	for _, when := range places {
		t.Run("when="+when, func(t *testing.T) { total += fsyncFails(t, strace, when) })
	}
	if total < len(places) { // strace counts by thread: not every place is reached every time
		t.Errorf("only %d calls failed", total)
	}
}

// fsyncFails compares what the helper was told with what the file holds, and
// returns how many calls failed.
func fsyncFails(t *testing.T, strace, when string) int {
	e, err := Create(filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	told, injected := runHelper(t, strace, when, e.Path())
	again, err := Open(e.Path(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer checkAndClose(t, again)
	for key, answer := range told {
		if answer == "unknown" {
			continue
		}
		want(t, key+" is stored", get(t, again, kv.Records, key) != "-", answer == "stored")
	}
	want(t, "answers", len(told), 6)
	t.Logf("%d fsyncs failed: %v", injected, told)
	return injected
}

// runHelper returns what TestHelperWrites was told, and how many calls failed.
func runHelper(t *testing.T, strace, when, path string) (told map[string]string, injected int) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-o", trace, "-e", "trace=fdatasync",
		"-e", "inject=fdatasync:error=EIO:when="+when, os.Args[0], "-test.run=^TestHelperWrites$", "-test.v")
	cmd.Env = append(os.Environ(), helperFile+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the helper: %v\n%s", err, out)
	}
	told = map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var key, answer string
		if n, _ := fmt.Sscanf(lines.Text(), "told %s %s", &key, &answer); n == 2 {
			told[key] = answer
		}
	}
	traced, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return told, bytes.Count(traced, []byte("(INJECTED)"))
}
