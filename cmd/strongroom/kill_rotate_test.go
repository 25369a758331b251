package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/config"
	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys/transit"
)

// TestKillRotations kills a server again and again while it rotates keys and
// while clients write, read, delete and change definitions: at every step of
// every depth, forward, back and given up, and at random moments. After each
// kill the store is whole and holds what was acknowledged. In the end, a day
// later, every rotation has ended, nothing is under a key that was replaced, and
// no copy of such a key is left.
func TestKillRotations(t *testing.T) {
	t.Run("keyring", func(t *testing.T) { runKillRotations(t, nil, []string{killBefore, killAfter}) })
	t.Run("vault", func(t *testing.T) {
		runKillRotations(t, vaultOf(t, vaulttest.New(t)), []string{killDuring})
	})
}

func runKillRotations(t *testing.T, vault *config.Vault, moments []string) {
	k := newRotateTest(t, vault)
	campaigns, random := briefCampaigns, 2
	if os.Getenv("STRONGROOM_LONG") == "1" {
		campaigns, random = allCampaigns, 20
	} else {
		moments = moments[:1]
	}
	for _, c := range campaigns {
		for _, moment := range moments {
			k.campaign(c, moment)
		}
	}
	for range random {
		k.randomRound()
	}
	k.campaign(lastCampaign, moments[0])
	k.stand()
	k.check()
	k.kill()
	k.wantAudited()
	k.dayLater()
	k.stand()
	k.check()
	k.wantInventory()
	k.kill()
	k.tell()
}

// vaultOf prepares Vault as an operator does, and returns how to reach it.
func vaultOf(t *testing.T, v *vaulttest.Server) *config.Vault {
	v.Mount(t, "transit")
	v.Policy(t, "strongroom-everyday", transit.EverydayPolicy)
	v.Policy(t, "strongroom-lifecycle", transit.LifecyclePolicy)
	c := &config.Vault{Address: v.TLSAddress, Mount: "transit", CACertFile: v.CAFile(t), Timeout: config.Duration(10 * time.Second)}
	c.Auth.Method, c.LifecycleAuth.Method = config.AuthAppRole, config.AuthAppRole
	c.Auth.RoleIDFile, c.Auth.SecretIDFile = v.AppRole(t, "everyday", "1h", "24h", "strongroom-everyday")
	c.LifecycleAuth.RoleIDFile, c.LifecycleAuth.SecretIDFile = v.AppRole(t, "lifecycle", "1h", "24h", "strongroom-lifecycle")
	return c
}

// rotateTest is a killTest whose keys are rotated.
type rotateTest struct {
	*killTest
	vault   *config.Vault // nil: the keyring
	rotator *killRotator
	rounds  int
	want    []string                     // steps to be killed at, as the record has them
	stood   map[string]int               // where kills have left the parts of rotations
	seen    map[string]map[string][]byte // wrapped keysets by where they lay: all that there ever were
}

func newRotateTest(t *testing.T, vault *config.Vault) *rotateTest {
	k := &rotateTest{killTest: prepareKillTest(t, "TestHelperRotated"), vault: vault, stood: map[string]int{}, seen: map[string]map[string][]byte{}}
	k.must(os.MkdirAll(k.home, 0o700))
	k.rotator = &killRotator{k: k}
	k.plan(killPlan{})
	k.start()
	k.furnish()
	k.kill()
	return k
}

// plan has the next server end itself at a step.
func (k *rotateTest) plan(p killPlan) {
	k.environ = []string{killPlanned + "=" + toJSON(k.T, p)}
	if k.vault != nil {
		k.environ = append(k.environ, killVault+"="+toJSON(k.T, k.vault))
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// campaign makes a rotation, and kills the server at each of its steps.
func (k *rotateTest) campaign(c killCampaign, moment string) {
	k.Helper()
	k.rotator.begin(c)
	for _, step := range c.steps {
		p := killPlan{Depth: c.request.Depth, Step: step, Moment: moment, Hold: c.direction == "cancel"}
		k.want = append(k.want, p.Depth+" "+p.Step+" "+p.Moment)
		k.plan(p)
		for dead := false; !dead; {
			k.loadUntil(func() { dead = k.awaitRecord(p) })
		}
	}
}

// randomRound rotates something somehow, and kills the server at some moment.
func (k *rotateTest) randomRound() {
	k.Helper()
	k.rotator.begin(k.rotator.random())
	k.plan(killPlan{})
	k.loadUntil(func() { time.Sleep(time.Duration(50+rand.IntN(600)) * time.Millisecond) })
}

// loadUntil starts the server, checks it and loads it until something has
// happened; then it is killed, if it is not dead yet.
func (k *rotateTest) loadUntil(wait func()) {
	k.Helper()
	k.rounds++
	k.stand()
	k.check()
	k.rotator.forget()
	ctx, cancel := context.WithCancel(k.Context())
	var load sync.WaitGroup
	for _, w := range k.workers {
		load.Go(func() { w.run(ctx) })
	}
	load.Go(func() { k.control.run(ctx) })
	load.Go(func() { k.read(ctx) })
	load.Go(func() { k.rotator.run(ctx) })
	if k.rounds%3 == 0 {
		load.Go(func() { k.backUpOnce(ctx) })
	}
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	k.goOn()
	wait()
	k.kill()
	cancel()
	load.Wait()
	k.inspect()
	if k.Failed() {
		k.Fatalf("in round %d; %v; the log: %s", k.rounds, k.environ[0], k.log())
	}
}

// stand starts the server; its rotations stand still for now.
func (k *rotateTest) stand() {
	k.Helper()
	k.must(os.RemoveAll(filepath.Join(k.home, "..", killGo)))
	k.start()
}

// goOn lets the rotations go on.
func (k *rotateTest) goOn() {
	k.Helper()
	k.must(os.WriteFile(filepath.Join(k.home, "..", killGo), nil, 0o600))
}

func (k *rotateTest) log() string {
	raw, _ := os.ReadFile(filepath.Join(k.home, "..", "log"))
	return string(raw[max(0, len(raw)-6000):])
}

func (k *rotateTest) record() []string {
	raw, err := os.ReadFile(filepath.Join(k.home, "..", "record"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// awaitRecord waits until the server has killed itself. It reports false when
// the server is to be killed now, because its rotation waits for a backup, which
// is made in between.
func (k *rotateTest) awaitRecord(p killPlan) bool {
	k.Helper()
	for range 6000 {
		switch {
		case slices.Contains(k.record(), p.Depth+" "+p.Step+" "+p.Moment):
			time.Sleep(10 * time.Millisecond)
			return true
		case k.Failed():
			return true
		case k.rotator.lacksBackup():
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.kill()
	k.Fatalf("no rotation reached %+v: %s\nthe log: %s", p, k.rotator.last(), k.log())
	return true
}

// read reads what the workers write: it is there whole, or it is not there.
func (k *rotateTest) read(ctx context.Context) {
	for ctx.Err() == nil && !k.Failed() {
		id := killID(rand.IntN(len(k.workers)), rand.IntN(killSlots))
		rec, err := k.client.GetRecord(ctx, killOrders.Of(id), client.ReadOptions{})
		switch {
		case err == nil:
			k.workers[0].numberOf(id, rec)
			k.acks.add("read", "", 0)
			time.Sleep(2 * time.Millisecond)
		case !errors.Is(err, client.ErrNotFound):
			k.gone("read "+id, err)
			return
		}
	}
}

// backUpOnce takes a backup a moment after the others have begun.
func (k *rotateTest) backUpOnce(ctx context.Context) {
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	if _, err := k.client.Backup(ctx, "", discard{}); err == nil {
		k.backups++
	}
}

// wantInventory asks the server for its keys: nothing is under one that is not
// the primary one of its purpose, and there is no other than that.
func (k *rotateTest) wantInventory() {
	k.Helper()
	k.goOn() // the inventory tells of schedules, too
	domains, err := k.client.ListKeys(k.Context())
	k.must(err)
	values := uint64(0)
	for _, d := range domains {
		for _, key := range d.Keys {
			if key.State != "primary" && (key.State != "destroyed" || key.Values > 0) {
				k.Errorf("the %s key %s of %q is %s and has %d values", key.Purpose, key.KeyID, d.Integration, key.State, key.Values)
			}
			values += key.Values
		}
	}
	if len(domains) != 2 || values == 0 {
		k.Errorf("the inventory has %d domains and %d values", len(domains), values)
	}
}

// tell says what was done, and holds the kills against what they were to be.
func (k *rotateTest) tell() {
	k.Helper()
	hit := map[string]bool{}
	for _, line := range k.record() {
		hit[line] = true
	}
	for _, step := range k.want {
		if !hit[step] {
			k.Errorf("nothing was killed at: %s", step)
		}
	}
	k.Logf("%d kills, %d of them at a step that was named; rotations made: %v; acknowledged: %v", k.rounds, len(k.want), k.rotator.made, k.acks.done)
	for _, at := range slices.Sorted(maps.Keys(k.stood)) {
		k.Logf("%4d times a part was left at %s", k.stood[at], at)
	}
}
