package store_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

func rotationRow(id string, version uint64, doc string) store.Row {
	return store.Row{Kind: store.RowRotation, ID: id, Version: version, Doc: json.RawMessage(doc)}
}

func (w *world) rows(kind store.RowKind) []store.Row {
	w.t.Helper()
	rows, err := w.Rows(always, kind)
	w.must(err)
	return rows
}

func TestRowsAreKeptByVersion(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	c := store.Internal("rotate")
	w.must(w.PutRows(always, c, "rotate", rotationRow("b", 0, `{"n":1}`), rotationRow("a", 0, `{}`)))
	w.must(w.PutRows(always, c, "rotate", rotationRow("b", 1, `{"n":2}`)))
	w.Reopen()
	want := []store.Row{rotationRow("a", 1, `{}`), rotationRow("b", 2, `{"n":2}`)}
	if diff := cmp.Diff(want, w.rows(store.RowRotation)); diff != "" {
		t.Error(diff)
	}
	if other := w.rows(store.RowPart); len(other) != 0 {
		t.Errorf("another kind has %d rows", len(other))
	}
	w.must(w.PutRows(always, c, "forget", store.Row{Kind: store.RowRotation, ID: "b", Version: 2}))
	if diff := cmp.Diff(want[:1], w.rows(store.RowRotation)); diff != "" {
		t.Error(diff)
	}
}

func TestARowThatChangedMeanwhileIsAConflict(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	c := store.Internal("rotate")
	w.must(w.PutRows(always, c, "rotate", rotationRow("a", 0, `{}`)))
	before := w.everything()
	for _, version := range []uint64{0, 2} {
		err := w.PutRows(always, c, "rotate", rotationRow("new", 0, `{}`), rotationRow("a", version, `{"x":1}`))
		var conflict *store.Conflict
		if !errors.Is(err, store.ErrConflict) || !errors.As(err, &conflict) {
			t.Errorf("in place of version %d: %v", version, err)
		}
	}
	if w.everything() != before {
		t.Error("something was written")
	}
}

func TestRowsAreRefused(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	for name, row := range map[string]store.Row{
		"another kind": {Kind: "role", ID: "a", Doc: []byte(`{}`)}, "no id": {Kind: store.RowPart, Doc: []byte(`{}`)},
		"a zero byte": {Kind: store.RowPart, ID: "a\x00b", Doc: []byte(`{}`)}, "no JSON": {Kind: store.RowPart, ID: "a", Doc: []byte(`{`)},
	} {
		if err := w.PutRows(always, store.Internal("rotate"), "rotate", row); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for role, want := range map[string]error{access.RoleOperator: nil, access.RoleAdministrator: store.ErrForbidden, access.RoleAuditor: store.ErrForbidden} {
		c := &access.Principal{Client: "c", Policy: access.NewPolicy(nil, []string{role}, false)}
		if err := w.PutRows(always, c, "rotate", rotationRow(role, 0, `{}`)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", role, err, want)
		}
	}
}

// TestADamagedRowHidesNoOther reads the rows next to one that does not open.
func TestADamagedRowHidesNoOther(t *testing.T) {
	w := newWorld(t, storetest.Options{Unchecked: true})
	w.must(w.PutRows(always, store.Internal("rotate"), "rotate", rotationRow("a", 0, `{}`), rotationRow("b", 0, `{}`)))
	w.must(w.Engine.Update(always, kv.Interactive, 1, func(tx kv.Tx) error {
		tx.Put(kv.Control, []byte("rotation\x00a"), tx.Get(kv.Control, []byte("rotation\x00b")))
		return nil
	}))
	rows, err := w.Rows(always, store.RowRotation)
	wantErr(t, err, store.ErrIntegrity)
	if diff := cmp.Diff([]store.Row{rotationRow("b", 1, `{}`)}, rows); diff != "" {
		t.Error(diff)
	}
}

// TestInternalCallersMayOnlyDoTheirWork holds what the program does by itself
// to keys and rows.
func TestInternalCallersMayOnlyDoTheirWork(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	c := store.Internal("rotate")
	_, _, err := w.PutIntegration(always, c, "new", store.IntegrationSpec{}, store.Precondition{})
	wantErr(t, err, store.ErrForbidden)
	_, err = w.CreateRecord(always, c, customers, input(`{}`), store.WriteOptions{})
	wantErr(t, err, store.ErrForbidden)
}
