package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/store/bolt"
)

// killHome tells the helper which home it serves.
const killHome = "STRONGROOM_KILL_HOME"

// TestHelperServed is no test: TestKillServer runs it in a process of its own,
// and kills that. It serves a development home like `serve --dev`, and
// compacts the data file again and again meanwhile.
func TestHelperServed(t *testing.T) {
	home := os.Getenv(killHome)
	if home == "" {
		return
	}
	s, err := startDevServer(context.Background(), home)
	if err != nil {
		t.Fatal(err)
	}
	for {
		time.Sleep(30 * time.Millisecond)
		if _, err := s.(*devServer).app.Engine.Compact(context.Background()); err != nil && !errors.Is(err, bolt.ErrBusy) {
			t.Fatalf("compact: %v", err)
		}
	}
}

// TestKillServer kills a server under load again and again: records are
// created, written, patched, deleted, erased, upserted, imported and searched,
// definitions change, the file is compacted and backed up. After each kill fsck
// finds nothing, what was acknowledged is there with its value, and what was
// not is there wholly or not at all.
func TestKillServer(t *testing.T) {
	rounds := 5
	if os.Getenv("STRONGROOM_LONG") == "1" {
		rounds = 220
	}
	k := newKillTest(t)
	for round := range rounds {
		if round%10 == 9 {
			k.killEarly()
		}
		k.round()
		k.wantClean()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	k.start()
	k.check()
	k.kill()
	k.wantAudited()
	k.report(rounds)
}

// killTest is a home, the server that is up, and what it has acknowledged.
type killTest struct {
	*testing.T
	home    string
	helper  string   // the test that serves
	environ []string // of its process, besides the home
	server  *exec.Cmd
	client  *client.Client
	workers []*killWorker
	control *killControl
	backups int
	copies  int // kills that left an unfinished compaction behind
	acks    acks
}

func newKillTest(t *testing.T) *killTest {
	k := prepareKillTest(t, "TestHelperServed")
	k.start()
	k.furnish()
	k.kill()
	return k
}

// prepareKillTest makes a test that has no home yet.
func prepareKillTest(t *testing.T, helper string) *killTest {
	k := &killTest{T: t, home: filepath.Join(t.TempDir(), "home"), helper: helper, acks: acks{done: map[string]int{}}}
	for w := range 6 {
		k.workers = append(k.workers, newKillWorker(k, w))
	}
	k.control = &killControl{k: k}
	return k
}

// furnish makes what the workers write to.
func (k *killTest) furnish() {
	k.Helper()
	ctx := k.Context()
	_, err := k.client.PutIntegration(ctx, "kill", client.IntegrationSpec{}, client.WriteOptions{})
	k.must(err)
	for _, ref := range []client.CollectionRef{killOrders, killBulk} {
		_, err = k.client.PutCollection(ctx, ref, killSpec(3), client.WriteOptions{})
		k.must(err)
	}
}

func (k *killTest) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// launch starts a server's process.
func (k *killTest) launch() {
	k.Helper()
	if err := os.Remove(k.env()); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.Fatal(err)
	}
	k.server = exec.Command(os.Args[0], "-test.run=^"+k.helper+"$")
	k.server.Env = append(append(os.Environ(), killHome+"="+k.home), k.environ...)
	k.server.Stdout, k.server.Stderr = os.Stderr, os.Stderr
	k.must(k.server.Start())
}

func (k *killTest) env() string { return filepath.Join(k.home, "dev.env") }

// start starts a server and waits until it says how to reach it.
func (k *killTest) start() {
	k.Helper()
	k.launch()
	for range 3000 {
		if values, err := readEnvFile(k.env()); err == nil && values[client.EnvClientSecret] != "" {
			k.client, err = client.New(client.Config{
				URL: values[client.EnvURL], CACertFile: values[client.EnvCACert], ClientID: values[client.EnvClientID],
				ClientSecret: client.NewSecret(values[client.EnvClientSecret]), Retries: -1,
			})
			k.must(err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.kill()
	k.Fatal("the server did not start")
}

// kill ends the server with SIGKILL; one that ended by itself is a failure.
func (k *killTest) kill() {
	k.Helper()
	_ = k.server.Process.Kill()
	err := k.server.Wait()
	if status, ok := k.server.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		k.Fatalf("the server ended by itself: %v", err)
	}
	if k.client != nil {
		k.client.CloseIdleConnections()
	}
}

// killEarly kills a server while it opens the store.
func (k *killTest) killEarly() {
	k.Helper()
	k.launch()
	time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
	k.kill()
	k.wantClean()
}

// round checks what there is, loads the server and kills it at some moment.
func (k *killTest) round() {
	k.Helper()
	k.start()
	k.check()
	ctx, cancel := context.WithCancel(k.Context())
	var load sync.WaitGroup
	for _, w := range k.workers {
		load.Go(func() { w.run(ctx) })
	}
	load.Go(func() { k.control.run(ctx) })
	load.Go(func() { k.backUp(ctx) })
	time.Sleep(time.Duration(20+rand.IntN(230)) * time.Millisecond)
	k.kill()
	cancel()
	load.Wait()
	if left, _ := filepath.Glob(filepath.Join(k.home, "data", "*.compact*")); len(left) > 0 {
		k.copies++
	}
}

// backUp takes backups until the server is gone.
func (k *killTest) backUp(ctx context.Context) {
	for ctx.Err() == nil {
		_, err := k.client.Backup(ctx, "", discard{})
		switch {
		case err == nil:
			k.backups++
		case !errors.Is(err, client.ErrBusy):
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// check compares all that there is with what was acknowledged.
func (k *killTest) check() {
	k.Helper()
	for _, w := range k.workers {
		w.check()
	}
	k.control.check()
}

// wantClean reads the whole store of the killed server.
func (k *killTest) wantClean() {
	k.Helper()
	out, err := exec.Command("strongroom", "fsck", "--dev", "--home", k.home, "--deep").CombinedOutput()
	if err != nil {
		k.Errorf("fsck: %v\n%s", err, out)
	}
}

func (k *killTest) report(rounds int) {
	total := 0
	for _, n := range k.acks.done {
		total += n
	}
	k.Logf("%d kills, %d of them during a compaction, %d backups; acknowledged: %v", rounds+rounds/10, k.copies, k.backups, k.acks.done)
	if total < rounds {
		k.Errorf("only %d writes were acknowledged", total)
	}
}

// gone wants that a call failed since the server is gone, which leaves open
// whether a write was stored: workers do only what must succeed.
func (k *killTest) gone(what string, err error) {
	k.Helper()
	var problem *client.Problem
	if errors.As(err, &problem) {
		k.Errorf("%s: %v", what, err)
	}
}

// acks remembers what was acknowledged, to be held against the audit log.
type acks struct {
	mu       sync.Mutex
	done     map[string]int
	writes   []ackedWrite
	repeated []ackedWrite // answered from an idempotency key, or made by it
	imported []string
}

// killRepeat is a create that is sent again after a kill.
const killRepeat = "create sent again"

// ackedWrite is a revision of a record that was acknowledged.
type ackedWrite struct {
	record   string
	revision uint64
}

func (a *acks) add(kind, record string, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[kind]++
	switch w := (ackedWrite{record, revision}); {
	case kind == killRepeat:
		a.repeated = append(a.repeated, w)
	case record != "":
		a.writes = append(a.writes, w)
	}
}

func killSpec(revisions int) client.CollectionSpec {
	return client.CollectionSpec{
		Schema: []byte(`{"type":"object","required":["key","n","twin"],"properties":{
			"key":{"type":"string","x-index":"unique"},"group":{"type":"string","x-index":"exact"},
			"n":{"type":"integer"},"twin":{"type":"string"},"filler":{"type":"string"}}}`),
		Retention: &client.Retention{Revisions: revisions}, UndeleteFor: "1h",
	}
}

var (
	killOrders = client.CollectionRef{Integration: "kill", Collection: "orders"}
	killBulk   = client.CollectionRef{Integration: "kill", Collection: "bulk"}
)

func killID(w, i int) string { return fmt.Sprintf("w%d-%d", w, i) }
