package rotate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

var customers = store.CollectionRef{Integration: "acme", Collection: "customers"}

// real is a Manager over a real store, which fsck reads at the end.
type real struct {
	*storetest.Fixture
	t     *testing.T
	ticks atomic.Int64 // the clock, in unix nanoseconds: the store reads it in goroutines of its own
	m     *Manager
}

func newReal(t *testing.T, records int) *real {
	t.Helper()
	return newRealWith(t, records, storetest.Options{})
}

func newRealWith(t *testing.T, records int, o storetest.Options) *real {
	t.Helper()
	r := &real{t: t}
	r.ticks.Store(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).UnixNano())
	o.Now = r.now
	r.Fixture = storetest.OpenWith(t, o)
	spec := store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{
		"email":{"type":"string","x-index":"exact"},"external_id":{"type":"string","x-index":"unique"},"card":{"type":"string"}}}`)}
	_, _, err := r.PutIntegration(t.Context(), r.Root(), "acme", store.IntegrationSpec{}, store.Precondition{})
	r.must(err)
	_, _, err = r.PutCollection(t.Context(), r.Root(), customers, spec, store.Precondition{})
	r.must(err)
	for i := range records {
		r.write(i)
	}
	r.manage()
	return r
}

func (r *real) now() time.Time { return time.Unix(0, r.ticks.Load()).UTC() }

func (r *real) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *real) write(i int) {
	r.t.Helper()
	in := store.RecordInput{ID: fmt.Sprintf("r%03d", i), Fields: fmt.Appendf(nil, `{"email":"a%d@b.c","external_id":"x%d","card":"%d"}`, i, i, i)}
	_, err := r.CreateRecord(r.t.Context(), r.Root(), customers, in, store.WriteOptions{})
	r.must(err)
}

// manage is a new process, as far as rotations are concerned.
func (r *real) manage() {
	r.m = New(Options{Store: Of(r.Store), Now: r.now, Logger: slog.New(slog.DiscardHandler)})
}

// finish carries a rotation to its end, with a new process every few steps and a
// record written now and then, and returns it with how many there are.
func (r *real) finish(id string, records int) (Rotation, int) {
	r.t.Helper()
	for step := range 3000 {
		if wait := r.m.advance(context.Background()); wait > 0 {
			r.ticks.Add(int64(min(wait, time.Hour)))
		}
		if step%7 == 6 {
			r.Reopen()
			r.manage()
		}
		if step%11 == 3 && records < 80 {
			r.write(records)
			records++
		}
		out, err := r.m.Get(r.t.Context(), r.Root(), id)
		r.must(err)
		if out.State.Ended() {
			return out, records
		}
		if out.State == StateFailed {
			r.t.Fatalf("the rotation failed: %s", out.Detail)
		}
	}
	r.t.Fatal("the rotation never ended")
	return Rotation{}, records
}

// readable reads every record, by id and by its unique value.
func (r *real) readable(records int) {
	r.t.Helper()
	for i := range records {
		where := []schema.Value{{Path: "external_id", JSON: fmt.Appendf(nil, `"x%d"`, i)}}
		got, err := r.LookupRecord(r.t.Context(), r.Root(), customers, where, store.ReadOptions{Fields: []string{"email"}})
		r.must(err)
		if got.ID != fmt.Sprintf("r%03d", i) {
			r.t.Fatalf("value x%d is looked up as %s", i, got.ID)
		}
	}
}

// alive returns the generations of the keys that are left, by purpose.
func (r *real) alive() map[string][]uint32 {
	r.t.Helper()
	all, err := r.Store.Keys(r.t.Context(), r.Root())
	r.must(err)
	out := map[string][]uint32{}
	for _, d := range all {
		for _, k := range d.Keys {
			if k.State != store.KeyDestroyed {
				out[k.Purpose] = append(out[k.Purpose], k.Generation)
			}
		}
	}
	return out
}

func TestRealStore(t *testing.T) {
	for _, depth := range []Depth{DepthKEK, DepthKeyset, DepthData} {
		t.Run(string(depth), func(t *testing.T) {
			t.Parallel()
			r := newReal(t, 40)
			made, err := r.m.Create(t.Context(), r.Root(), Request{Integrations: []string{"*"}, System: true, Depth: depth, Retire: true})
			r.must(err)
			out, records := r.finish(made.ID, 40)
			if out.State != StateDone {
				t.Fatalf("the rotation: %+v", out)
			}
			r.readable(records)
			r.wantGenerations(depth)
			r.wantReport(out)
		})
	}
}

func (r *real) wantGenerations(depth Depth) {
	r.t.Helper()
	alive := r.alive()
	want := map[string]uint32{"wrapping": 2, "index": 1, "system": 2}
	switch depth {
	case DepthKEK:
		want = map[string]uint32{"wrapping": 1, "index": 1, "system": 1}
	case DepthData:
		want["index"] = 2
	}
	for purpose, generation := range want {
		if !slices.Equal(alive[purpose], []uint32{generation}) {
			r.t.Errorf("keys of the purpose %s that are left: %v, want %d", purpose, alive[purpose], generation)
		}
	}
}

func (r *real) wantReport(out Rotation) {
	r.t.Helper()
	text, err := r.m.Report(r.t.Context(), r.Root(), out.ID)
	r.must(err)
	var keys []string
	for _, k := range r.AttestKeys() {
		keys = append(keys, k.Key)
	}
	report, err := VerifyReport(text, keys)
	r.must(err)
	if !report.Proven || report.StoreUID != r.Store.UID() || len(report.Rotation.Parts) != len(out.Parts) {
		r.t.Errorf("the report: %+v", report)
	}
	for _, p := range report.Rotation.Parts {
		if len(p.Purposes) > 0 && (p.Scan == nil || p.Scan.Values == 0 || p.Scan.Left != 0) && !p.has(purposeMAC) {
			r.t.Errorf("%s: the scan: %+v", p.KeyDomain, p.Scan)
		}
	}
}

func TestRealRollback(t *testing.T) {
	r := newReal(t, 40)
	made, err := r.m.Create(t.Context(), r.Root(), Request{Integrations: []string{"acme"}, Depth: DepthData})
	r.must(err)
	for range 200 {
		if out, err := r.m.Get(t.Context(), r.Root(), made.ID); err != nil || out.Parts[0].Step == StepGrace {
			break
		}
		if wait := r.m.advance(context.Background()); wait > 0 {
			r.ticks.Add(int64(min(wait, time.Second)))
		}
	}
	back, err := r.m.Rollback(t.Context(), r.Root(), made.ID)
	r.must(err)
	if back.Parts[0].Step != StepBackEnable {
		t.Fatalf("it was rolled back from elsewhere: %+v", back)
	}
	out, records := r.finish(made.ID, 40)
	if out.State != StateRolledBack {
		t.Fatalf("the rotation: %+v", out)
	}
	r.readable(records)
	if alive := r.alive(); !slices.Equal(alive["wrapping"], []uint32{1}) || !slices.Equal(alive["index"], []uint32{1}) {
		t.Fatalf("keys that are left: %v", alive)
	}
}

// The key service goes away before each step, for a while. The rotation waits,
// says so when it needs the service, and ends.
func TestRealKeyServiceAway(t *testing.T) {
	r := newReal(t, 10)
	grace := Span(time.Minute)
	made, err := r.m.Create(t.Context(), r.Root(), Request{Integrations: []string{"acme"}, Depth: DepthData, Grace: &grace})
	r.must(err)
	waited := map[Step]bool{}
	for range 400 {
		r.Keys.Unavailable(true)
		for range 3 {
			r.m.advance(context.Background())
			r.ticks.Add(int64(15 * time.Second))
		}
		out, err := r.m.Get(t.Context(), r.Root(), made.ID)
		r.must(err)
		if out.State == StateWaiting {
			waited[out.Parts[0].Step] = true
		}
		r.Keys.Unavailable(false)
		r.m.advance(context.Background())
		r.ticks.Add(int64(15 * time.Second))
		if out.State.Ended() {
			break
		}
	}
	out, _ := r.finish(made.ID, 80)
	if out.State != StateDone {
		t.Fatalf("the rotation: %+v", out)
	}
	if !waited[StepAdd] || !waited[StepKEKRotate] {
		t.Fatalf("it never said that it waits for the key service: %v", waited)
	}
	r.readable(10)
}
