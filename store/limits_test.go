package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/internal/audit"
	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

const readsEverything = `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read","list","search","export","history"],"read":{"*":"clear","email":"clear","card":"clear"},"search":["email"]}]}`

// counted is a world in which a limiter counts, by the time of the world.
func counted(t *testing.T) (*world, *limits.Limiter) {
	t.Helper()
	var w *world
	l := limits.New(func() time.Time {
		if w == nil {
			return time.Time{}
		}
		return w.now
	})
	w = newWorld(t, storetest.Options{Counting: l})
	return w, l
}

func (w *world) limit(name, raw string) {
	w.t.Helper()
	_, _, err := w.PutLimit(context.Background(), w.root, name, []byte(raw), store.Precondition{})
	w.must(err)
}

func TestBudgetBoundsEveryWayOfReading(t *testing.T) {
	ctx := context.Background()
	ways := map[string]func(w *world, c store.Caller, refs []store.RecordRef) error{
		"read": func(w *world, c store.Caller, refs []store.RecordRef) error {
			for _, ref := range refs {
				if _, err := w.GetRecord(ctx, c, ref, store.ReadOptions{}); err != nil {
					return err
				}
			}
			return nil
		},
		"one field": func(w *world, c store.Caller, refs []store.RecordRef) error {
			for _, ref := range refs {
				if _, err := w.GetField(ctx, c, ref, "amount", store.ReadOptions{}); err != nil {
					return err
				}
			}
			return nil
		},
		"list": func(w *world, c store.Caller, _ []store.RecordRef) error {
			return pages(func(cursor string) (store.Page, error) {
				return w.ListRecords(ctx, c, customers, store.ListOptions{AllFields: true, Cursor: cursor})
			})
		},
		"search": func(w *world, c store.Caller, _ []store.RecordRef) error {
			return pages(func(cursor string) (store.Page, error) {
				return w.SearchRecords(ctx, c, customers, store.SearchOptions{Where: []schema.Value{{Path: "email", JSON: []byte(`"ann@example.com"`)}}, Cursor: cursor})
			})
		},
		"export": func(w *world, c store.Caller, _ []store.RecordRef) error {
			_, err := w.ExportRecords(ctx, c, customers, store.ListOptions{}, func(*store.Record) error { return nil })
			return err
		},
		"lookup": func(w *world, c store.Caller, refs []store.RecordRef) error {
			for i := range refs {
				where := []schema.Value{{Path: "external_id", JSON: fmt.Appendf(nil, `"evt_%d"`, i)}}
				if _, err := w.LookupRecord(ctx, c, customers, where, store.ReadOptions{}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, read := range ways {
		t.Run(name, func(t *testing.T) {
			w, l := counted(t)
			var refs []store.RecordRef
			for i := range 8 {
				refs = append(refs, w.create(fmt.Sprintf(`{"email":"ann@example.com","amount":%d,"external_id":"evt_%d"}`, i, i)))
			}
			w.limit("reads", `{"per":"client","clients":["thief"],"exposure":{"records":[{"limit":5,"window":"1h"}],"when_exhausted":"refuse"}}`)
			role := strings.Replace(readsEverything, `"search":["email"]`, `"search":["email","external_id"]`, 1)
			thief := w.client("thief", role)
			wantErr(t, read(w, thief, refs), limits.ErrExposure)
			if used := l.Use("reads").Exposure; len(used) != 1 || used[0].Used != 5 {
				t.Errorf("it has read %+v", used)
			}
			w.must(read(w, w.client("other", role), refs))
			denied := audited(t, w.AuditDir, audit.Filter{Client: "thief"})
			if last := denied[len(denied)-1]; last.Outcome != audit.Denied || last.Code != "exposure_exhausted" {
				t.Errorf("audited as %s %s", last.Outcome, last.Code)
			}
		})
	}
}

// pages reads a list to its end.
func pages(page func(cursor string) (store.Page, error)) error {
	for cursor := ""; ; {
		p, err := page(cursor)
		if err != nil {
			return err
		}
		if cursor = p.Next; cursor == "" {
			return nil
		}
	}
}

func TestMetadataAndNotModifiedCostNothing(t *testing.T) {
	ctx := context.Background()
	w, l := counted(t)
	ref := w.create(fullRecord)
	w.limit("reads", `{"per":"client","exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"refuse"}}`)
	c := w.client("reader", readsEverything)
	if _, err := w.ListRecords(ctx, c, customers, store.ListOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := w.GetRecord(ctx, c, ref, store.ReadOptions{Metadata: true}); err != nil {
		t.Error(err)
	}
	if used := l.Use("reads").Exposure; len(used) != 0 {
		t.Errorf("metadata counts: %+v", used)
	}
}

func TestExhaustedBudgetRedacts(t *testing.T) {
	ctx := context.Background()
	w, _ := counted(t)
	first, second := w.create(fullRecord), w.create(`{"email":"bob@example.com","card":"1234567812345678"}`)
	c := w.client("reader", readsEverything)
	clear, err := w.GetRecord(ctx, c, second, store.ReadOptions{})
	w.must(err)
	w.limit("reads", `{"per":"client","exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`)
	if got := w.read(c, first); !strings.Contains(got, "ann@example.com") {
		t.Errorf("within the budget: %s", got)
	}
	rec, err := w.GetRecord(ctx, c, second, store.ReadOptions{})
	w.must(err)
	if got := string(schema.Join(rec.Fields)); got != `{"email":"****","card":"****"}` || len(rec.Masked) != 2 {
		t.Errorf("beyond it: %s, masked %v", got, rec.Masked)
	}
	if rec.ETag == clear.ETag {
		t.Error("the redacted record has the tag of the clear one")
	}
	field, err := w.GetField(ctx, c, second, "card", store.ReadOptions{})
	if err != nil || string(field.JSON) != `"****"` || !field.Masked {
		t.Errorf("one field: %s, %v", field.JSON, err)
	}
	for _, e := range audited(t, w.AuditDir, audit.Filter{Client: "reader"}) {
		if e.Record == second.Record && len(e.Fields) > 0 && len(e.Masked) > 0 {
			t.Errorf("audited as clear: %+v", e)
		}
	}
}

func TestThrottledReadWaits(t *testing.T) {
	ctx := context.Background()
	w, _ := counted(t)
	refs := []store.RecordRef{w.create(fullRecord), w.create(withoutFields), w.create(`{"email":"c@example.com"}`)}
	w.limit("reads", `{"per":"client","exposure":{"records":[{"limit":1,"window":"1s"}],"when_exhausted":"throttle"}}`)
	c := w.client("reader", readsEverything)
	for _, ref := range refs[:2] {
		_, err := w.GetRecord(ctx, c, ref, store.ReadOptions{})
		w.must(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.GetRecord(ended, c, refs[2], store.ReadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a read that has to wait and can't: %v", err)
	}
}

func TestLimitsAreKeptAndAudited(t *testing.T) {
	ctx := context.Background()
	w, _ := counted(t)
	w.limit("reads", `{"per":"client","exposure":{"records":[{"limit":1,"window":"24h"}],"when_exhausted":"refuse"}}`)
	first, second := w.create(fullRecord), w.create(withoutFields)
	c := w.client("reader", readsEverything)
	w.read(c, first)
	w.must(w.SaveCounts(ctx))
	w.must(w.Engine.View(ctx, func(tx kv.ReadTx) error {
		tx.Scan(kv.Control, nil, nil, func(_, value []byte) bool {
			if strings.Contains(string(value), "reader") {
				t.Error("a count lies on the disk in the clear")
			}
			return true
		})
		return nil
	}))
	w.Deps.Counting = limits.New(func() time.Time { return w.now })
	w.Reopen()
	got, err := w.GetLimit(ctx, w.root, "reads")
	if err != nil || got.Builtin || got.Limit.Exposure.Records[0].Limit != 1 || len(got.Use.Exposure) != 1 {
		t.Errorf("after the restart: %+v, %v", got, err)
	}
	_, err = w.GetRecord(ctx, c, second, store.ReadOptions{})
	wantErr(t, err, limits.ErrExposure)
	w.must(w.DeleteLimit(ctx, w.root, "reads"))
	w.read(c, second)
	w.must(w.SaveCounts(ctx)) // nothing is left to keep
	puts := 0
	for _, e := range audited(t, w.AuditDir, audit.Filter{}) {
		if e.Target == "limit/reads" && e.Phase == audit.Outcome && e.Outcome == audit.Allowed {
			puts++
		}
	}
	if puts != 2 {
		t.Errorf("%d changes are audited", puts)
	}
}

func TestWhoMayDoWhatWithLimits(t *testing.T) {
	ctx := context.Background()
	w, _ := counted(t)
	c := w.client("reader", readsEverything)
	raw := []byte(`{"per":"client","concurrency":1}`)
	put := func(caller store.Caller, name string, raw []byte) error {
		_, _, err := w.PutLimit(ctx, caller, name, raw, store.Precondition{})
		return err
	}
	var bad *store.Invalid
	if err := put(w.root, "x", []byte(`{"per":"client"}`)); !errors.As(err, &bad) {
		t.Errorf("an empty limit: %v", err)
	}
	tell(t, []story{
		{"reader", "put a limit", func() error { return put(c, "x", raw) }, store.ErrForbidden},
		{"reader", "list limits", func() error { _, err := w.ListLimits(ctx, c); return err }, store.ErrForbidden},
		{"reader", "delete a limit", func() error { return w.DeleteLimit(ctx, c, "default-token") }, store.ErrForbidden},
		{"root", "read a built-in limit", func() error { _, err := w.GetLimit(ctx, w.root, "default-token"); return err }, nil},
		{"root", "read none", func() error { _, err := w.GetLimit(ctx, w.root, "none"); return err }, store.ErrNotFound},
		{"root", "delete a built-in limit", func() error { return w.DeleteLimit(ctx, w.root, "default-token") }, store.ErrNotFound},
		{"root", "put in its place", func() error { return put(w.root, "default-token", raw) }, nil},
	})
	for i := range limits.MaxLimits - 1 {
		w.must(put(w.root, fmt.Sprintf("l-%d", i), raw))
	}
	wantErr(t, put(w.root, "one-more", raw), store.ErrConflict)
}

func TestBlocksAreAudited(t *testing.T) {
	w, _ := counted(t)
	until := time.Date(2026, 3, 1, 12, 15, 0, 0, time.UTC)
	w.NoteGuard(limits.GuardEvent{Blocked: true, Client: "invoicing", Address: "203.0.113.9", Until: until})
	w.NoteGuard(limits.GuardEvent{Client: "invoicing", Address: "203.0.113.9"})
	var told []string
	for _, e := range audited(t, w.AuditDir, audit.Filter{Client: "invoicing"}) {
		told = append(told, e.Event+" "+e.Address+" "+e.Detail)
	}
	want := []string{"authentication_blocked 203.0.113.9 until 2026-03-01T12:15:00Z", "authentication_unblocked 203.0.113.9 "}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("audited %q", told)
	}
}
