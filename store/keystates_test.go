package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// promote gives a domain a key and makes it the primary one.
func (w *world) promote(integration string, p envelope.Purpose, generation uint32) {
	w.t.Helper()
	w.must(w.AddKeyForTest(always, integration, p, generation))
	w.must(w.SetKeyForTest(always, integration, p, generation, envelope.StatePrimary))
}

func (w *world) underKeys(ref store.CollectionRef) (deks, tokens map[uint32]uint64) {
	w.t.Helper()
	deks, tokens, err := w.KeyCountsForTest(always, ref)
	w.must(err)
	return deks, tokens
}

// TestADraftUnderAnOldKeyIsMadeAgain promotes keys in between the sealing of a
// write and its commit: what is stored is under the new ones.
func TestADraftUnderAnOldKeyIsMadeAgain(t *testing.T) {
	for _, p := range []envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex} {
		for name, do := range map[string]func(w *world, id string) error{
			"create": func(w *world, id string) error {
				in := input(`{"email":"new@b.c","external_id":"n"}`)
				in.ID = id + "-2"
				return second(w.CreateRecord(always, w.root, customers, in, store.WriteOptions{}))
			},
			"patch": func(w *world, id string) error {
				ref := store.RecordRef{CollectionRef: customers, Record: id}
				return second(w.PatchRecord(always, w.root, ref, input(`{"card":"5"}`), store.WriteOptions{}))
			},
			"upsert": func(w *world, _ string) error {
				return second(w.UpsertRecord(always, w.root, customers, input(`{"email":"z@b.c","external_id":"x"}`), store.UpsertOptions{Key: "external_id", OnConflict: store.Replace}))
			},
			"import": func(w *world, _ string) error {
				n := 0
				next := func() (store.ImportLine, bool) { n++; return store.ImportLine{Number: n}, n <= 3 }
				o := store.ImportOptions{Decode: func([]byte) (store.RecordInput, error) { return input(`{"email":"i@b.c"}`), nil }}
				return w.ImportRecords(always, w.root, customers, o, next, func(r store.ImportResult) error { return r.Err })
			},
		} {
			t.Run(p.String()+" "+name, func(t *testing.T) {
				w, e := between(t)
				id := w.create(`{"email":"a@b.c","external_id":"x"}`).Record
				e.before = func() { w.promote("acme", p, 2) }
				w.must(do(w, id))
				deks, tokens := w.underKeys(customers)
				if p == envelope.PurposeWrapping && len(deks) != 2 {
					t.Errorf("wrapped keys by key: %v, want some under two", deks)
				}
				if p == envelope.PurposeIndex && tokens[2] == 0 {
					t.Errorf("token sets by generation: %v, want some of 2", tokens)
				}
				if w.Stats().StaleWrites == 0 {
					t.Error("no write was refused")
				}
			})
		}
	}
}

// TestAChangeOfStatesAloneRefusesADraft has a key come in between that nothing is
// under yet.
func TestAChangeOfStatesAloneRefusesADraft(t *testing.T) {
	w, e := between(t)
	e.before = func() { w.must(w.AddKeyForTest(always, "acme", envelope.PurposeIndex, 2)) }
	w.create(`{"email":"a@b.c"}`)
	if w.Stats().StaleWrites == 0 {
		t.Error("no write was refused")
	}
	if _, tokens := w.underKeys(customers); tokens[1] != 1 || len(tokens) != 1 {
		t.Errorf("token sets by generation: %v: a pending key is not written under", tokens)
	}
}

// TestAControlValueUnderAnOldKeyIsMadeAgain promotes a key of the system in
// between the sealing and the commit of changes of the control plane.
func TestAControlValueUnderAnOldKeyIsMadeAgain(t *testing.T) {
	w, e := between(t)
	before, _, err := w.SystemCountsForTest(always)
	w.must(err)
	e.before = func() { w.promote("", envelope.PurposeSystem, 2) }
	w.integration("globex")
	after, _, err := w.SystemCountsForTest(always)
	w.must(err)
	if len(before) != 1 || len(after) != 2 {
		t.Errorf("control values by key: %v before, %v after", before, after)
	}
	w.Reopen()
	if _, err := w.GetIntegration(always, w.root, "globex"); err != nil {
		t.Errorf("what was made again: %v", err)
	}
}

// TestAReadByKeyState reads under a key in each state.
func TestAReadByKeyState(t *testing.T) {
	w := newWorld(t, storetest.Options{Unchecked: true}) // a disabled key opens nothing
	ref := w.create(`{"email":"a@b.c"}`)
	for _, step := range []struct {
		state envelope.KeyState
		want  error
	}{{envelope.StateEnabled, nil}, {envelope.StateDisabled, store.ErrKeyRefused}, {envelope.StateEnabled, nil}, {0, store.ErrIntegrity}} {
		if step.state == envelope.StateEnabled {
			w.promote("acme", envelope.PurposeWrapping, 2) // again: it is so already
		}
		w.must(w.SetKeyForTest(always, "acme", envelope.PurposeWrapping, 1, step.state))
		w.must(w.RefreshForTest(always, "acme"))
		_, err := w.GetRecord(always, w.root, ref, store.ReadOptions{})
		wantErr(t, err, step.want)
	}
	w2 := newWorld(t, storetest.Options{})
	ref = w2.create(`{"email":"a@b.c"}`)
	w2.must(w2.AddKeyForTest(always, "acme", envelope.PurposeWrapping, 2))
	w2.must(w2.RefreshForTest(always, "acme"))
	w2.read(w2.root, ref)
	if deks, _ := w2.underKeys(customers); len(deks) != 1 {
		t.Errorf("wrapped keys by key: %v: a pending key seals nothing", deks)
	}
}

func wheres(path, json string) []schema.Value {
	return []schema.Value{{Path: path, JSON: []byte(json)}}
}

// TestASearchAcrossIndexKeys has records under two index keys, and moves some
// from one to the other in between two pages: each is seen once.
func TestASearchAcrossIndexKeys(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	put := func(i int, card string) {
		ref := store.RecordRef{CollectionRef: customers, Record: fmt.Sprintf("r%02d", i)}
		in := input(fmt.Sprintf(`{"email":"same@b.c","external_id":"x%d","card":"%s"}`, i, card))
		w.must(second(w.PutRecord(always, w.root, ref, in, store.WriteOptions{})))
	}
	for i := range 10 {
		put(i, "1")
	}
	w.promote("acme", envelope.PurposeIndex, 2)
	for i := 10; i < 20; i++ {
		put(i, "1")
	}
	for i := 1; i < 20; i += 4 {
		put(i, "2")
	}
	seen := map[string]int{}
	for cursor, page := "", 0; ; page++ {
		p, err := w.SearchRecords(always, w.root, customers, store.SearchOptions{Where: wheres("email", `"same@b.c"`), Limit: 3, Cursor: cursor})
		w.must(err)
		for _, rec := range p.Records {
			seen[rec.ID]++
		}
		put(page, "3")    // behind or ahead of the page
		put(19-page, "4") // and from the other end
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d records were found, want 20: %v", len(seen), seen)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was found %d times", id, n)
		}
	}
	if _, tokens := w.underKeys(customers); tokens[1] == 0 || tokens[2] == 0 {
		t.Errorf("token sets by generation: %v, want some of each", tokens)
	}
	for i := range 20 {
		rec, err := w.LookupRecord(always, w.root, customers, wheres("external_id", fmt.Sprintf(`"x%d"`, i)), store.ReadOptions{})
		w.must(err)
		if want := fmt.Sprintf("r%02d", i); rec.ID != want {
			t.Errorf("lookup of x%d found %s", i, rec.ID)
		}
	}
}

// TestAUniqueValueAcrossIndexKeys refuses a value that a record holds under an
// older index key, and finds that record by an upsert.
func TestAUniqueValueAcrossIndexKeys(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	old := w.create(`{"email":"a@b.c","external_id":"x"}`)
	w.promote("acme", envelope.PurposeIndex, 2)
	_, err := w.CreateRecord(always, w.root, customers, input(`{"email":"b@b.c","external_id":"x"}`), store.WriteOptions{})
	wantErr(t, err, store.ErrUniqueConflict)
	res, err := w.UpsertRecord(always, w.root, customers, input(`{"email":"c@b.c","external_id":"x"}`), store.UpsertOptions{Key: "external_id", OnConflict: store.Merge})
	w.must(err)
	if res.ID != old.Record || res.Created {
		t.Errorf("the upsert wrote %s, want %s", res.ID, old.Record)
	}
	if _, tokens := w.underKeys(customers); tokens[1] != 0 || tokens[2] != 1 {
		t.Errorf("token sets by generation: %v, want one of 2", tokens)
	}
	_, err = w.CreateRecord(always, w.root, customers, input(`{"email":"b@b.c","external_id":"x"}`), store.WriteOptions{})
	wantErr(t, err, store.ErrUniqueConflict)
}

// TestFsckFindsAUniqueValueHeldTwice writes what a program would that looked
// under one index key alone.
func TestFsckFindsAUniqueValueHeldTwice(t *testing.T) {
	w := newWorld(t, storetest.Options{Unchecked: true})
	w.create(`{"email":"a@b.c","external_id":"x"}`)
	w.promote("acme", envelope.PurposeIndex, 2)
	w.must(w.SetKeyForTest(always, "acme", envelope.PurposeIndex, 1, envelope.StateDisabled))
	w.create(`{"email":"b@b.c","external_id":"x"}`)
	w.must(w.SetKeyForTest(always, "acme", envelope.PurposeIndex, 1, envelope.StateEnabled))
	report, err := w.Fsck(always, store.FsckOptions{Deep: true})
	w.must(err)
	if len(report.Damages) == 0 || report.Damages[0].Kind != "index" {
		t.Errorf("damages are %v, want one of the index", report.Damages)
	}
}

// TestARequestIsRememberedAcrossMACKeys repeats a request after the system's MAC
// key was rotated, and one whose key was rotated in between.
func TestARequestIsRememberedAcrossMACKeys(t *testing.T) {
	w, e := between(t)
	create := func(key string) store.WriteResult {
		t.Helper()
		res, err := w.CreateRecord(always, w.root, customers, input(`{"email":"a@b.c"}`), store.WriteOptions{IdempotencyKey: key, Route: "r", Request: []byte("q")})
		w.must(err)
		return res
	}
	first := create("one")
	e.before = func() { w.promote("", envelope.PurposeSystemMAC, 2) }
	other := create("two")
	if again := create("one"); !again.Replayed || again.ID != first.ID {
		t.Errorf("the first request was made again: %+v", again)
	}
	if again := create("two"); !again.Replayed || again.ID != other.ID {
		t.Errorf("the second request was made again: %+v", again)
	}
	_, err := w.CreateRecord(always, w.root, customers, input(`{"email":"a@b.c"}`), store.WriteOptions{IdempotencyKey: "one", Route: "r", Request: []byte("another")})
	wantErr(t, err, store.ErrIdempotencyMismatch)
	_, macs, err := w.SystemCountsForTest(always)
	w.must(err)
	if want := map[uint32]uint64{1: 1, 2: 1}; !maps.Equal(macs, want) {
		t.Errorf("idempotency keys by generation: %v, want %v", macs, want)
	}
	w.now = w.now.Add(25 * 60 * 60 * 1e9)
	w.must(second(w.Sweep(always)))
	if _, macs, err = w.SystemCountsForTest(always); err != nil || len(macs) != 0 {
		t.Errorf("idempotency keys by generation after a day: %v, %v", macs, err)
	}
}

// TestASecretIsRememberedAcrossMACKeys rotates both keys of the system in
// between the making of a secret and its commit.
func TestASecretIsRememberedAcrossMACKeys(t *testing.T) {
	w, e := between(t)
	_, _, err := w.PutClient(always, w.root, "cl", store.ClientSpec{}, store.Precondition{})
	w.must(err)
	o := store.WriteOptions{IdempotencyKey: "k", Route: "r", Request: []byte("q")}
	e.before = func() {
		w.promote("", envelope.PurposeSystemMAC, 2)
		w.promote("", envelope.PurposeSystem, 2)
	}
	made, err := w.CreateSecret(always, w.root, "cl", 0, o)
	w.must(err)
	_, err = w.CreateSecret(always, w.root, "cl", 0, o)
	replayed, ok := err.(*store.SecretReplayed)
	if !ok || replayed.SecretID != made.ID {
		t.Errorf("the second time: %v", err)
	}
	if all := w.secrets(); len(all) != 1 {
		t.Errorf("%d secrets, want 1", len(all))
	}
}

// FuzzGeneration holds what is decoded against what is encoded again.
func FuzzGeneration(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 7, 3, 1, 0, 0, 0, 1, 3, 1, 0, 0, 0, 2, 2, 2, 0, 0, 0, 1, 2})
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, states, ok := store.GenerationForTest(b)
		if ok && !bytes.Equal(again, b) {
			t.Errorf("%x is encoded as %x", b, again)
		}
		primaries := 0
		for _, s := range states {
			if s == "primary" {
				primaries++
			}
		}
		if ok && len(b) > 0 && b[0] == 2 && len(states) == int(b[9]) && primaries != 2 {
			t.Errorf("%x has %d primary keys", b, primaries)
		}
	})
}

// TestAKeysetThatWasDestroyedStaysSo puts a destroyed keyset back on the disk.
func TestAKeysetThatWasDestroyedStaysSo(t *testing.T) {
	w := newWorld(t, storetest.Options{Unchecked: true})
	ref := w.create(`{"email":"a@b.c"}`)
	var key, blob []byte
	w.must(w.Engine.View(always, func(tx kv.ReadTx) error {
		tx.Scan(kv.Keysets, nil, nil, func(k, v []byte) bool {
			if k[16] == byte(envelope.PurposeWrapping) {
				key, blob = bytes.Clone(k), bytes.Clone(v)
			}
			return true
		})
		return nil
	}))
	w.promote("acme", envelope.PurposeWrapping, 2)
	w.must(w.SetKeyForTest(always, "acme", envelope.PurposeWrapping, 1, 0))
	w.must(w.Engine.Update(always, kv.Interactive, 0, func(tx kv.Tx) error { tx.Put(kv.Keysets, key, blob); return nil }))
	w.must(w.RefreshForTest(always, "acme"))
	_, err := w.GetRecord(always, w.root, ref, store.ReadOptions{})
	wantErr(t, err, store.ErrIntegrity)
	report, err := w.Fsck(always, store.FsckOptions{})
	w.must(err)
	if len(report.Damages) == 0 || report.Damages[0].Kind != "keyset" {
		t.Errorf("damages are %v, want one of a keyset", report.Damages)
	}
}
