package audit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const killDir = "STRONGROOM_AUDIT_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// writeUntilKilled is the process that gets killed: it says on standard output
// which entries were accepted.
func writeUntilKilled(dir string) {
	l, err := Open(dir, Options{MaxSize: 4 << 10})
	if err != nil {
		panic(err)
	}
	for i := uint64(1); ; i++ {
		if err := l.Write(&Entry{Phase: Access, Revision: i}); err != nil {
			panic(err)
		}
		fmt.Println(i)
	}
}

func TestKilledProcessLosesNothingThatWasAccepted(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		accepted := killAfter(t, dir, 500)
		l := openLog(t, dir, Options{}) // the lock went with the process
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		found := map[uint64]bool{}
		for _, e := range readAll(t, dir, 0) {
			found[e.Revision] = true
		}
		for i := uint64(1); i <= accepted; i++ {
			if !found[i] {
				t.Fatalf("entry %d of %d is missing", i, accepted)
			}
		}
	}
}

// killAfter kills the process some time after it wrote n entries, and returns
// the last number that it told.
func killAfter(t *testing.T, dir string, n uint64) (last uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer watch.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		i, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if last = i; i == n {
			cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if last < n {
		t.Fatalf("the process ended after %d entries", last)
	}
	return last
}
