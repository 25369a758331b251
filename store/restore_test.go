package store_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/envelope/envelopetest"
	"strongroom/store"
	"strongroom/store/kv"
)

func TestRestoreRefusals(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	present := r.engine.clone()
	if _, err := store.Restore(always, r.deps, bytes.NewReader(file), nil, store.RestoreOptions{}); !errors.Is(err, store.ErrExists) {
		t.Errorf("over a store: %v", err)
	}
	if !same(present, r.engine) {
		t.Error("the refused restore changed the store")
	}
	for name, keys := range map[string]*envelopetest.Provider{"other keys": envelopetest.New(), "no key service": envelopetest.New()} {
		keys.Unavailable(name == "no key service")
		d := r.deps
		engine := newMemory()
		d.Engine, d.Keys = engine, keys
		_, err := store.Restore(always, d, bytes.NewReader(file), nil, store.RestoreOptions{})
		if err == nil || !strings.Contains(err.Error(), "nothing was restored") || len(engine.entries()) != 0 {
			t.Errorf("%s: %v, and %d entries written", name, err, len(engine.entries()))
		}
	}
	if _, err := store.VerifyBackup(strings.NewReader("dear diary")); !errors.Is(err, store.ErrBackupDamaged) {
		t.Errorf("what is no backup: %v", err)
	}
}

// TestRestoreInterrupted ends a restore in the middle: what is left is no
// store, and nothing goes on from there.
func TestRestoreInterrupted(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	d := r.deps
	engine := &stopping{memory: newMemory(), after: 1}
	d.Engine = engine
	if _, err := store.Restore(always, d, bytes.NewReader(file), nil, store.RestoreOptions{}); !errors.Is(err, errStopped) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("got %v", err)
	}
	if len(engine.entries()) == 0 {
		t.Fatal("nothing was written before the restore was interrupted")
	}
	noStore(t, r, engine.memory)
	d.Engine = engine.memory
	if _, err := store.Restore(always, d, bytes.NewReader(file), nil, store.RestoreOptions{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second restore: %v", err)
	}
}

// stopping is an engine that fails after some writes.
type stopping struct {
	*memory
	after int
}

func (s *stopping) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if s.after--; s.after < 0 {
		return errStopped
	}
	return s.memory.Update(ctx, class, size, fn)
}

func TestCheckBackup(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, info := backedUp(t, r, store.BackupOptions{})
	drill := func() store.CheckReport {
		d := r.deps
		d.Engine = newMemory()
		report, err := store.CheckBackup(always, d, bytes.NewReader(file), nil, r.Store)
		need(t, err)
		return report
	}
	report := drill()
	if !report.OK() || len(report.Integrations) != 2 || *report.Lost != (store.LostReport{}) || report.Backup != info {
		t.Errorf("right after the backup: %+v, lost %+v", report, report.Lost)
	}
	for _, check := range report.Integrations {
		if check.Records != 3 || check.Opened != 2 || check.Fields != 10 {
			t.Errorf("integration: %+v", check)
		}
	}
	r.now = r.now.Add(time.Hour)
	newShopper(t, r, "later")
	need(t, r.ExpungeRecord(always, anyone(), store.RecordRef{CollectionRef: in("acme", "customers"), Record: "rec-0"}))
	_, _, err := r.PutRole(always, anyone(), "writer", []byte(`{"rules":[]}`), store.Precondition{})
	need(t, err)
	globex, err := r.GetIntegration(always, anyone(), "globex")
	need(t, err)
	need(t, r.keys.Destroy(always, keyOf(r, globex)))
	report = drill()
	if want := (store.LostReport{Changed: 1, Erased: 1, Definitions: 1}); *report.Lost != want {
		t.Errorf("lost %+v, want %+v", report.Lost, want)
	}
	if report.OK() || report.Integrations[0].Problem != "" || report.Integrations[1].Problem == "" || report.AgeSeconds < 3600 {
		t.Errorf("with the key of globex destroyed: %+v", report)
	}
}
