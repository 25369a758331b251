package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/envelope"
	"strongroom/internal/config"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt"
)

// What the helper of rotations is told by its environment.
const (
	killPlanned = "STRONGROOM_KILL_PLAN"  // a killPlan
	killVault   = "STRONGROOM_KILL_VAULT" // the configuration of Vault, or nothing
)

// killPlan is the step at which a server ends itself.
type killPlan struct {
	Depth  string
	Step   string // that a part reaches, or stepChunk, or stepEnd
	Moment string
	Hold   bool // promotions of this depth wait until they are interrupted
}

// killGo is a file beside the home: rotations go on once it is there.
const killGo = "go"

// The moments of a kill.
const (
	killBefore = "before" // what makes the step is stored, right ahead of that; of a chunk: in its transaction
	killDuring = "during" // a moment after that was begun
	killAfter  = "after"  // it is stored, and nobody knows yet
)

// Steps that a kill knows beyond those of a part.
const (
	chunkOf = "_chunk" // behind the name of a sweep: a chunk of it is written
	stepEnd = "end"    // the rotation ends with its last part
)

// TestHelperRotated is no test: TestKillRotations runs it in a process of its
// own. It serves a home, carries rotations on in small chunks, compacts the data
// file now and then, and kills itself where the plan says.
func TestHelperRotated(t *testing.T) {
	home := os.Getenv(killHome)
	if home == "" {
		return
	}
	a, err := openKillable(context.Background(), home)
	if err != nil {
		t.Fatal(err)
	}
	go func() { t.Errorf("the server ended: %v", a.Run(context.Background())) }()
	for took := time.Duration(0); ; {
		time.Sleep(300*time.Millisecond + 4*took) // a sweep cannot go on meanwhile
		start := time.Now()
		if _, err := a.Engine.Compact(context.Background()); err != nil && !errors.Is(err, bolt.ErrBusy) {
			t.Fatalf("compact: %v", err)
		}
		took = time.Since(start)
	}
}

func openKillable(ctx context.Context, home string) (*app.App, error) {
	conf := config.Default()
	conf.Listen, conf.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	log, err := os.OpenFile(filepath.Join(home, "..", "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	dev, conf, err := app.OpenDev(home, conf)
	if err != nil {
		return nil, err
	}
	if at := os.Getenv(killVault); at != "" {
		conf.Keys.Provider = config.ProviderVault
		if err := json.Unmarshal([]byte(at), &conf.Keys.Vault); err != nil {
			return nil, err
		}
	}
	first, err := dev.EnsureStore(ctx, conf, logger)
	if err != nil {
		return nil, err
	}
	k := &killer{home: home, depths: map[string]string{}}
	if plan := os.Getenv(killPlanned); plan != "" {
		if err := json.Unmarshal([]byte(plan), &k.plan); err != nil {
			return nil, err
		}
	}
	a, err := app.Open(ctx, app.Options{Config: conf, Dev: dev, Logger: logger, Version: version(), Steps: k.between})
	if err != nil {
		return nil, err
	}
	_, err = dev.WriteEnv(ctx, a, first)
	return a, err
}

// killer stands between rotations and the store, and ends the process.
type killer struct {
	rotate.Store
	plan killPlan
	home string

	mu     sync.Mutex
	depths map[string]string // by rotation
}

func (k *killer) between(s rotate.Store) rotate.Store {
	k.Store = s
	return k
}

func (k *killer) beside(name string) string { return filepath.Join(k.home, "..", name) }

// die writes down where it is, and ends the process as nothing else does.
func (k *killer) die() {
	k.note()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (k *killer) dieSoon() {
	wait := time.Duration(rand.IntN(4000)) * time.Microsecond
	go func() {
		time.Sleep(wait)
		k.die()
	}()
}

func (k *killer) note() {
	f, err := os.OpenFile(k.beside("record"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(k.plan.Depth + " " + k.plan.Step + " " + k.plan.Moment + "\n")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		panic(err)
	}
}

// meets reports whether rows say that the planned step is reached.
func (k *killer) meets(rows []store.Row, suffix string) bool {
	return k.reach(rows, suffix, k.plan.Step)
}

// reach reports whether rows say that a rotation of the planned depth reaches a
// step. On the way it learns how deep rotations go.
func (k *killer) reach(rows []store.Row, suffix, step string) (met bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, row := range rows {
		var doc struct {
			Depth, Step, State string
		}
		if row.Doc == nil || json.Unmarshal(row.Doc, &doc) != nil {
			continue
		}
		id, _, _ := strings.Cut(row.ID, "/")
		switch row.Kind {
		case store.RowRotation:
			k.depths[id] = doc.Depth
			met = met || doc.State != "" && step == stepEnd && doc.Depth == k.plan.Depth
		case store.RowPart:
			met = met || doc.Step+suffix == step && k.depths[id] == k.plan.Depth
		}
	}
	return met
}

// around runs what stores rows, unless the process ends there.
func (k *killer) around(rows []store.Row, do func() error) error {
	if !k.meets(rows, "") {
		return do()
	}
	switch k.plan.Moment {
	case killBefore:
		k.die()
	case killDuring:
		k.dieSoon()
		return do()
	}
	if err := do(); err != nil {
		return err
	}
	k.die()
	return nil
}

// Rows is what rotations begin with: they wait there until they may go on.
func (k *killer) Rows(ctx context.Context, kind store.RowKind) ([]store.Row, error) {
	for _, err := os.Stat(k.beside(killGo)); err != nil; _, err = os.Stat(k.beside(killGo)) {
		time.Sleep(5 * time.Millisecond)
	}
	rows, err := k.Store.Rows(ctx, kind)
	k.meets(rows, "\x00") // of no step: to learn the depths
	return rows, err
}

// Foreground says that nobody else wants the machine: a sweep that yields would
// take most of the time of the test.
func (k *killer) Foreground() store.Load { return store.Load{} }

func (k *killer) PutRows(ctx context.Context, c store.Caller, action string, rows ...store.Row) error {
	return k.around(rows, func() error { return k.Store.PutRows(ctx, c, action, rows...) })
}

func (k *killer) PromoteKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	if k.plan.Hold && k.reach(rows, "", string(rotate.StepSweep)) {
		<-ctx.Done()
		return ctx.Err()
	}
	return k.around(rows, func() error { return k.Store.PromoteKeysets(ctx, c, d, refs, rows...) })
}

func (k *killer) DisableKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return k.around(rows, func() error { return k.Store.DisableKeysets(ctx, c, d, refs, rows...) })
}

func (k *killer) EnableKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return k.around(rows, func() error { return k.Store.EnableKeysets(ctx, c, d, refs, rows...) })
}

func (k *killer) DestroyKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return k.around(rows, func() error { return k.Store.DestroyKeysets(ctx, c, d, refs, rows...) })
}

func (k *killer) RewrapKeysets(ctx context.Context, c store.Caller, d store.KeyDomain, rows ...store.Row) (moved int, err error) {
	err = k.around(rows, func() error {
		moved, err = k.Store.RewrapKeysets(ctx, c, d, rows...)
		return err
	})
	return moved, err
}

func (k *killer) Sweep(c store.Caller, d store.KeyDomain, o store.SweepOptions) rotate.Sweeper {
	return &killSweeper{k.Store.Sweep(c, d, o), k}
}

// killSweeper sweeps in chunks as large as they may be or, where one of them is
// to be the last, in small ones.
type killSweeper struct {
	rotate.Sweeper
	k *killer
}

func (s *killSweeper) Step(ctx context.Context, b store.Budget, rows func(store.SweepDelta) []store.Row) (store.SweepDelta, error) {
	if b.Lock = 0; strings.HasSuffix(s.k.plan.Step, chunkOf) {
		b.Entries = 48
	}
	hit := false
	delta, err := s.Sweeper.Step(ctx, b, func(d store.SweepDelta) []store.Row {
		out := rows(d)
		if hit = s.k.meets(out, chunkOf) || s.k.meets(out, ""); !hit {
			return out
		}
		switch s.k.plan.Moment {
		case killBefore:
			s.k.die()
		case killDuring:
			s.k.dieSoon()
		}
		return out
	})
	if err == nil && hit && s.k.plan.Moment == killAfter {
		s.k.die()
	}
	return delta, err
}
