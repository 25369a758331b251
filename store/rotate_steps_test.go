package store_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// promoted adds and promotes keys, and returns those that were in force.
func (w *world) promoted(d store.KeyDomain, purposes []envelope.Purpose) (old, refs []envelope.KeyRef) {
	w.t.Helper()
	old = w.inForce(d, purposes)
	refs, err := w.AddKeysets(always, runner, d, purposes)
	w.must(err)
	w.must(w.PromoteKeysets(always, runner, d, refs))
	return old, refs
}

func TestStepsAreRefused(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	d := w.domain("acme")
	old, refs := w.promoted(d, bothKinds)
	gone := store.KeyDomain{Integration: "acme", UID: w.Store.UID()}
	for name, c := range map[string]struct {
		err, want error
	}{
		"disable keys with values":    {w.DisableKeysets(always, runner, d, old), store.ErrConflict},
		"destroy keys with values":    {w.DestroyKeysets(always, runner, d, old), store.ErrConflict},
		"disable the primary keys":    {w.DisableKeysets(always, runner, d, refs), store.ErrConflict},
		"destroy the primary keys":    {w.DestroyKeysets(always, runner, d, refs), store.ErrConflict},
		"verify before the sweep":     {second(w.VerifyKeysets(always, runner, d, old, nil)), store.ErrConflict},
		"a key that never was":        {w.PromoteKeysets(always, runner, d, []envelope.KeyRef{{Purpose: envelope.PurposeWrapping, Generation: 9}}), store.ErrNotFound},
		"a namesake's domain":         {second(w.AddKeysets(always, runner, gone, bothKinds)), store.ErrNotFound},
		"another domain's purposes":   {second(w.AddKeysets(always, runner, d, systems)), envelope.ErrForeign},
		"a cursor that is none":       {second(w.Sweeper(runner, d, store.SweepOptions{From: "zz"}).Step(always, store.Budget{}, nil)), store.ErrCursor},
		"retire before the rewrap":    {w.RetireKEK(always, runner, d, 2), store.ErrConflict},
		"trim before it is retired":   {w.TrimKEK(always, runner, d, 2), store.ErrConflict},
		"a key that covered nothing":  {w.CoveredBy(always, w.root, 1, nil), store.ErrNotFound},
		"a row that changed, by step": {second(w.Sweeper(runner, d, store.SweepOptions{}).Step(always, store.Budget{}, func(store.SweepDelta) []store.Row { return []store.Row{rotationRow("r", 7, `{}`)} })), store.ErrConflict},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	w.wantStocked(3)
}

func TestStepsNeedTheRightToOperateKeys(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	d := w.domain("acme")
	for role, want := range map[string]error{access.RoleOperator: nil, access.RoleAdministrator: store.ErrForbidden, access.RoleEverything: store.ErrForbidden} {
		c := &access.Principal{Client: "c", Policy: access.NewPolicy(nil, []string{role}, true)}
		for name, err := range map[string]error{
			"domains": second(w.KeyDomains(c)), "keys": second(w.Store.Keys(always, c)), "add": second(w.AddKeysets(always, c, d, bothKinds)),
			"promote": w.PromoteKeysets(always, c, d, nil), "disable": w.DisableKeysets(always, c, d, nil), "enable": w.EnableKeysets(always, c, d, nil),
			"destroy": w.DestroyKeysets(always, c, d, nil), "sweep": second(w.Sweeper(c, d, store.SweepOptions{}).Step(always, store.Budget{}, nil)),
			"verify": second(w.VerifyKeysets(always, c, d, nil, nil)), "latest": second(w.KEKLatest(always, c, d)), "rotate": second(w.RotateKEK(always, c, d, 1)),
			"rewrap": second(w.RewrapKeysets(always, c, d)), "retire": w.RetireKEK(always, c, d, 1),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s as %s: %v, want %v", name, role, err, want)
			}
		}
	}
}

// TestARollbackGoesBack promotes the old keys again in the middle of a sweep.
func TestARollbackGoesBack(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(20)
	d := w.domain("acme")
	old, refs := w.promoted(d, bothKinds)
	s := w.Sweeper(runner, d, store.SweepOptions{Reindex: true})
	_, err := s.Step(always, store.Budget{Entries: 10}, nil)
	w.must(err)
	w.must(w.PromoteKeysets(always, runner, d, old))
	got := w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
	if got.Rewrapped != 10 {
		t.Errorf("the sweep back moved %d values, want 10", got.Rewrapped)
	}
	if delta, err := s.Step(always, store.Budget{}, nil); err != nil || delta.Rewrapped != 0 {
		t.Errorf("what the first sweep had made ready was written: %+v, %v", delta, err)
	}
	_, err = w.VerifyKeysets(always, runner, d, refs, nil)
	w.must(err)
	w.must(w.DestroyKeysets(always, runner, d, refs))
	if diff := cmp.Diff(old, w.inForce(d, bothKinds)); diff != "" {
		t.Error(diff)
	}
	w.wantStocked(20)
}

// TestADisabledKeyComesBack disables and enables, and then goes back to it.
func TestADisabledKeyComesBack(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(4)
	d := w.domain("acme")
	old, _ := w.promoted(d, bothKinds)
	w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
	w.must(w.DisableKeysets(always, runner, d, old))
	wantErr(t, w.PromoteKeysets(always, runner, d, old), store.ErrConflict)
	w.must(w.EnableKeysets(always, runner, d, old))
	w.must(w.PromoteKeysets(always, runner, d, old))
	w.sweepKeys(d, store.SweepOptions{Reindex: true}, store.Budget{})
	w.wantStocked(4)
}

// TestADamagedRecordKeepsTheOldKey flips a byte of a wrapped DEK and of a field:
// the sweep counts and leaves it, and the verifying scan names it.
func TestADamagedRecordKeepsTheOldKey(t *testing.T) {
	for name, c := range map[string]struct {
		table kv.Table
		o     store.SweepOptions
	}{
		"a wrapped DEK": {kv.DEKs, store.SweepOptions{}}, "a field": {kv.Revisions, store.SweepOptions{Reseal: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storetest.Options{Unchecked: true})
			w.stock(5)
			d := w.domain("acme")
			key, value := w.someOf(c.table)
			value[len(value)-1] ^= 1
			w.must(w.Engine.Update(always, kv.Interactive, 1, func(tx kv.Tx) error { tx.Put(c.table, key, value); return nil }))
			old, _ := w.promoted(d, bothKinds[:1])
			if got := w.sweepKeys(d, c.o, store.Budget{}); got.Damaged != 1 {
				t.Errorf("the sweep counted %d damaged values", got.Damaged)
			}
			_, err := w.VerifyKeysets(always, runner, d, old, nil)
			if err == nil || !strings.Contains(err.Error(), "acme/customers/r000 revision 1") {
				t.Errorf("the scan does not name it: %v", err)
			}
			wantErr(t, w.DestroyKeysets(always, runner, d, old), store.ErrConflict)
		})
	}
}

// TestOldMACsLiveOnForADay rotates the system's MAC key while a request is
// remembered under the old one.
func TestOldMACsLiveOnForADay(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	o := store.WriteOptions{IdempotencyKey: "k", Route: "r", Request: []byte("q")}
	in := input(`{"email":"a@b.c"}`)
	first, err := w.CreateRecord(always, w.root, customers, in, o)
	w.must(err)
	d := store.KeyDomain{}
	old, _ := w.promoted(d, systems)
	w.sweepKeys(d, store.SweepOptions{}, store.Budget{})
	scan, err := w.VerifyKeysets(always, runner, d, old, nil)
	if wantErr(t, err, store.ErrConflict); scan.Left != 1 || scan.Counted != 1 {
		t.Errorf("the scan is %+v", scan)
	}
	again, err := w.CreateRecord(always, w.root, customers, in, o)
	if err != nil || again.ID != first.ID || !again.Replayed {
		t.Errorf("the request was made twice: %+v, %v", again, err)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.must(second(w.Sweep(always)))
	_, err = w.VerifyKeysets(always, runner, d, old, nil)
	w.must(err)
	w.must(w.DestroyKeysets(always, runner, d, old))
}

// TestTheSystemsDataDepthMakesSignersAnew looks at the keys that sign tokens and
// statements.
func TestTheSystemsDataDepthMakesSignersAnew(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	before, err := w.SigningKeys(always)
	w.must(err)
	_, err = w.Attest(always, "test", map[string]int{})
	w.must(err)
	w.now = w.now.Add(time.Hour)
	w.promoted(store.KeyDomain{}, systems)
	for range 2 {
		w.sweepKeys(store.KeyDomain{}, store.SweepOptions{Reseal: true}, store.Budget{})
		after, err := w.SigningKeys(always)
		w.must(err)
		if len(after) != 2 || after[0].ID == before[0].ID || after[1].ID != before[0].ID || after[0].SignsFrom.After(w.now) {
			t.Errorf("the signing keys are %v, and were %v", after, before)
		}
		if keys := w.AttestKeys(); len(keys) != 2 {
			t.Errorf("there are %d keys of statements", len(keys))
		}
	}
}

// TestTrimNeedsABackup rotates a KEK to its end.
func TestTrimNeedsABackup(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	d := w.domain("acme")
	for range 2 {
		latest, err := w.RotateKEK(always, runner, d, 1)
		w.must(err)
		if latest != 2 {
			t.Errorf("the latest version is %d", latest)
		}
	}
	moved, err := w.RewrapKeysets(always, runner, d)
	w.must(err)
	again, err := w.RewrapKeysets(always, runner, d)
	w.must(err)
	if moved != 2 || again != 0 {
		t.Errorf("%d keysets were moved, then %d", moved, again)
	}
	w.must(w.RetireKEK(always, runner, d, 2))
	w.must(w.RetireKEK(always, runner, d, 2))
	wantErr(t, w.TrimKEK(always, runner, d, 2), store.ErrNoBackup)
	w.now = w.now.Add(time.Minute)
	info, err := w.Backup(always, w.root, io.Discard, store.BackupOptions{})
	w.must(err)
	wantErr(t, w.TrimKEK(always, runner, d, 2), store.ErrNoBackup)
	w.must(second(w.ConfirmBackup(always, w.root, info.Sequence, info.SHA256)))
	w.must(w.TrimKEK(always, runner, d, 2))
	w.must(w.TrimKEK(always, runner, d, 2))
	if kek := w.inventory(d).KEK; kek.Available != 2 || kek.Minimum != 2 || len(kek.Versions) != 1 || kek.Versions[0].Keysets != 2 {
		t.Errorf("the inventory has %+v", kek)
	}
	w.Reopen()
	w.wantStocked(3)
}

// TestTheInventoryDoesWithoutTheKeyService asks for it while that is away.
func TestTheInventoryDoesWithoutTheKeyService(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	d := w.domain("acme")
	w.Keys.Unavailable(true)
	k := w.inventory(d)
	if k.KEK.Unknown == "" || len(k.Keys) != 2 || k.Keys[0].Values != 4 || k.Keys[0].State != "primary" || k.Keys[0].KEKVersion != 1 {
		t.Errorf("%+v", k)
	}
	w.Keys.Unavailable(false)
}

// TestAKeyTellsWhatItCovered lists the records of keys: in force, retired and
// destroyed.
func TestAKeyTellsWhatItCovered(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	d := w.domain("acme")
	w.now = w.now.Add(time.Hour)
	w.must(w.ExpungeRecord(always, w.root, store.RecordRef{CollectionRef: customers, Record: "r001"}))
	old := w.inForce(d, bothKinds)
	w.rotate(d, bothKinds, store.SweepOptions{Reindex: true})
	w.now = w.now.Add(time.Hour)
	w.create(`{"email":"late@b.c"}`)
	covered := func(id uint32) (names []string, under int) {
		w.must(w.CoveredBy(always, w.root, id, func(r store.CoveredRecord) error {
			names = append(names, r.Integration+"/"+r.Collection+"/"+r.Record)
			if r.Under {
				under++
			}
			return nil
		}))
		return names, under
	}
	for _, key := range old {
		got, under := covered(key.KeyID)
		if diff := cmp.Diff([]string{"acme/customers/r000", "acme/customers/r002"}, got); diff != "" || under != 0 {
			t.Errorf("%s: %s (%d are under it)", key.Purpose, diff, under)
		}
	}
	if got, under := covered(w.inForce(d, bothKinds)[0].KeyID); len(got) != 3 || under != 3 {
		t.Errorf("the key in force covers %v", got)
	}
	system := w.inForce(store.KeyDomain{}, systems)
	control := 0
	w.must(w.CoveredBy(always, w.root, system[0].KeyID, func(r store.CoveredRecord) error {
		if r.Control != "" && r.Under {
			control++
		}
		return nil
	}))
	if control != w.count(kv.Control) {
		t.Errorf("the key of the system covers %d control values", control)
	}
}

// TestASweepIsBusyNextToABackup keeps the data file for itself meanwhile.
func TestASweepIsBusyNextToABackup(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	d := w.domain("acme")
	release, err := w.Engine.Exclusive()
	w.must(err)
	s := w.Sweeper(runner, d, store.SweepOptions{})
	_, err = s.Step(always, store.Budget{}, nil)
	wantErr(t, err, store.ErrBusy)
	_, err = w.VerifyKeysets(always, runner, d, nil, nil)
	wantErr(t, err, store.ErrBusy)
	release()
	_, err = s.Step(always, store.Budget{}, nil)
	w.must(err)
}

// TestStepsAreAudited looks at what a rotation leaves in the log.
func TestStepsAreAudited(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(2)
	w.rotate(w.domain("acme"), bothKinds, store.SweepOptions{Reindex: true})
	seen := map[string]int{}
	for _, e := range audited(t, w.AuditDir, audit.Filter{Client: runner.Client}) {
		seen[e.Action+" "+string(e.Phase)]++
	}
	for _, action := range []string{"add-key", "promote-key", "sweep", "disable-key", "destroy-key"} {
		if seen[action+" intent"] != 1 || seen[action+" outcome"] != 1 {
			t.Errorf("the log has not an intent and an outcome of %s: %v", action, seen)
		}
	}
	if seen["verify-keys access"] != 1 {
		t.Errorf("the log has %v", seen)
	}
}

// TestASweepOfLargeRecords seals more anew than one view, or one chunk, takes.
func TestASweepOfLargeRecords(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	large := strings.Repeat("x", 900_000)
	for range 24 {
		w.create(`{"email":"a@b.c","customer":{"name":"` + large + `"}}`)
	}
	d := w.domain("acme")
	old, _ := w.promoted(d, bothKinds[:1])
	if got := w.sweepKeys(d, store.SweepOptions{Reseal: true}, store.Budget{}); got.Resealed != 24 || got.Scanned != 24 {
		t.Errorf("the sweep did %+v", got)
	}
	w.must(second(w.VerifyKeysets(always, runner, d, old, nil)))
}

// TestACollectionThatIsBeingRemovedIsSwept rotates while what a deleted
// collection held is still on the disk.
func TestACollectionThatIsBeingRemovedIsSwept(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(6)
	d := w.domain("acme")
	w.must(w.DeleteCollection(always, w.root, customers))
	if got := w.rotate(d, bothKinds, store.SweepOptions{Reindex: true}); got.Rewrapped != 8 || got.Reindexed != 6 {
		t.Errorf("the sweep did %+v", got)
	}
	w.must(second(w.Sweep(always)))
	if left := w.count(kv.DEKs) + w.count(kv.Index) + w.count(kv.Tokens); left > 0 {
		t.Errorf("%d entries are left", left)
	}
}

// TestAnIntegrationGoesWithItsHistory destroys one whose keys were rotated, and
// that a sweep is under way of.
func TestAnIntegrationGoesWithItsHistory(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(20)
	d := w.domain("acme")
	w.promoted(d, bothKinds)
	s := w.Sweeper(runner, d, store.SweepOptions{})
	_, err := s.Step(always, store.Budget{Entries: 3}, nil)
	w.must(err)
	w.must(second(w.DeleteIntegration(always, w.root, "acme", true)))
	_, err = s.Step(always, store.Budget{Entries: 3}, nil)
	wantErr(t, err, store.ErrNotFound)
	w.must(second(w.Sweep(always)))
	if w.holds(kv.Control, d.UID.String()) {
		t.Error("the history of its keys is left")
	}
}

// TestASweepGoesOnFromItsCursor leaves a sweep after each of its steps.
func TestASweepGoesOnFromItsCursor(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(20)
	d := w.domain("acme")
	old, _ := w.promoted(d, bothKinds)
	sum, cursor := uint64(0), store.Cursor("")
	for done := false; !done; {
		s := w.Sweeper(runner, d, store.SweepOptions{Reindex: true, From: cursor})
		delta, err := s.Step(always, store.Budget{Entries: 4}, func(d store.SweepDelta) []store.Row {
			return []store.Row{{Kind: store.RowPart, ID: "p", Version: sum, Doc: []byte(`{"cursor":"` + string(d.Cursor) + `"}`)}}
		})
		w.must(err)
		sum, cursor, done = sum+1, delta.Cursor, delta.Done
		w.Reopen()
		rows := w.rows(store.RowPart)
		if len(rows) != 1 || rows[0].Version != sum || !strings.Contains(string(rows[0].Doc), string(cursor)) {
			t.Fatalf("after step %d the rows are %v", sum, rows)
		}
	}
	if sum != 13 { // of 27 wrapped DEKs and 20 token sets, and one that finds no more
		t.Errorf("it took %d steps", sum)
	}
	w.must(second(w.VerifyKeysets(always, runner, d, old, nil)))
}
