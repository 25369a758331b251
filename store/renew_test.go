package store_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/storetest"
)

const hauls = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["export","import","create","update","search","read"],
	"read":{"email":"clear","external_id":"clear"},"write":["email","external_id"],"search":["external_id"]}]}`

// A stream goes on for as long as its reader likes: what ends a token, a client
// or a role has to end it too.
func TestALongJobEndsWithWhatItWasAllowedBy(t *testing.T) {
	ctx := context.Background()
	ends := map[string]struct {
		do   func(w *world, c store.Caller)
		want error
	}{
		"the token is revoked": {func(w *world, c store.Caller) {
			by := store.VerifiedClient{Client: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID}
			w.must(w.RevokeToken(ctx, by, store.Attempt{}, store.IssuedToken{
				TokenRef: store.TokenRef{Client: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID, TokenID: c.TokenID}, Expires: w.now.Add(time.Hour)}))
		}, store.ErrUnauthenticated},
		"the client is disabled": {func(w *world, c store.Caller) {
			_, _, err := w.PutClient(ctx, w.root, c.Client, store.ClientSpec{Roles: c.Roles, Disabled: true}, store.Precondition{})
			w.must(err)
		}, store.ErrUnauthenticated},
		"the role is taken away": {func(w *world, c store.Caller) {
			_, _, err := w.PutClient(ctx, w.root, c.Client, store.ClientSpec{}, store.Precondition{})
			w.must(err)
		}, store.ErrForbidden},
		"the role grants nothing": {func(w *world, c store.Caller) {
			_, _, err := w.PutRole(ctx, w.root, c.Roles[0], []byte(emptyRole), store.Precondition{})
			w.must(err)
		}, store.ErrForbidden},
		"another role changes": {func(w *world, _ store.Caller) {
			_, _, err := w.PutRole(ctx, w.root, "another", []byte(emptyRole), store.Precondition{})
			w.must(err)
		}, nil},
	}
	jobs := map[string]func(w *world, c store.Caller, meanwhile func()) error{
		"export": func(w *world, c store.Caller, meanwhile func()) error {
			n := 0
			_, err := w.ExportRecords(ctx, c, customers, store.ListOptions{}, func(*store.Record) error {
				if n++; n == 1 {
					meanwhile()
				}
				return nil
			})
			return err
		},
		"import": func(w *world, c store.Caller, meanwhile func()) error {
			return w.haul(c, store.ImportOptions{}, 6, meanwhile)
		},
		"import of upserts": func(w *world, c store.Caller, meanwhile func()) error {
			return w.haul(c, store.ImportOptions{Upsert: true, Key: "external_id", OnConflict: store.Merge}, 6, meanwhile)
		},
	}
	for how, end := range ends {
		for what, job := range jobs {
			t.Run(what+" and "+how, func(t *testing.T) {
				w := newWorld(t, storetest.Options{})
				if what == "export" {
					w.must(w.haul(w.root, store.ImportOptions{}, 520, func() {}))
				}
				c := *w.client("hauler", hauls)
				c.TokenID = "t1"
				err := job(w, &c, func() { end.do(w, &c) })
				if end.want == nil {
					w.must(err)
					return
				}
				wantErr(t, err, end.want)
			})
		}
	}
}

// haul imports lines, few of them so long that two make a chunk; meanwhile runs
// when the first is stored.
func (w *world) haul(c store.Caller, o store.ImportOptions, lines int, meanwhile func()) error {
	n, told := 0, false
	blanks := bytes.Repeat([]byte{' '}, 300<<10)
	if lines > 100 {
		blanks = nil
	}
	next := func() (store.ImportLine, bool) {
		n++
		raw := fmt.Appendf(nil, `{"email":"i@b.c","external_id":"h%d"}`, n)
		return store.ImportLine{Number: n, Raw: append(raw, blanks...)}, n <= lines
	}
	o.Decode = func(raw []byte) (store.RecordInput, error) { return input(string(bytes.TrimSpace(raw))), nil }
	return w.ImportRecords(context.Background(), c, customers, o, next, func(store.ImportResult) error {
		if !told {
			told = true
			meanwhile()
		}
		return nil
	})
}

// A scope that a token has goes on narrowing what its client is given meanwhile.
func TestALongJobStaysWithinItsScope(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	w.must(w.haul(w.root, store.ImportOptions{}, 520, func() {}))
	full := w.client("hauler", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["export"],"read":{"email":"clear"}}]}`)
	scope, err := access.ParseScope("export:acme/customers")
	w.must(err)
	c := *full
	c.Policy, c.Scopes = full.Policy.Narrow(scope), scope.Names()
	n, wider := 0, false
	_, err = w.ExportRecords(ctx, &c, customers, store.ListOptions{}, func(r *store.Record) error {
		if n++; n == 1 {
			_, _, err := w.PutRole(ctx, w.root, full.Roles[0], []byte(hauls), store.Precondition{})
			w.must(err)
		}
		wider = wider || len(r.Fields) > 1
		return nil
	})
	w.must(err)
	if !wider || n != 520 {
		t.Errorf("the role that grew is not heeded, or the export is short: %v, %d", wider, n)
	}
	elsewhere, err := access.ParseScope("export:globex")
	w.must(err)
	c.Policy, c.Scopes = full.Policy.Narrow(elsewhere), elsewhere.Names()
	_, err = w.ExportRecords(ctx, &c, customers, store.ListOptions{}, func(*store.Record) error { return nil })
	wantErr(t, err, store.ErrForbidden)
}
