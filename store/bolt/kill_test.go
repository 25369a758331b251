package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/store/kv"
)

const (
	killFile    = "STRONGROOM_BOLT_KILL_FILE"
	killWriters = 8
	// killKeys is how many keys a writer goes around in.
	killKeys = 50
)

// TestHelperKilled is no test: TestKill runs it in a process of its own and
// kills that. Each writer counts upwards. A number is stored in three places
// in one transaction, and printed once it is acknowledged; meanwhile the file
// is compacted without end.
func TestHelperKilled(t *testing.T) {
	path := os.Getenv(killFile)
	if path == "" {
		return
	}
	e, err := Open(path, Options{LockTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() { countUp(t, e, w) })
	}
	for {
		if _, err := e.Compact(background); err != nil {
			t.Errorf("compact: %v", err)
		}
	}
}

func countUp(t *testing.T, e *Engine, w int) {
	for n := counted(t, e, w) + 1; ; n++ {
		number := []byte(strconv.Itoa(n))
		err := e.Update(background, kv.Class(w%2), 3000, func(tx kv.Tx) error {
			tx.Put(kv.Counters, fmt.Appendf(nil, "writer-%d", w), number)
			tx.Put(kv.Records, fmt.Appendf(nil, "%d-%d", w, n%killKeys), number)
			tx.Put(kv.Revisions, fmt.Appendf(nil, "%d-%d", w, n%killKeys), append(make([]byte, 2000), number...))
			return nil
		})
		if err != nil {
			t.Errorf("update: %v", err)
			return
		}
		os.Stdout.Write(fmt.Appendf(nil, "stored %d %d\n", w, n)) // one write: never torn
	}
}

// counted returns the last number of a writer.
func counted(t testing.TB, e *Engine, w int) int {
	t.Helper()
	value := get(t, e, kv.Counters, fmt.Sprintf("writer-%d", w))
	if value == "-" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("writer %d has counted to %q", w, value)
	}
	return n
}

// TestKill kills a process under load again and again. What it acknowledged is
// stored, whole, and the file is consistent.
func TestKill(t *testing.T) {
	rounds := 20
	if os.Getenv("STRONGROOM_LONG") == "1" {
		rounds = 200
	} else if testing.Short() {
		rounds = 3
	}
	path := filepath.Join(t.TempDir(), "store.db")
	e, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	total, copies := 0, 0
	for range rounds {
		acknowledged := runAndKill(t, path)
		if _, err := os.Stat(path + compactSuffix); err == nil {
			copies++
		}
		total = afterKill(t, path, acknowledged)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d of them during a compaction; %d writes acknowledged", rounds, copies, total)
	if total == 0 {
		t.Error("nothing was acknowledged: the test has tested nothing")
	}
}

// runAndKill returns the last number that each writer was told is stored.
func runAndKill(t *testing.T, path string) (acknowledged [killWriters]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, 3*patience) // should it never answer
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHelperKilled$")
	cmd.Env = append(os.Environ(), killFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var w, n int
		if got, _ := fmt.Sscanf(lines.Text(), "stored %d %d", &w, &n); got != 2 {
			t.Logf("the helper says %q", lines.Text())
			continue
		}
		acknowledged[w] = n
		if !killed { // from its first answer on
			killed = true
			time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the helper ended by itself: %v", err)
	}
	return acknowledged
}

// afterKill checks the file, and returns how many numbers are stored.
func afterKill(t *testing.T, path string, acknowledged [killWriters]int) (total int) {
	t.Helper()
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer checkAndClose(t, e)
	for w, told := range acknowledged {
		n := counted(t, e, w)
		total += n
		if told > 0 && (n < told || n > told+1) {
			t.Errorf("writer %d was told of %d, the file holds %d", w, told, n)
		}
		for i := max(1, n-killKeys+1); i <= n; i++ {
			key, number := fmt.Sprintf("%d-%d", w, i%killKeys), strconv.Itoa(i)
			want(t, "record "+key, get(t, e, kv.Records, key), number)
			want(t, "revision "+key, get(t, e, kv.Revisions, key)[2000:], number)
		}
	}
	return total
}
