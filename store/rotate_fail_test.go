package store_test

import (
	"errors"
	"fmt"
	"testing"

	"strongroom/envelope"
	"strongroom/envelope/envelopetest"
	"strongroom/store"
	"strongroom/store/storetest"
)

// journey is a rotation of one domain that is kept in a row and goes on after
// every failure, as one does whose program was killed: by what is stored alone.
type journey struct {
	w        *world
	d        store.KeyDomain
	purposes []envelope.Purpose
	o        store.SweepOptions
	old, new []envelope.KeyRef
	failures int
	depart   func() // ahead of the first step; nil: nothing
}

// try calls a step again until it works.
func (j *journey) try(step func() error) {
	j.w.t.Helper()
	for range 4 {
		err := step()
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrNotPersisted) && !errors.Is(err, store.ErrOutcomeUnknown) && !errors.Is(err, store.ErrKeyServiceUnavailable) {
			j.w.t.Fatalf("a step failed with %v", err)
		}
		j.failures++
	}
	j.w.t.Fatal("a step fails for ever")
}

// row is the row of the rotation after so many steps.
func (j *journey) row(step uint64) store.Row {
	return store.Row{Kind: store.RowPart, ID: "part", Version: step, Doc: fmt.Appendf(nil, `{"step":%d}`, step)}
}

// travel makes the whole rotation.
func (j *journey) travel() {
	w := j.w
	j.old = w.inForce(j.d, j.purposes)
	if j.depart != nil {
		j.depart()
	}
	j.try(func() (err error) {
		j.new, err = w.AddKeysets(always, runner, j.d, j.purposes, j.row(0))
		return err
	})
	j.try(func() error { return w.PromoteKeysets(always, runner, j.d, j.new, j.row(1)) })
	j.sweep()
	j.try(func() error { return second(w.VerifyKeysets(always, runner, j.d, j.old, nil)) })
	j.try(func() error { return w.DisableKeysets(always, runner, j.d, j.old, j.row(2)) })
	j.try(func() error { return w.DestroyKeysets(always, runner, j.d, j.old, j.row(3)) })
	var latest int
	j.try(func() (err error) { latest, err = w.RotateKEK(always, runner, j.d, 1); return err })
	j.try(func() error { return second(w.RewrapKeysets(always, runner, j.d, j.row(4))) })
	j.try(func() error { return w.RetireKEK(always, runner, j.d, latest) })
	j.arrived(latest)
}

// sweep sweeps from the cursor of the last step that was told of.
func (j *journey) sweep() {
	var cursor store.Cursor
	for done := false; !done; {
		s := j.w.Sweeper(runner, j.d, withCursor(j.o, cursor))
		j.try(func() error {
			delta, err := s.Step(always, store.Budget{Entries: 3}, nil)
			if err == nil {
				cursor, done = delta.Cursor, delta.Done
			}
			return err
		})
	}
}

func withCursor(o store.SweepOptions, at store.Cursor) store.SweepOptions {
	o.From = at
	return o
}

// arrived looks at what the rotation leaves: the new keys alone, one row at its
// last version, every value.
func (j *journey) arrived(latest int) {
	w := j.w
	w.t.Helper()
	for range 2 {
		if got := w.inForce(j.d, j.purposes); fmt.Sprint(got) == fmt.Sprint(j.old) || len(got) != len(j.old) {
			w.t.Errorf("the keys in force are %v", got)
		}
		for _, k := range w.inventory(j.d).Keys {
			if want := map[uint32]string{1: store.KeyDestroyed, 2: "primary"}[k.Generation]; k.State != want || k.State == "primary" && k.KEKVersion != latest {
				w.t.Errorf("the inventory has %+v", k)
			}
		}
		if rows := w.rows(store.RowPart); len(rows) != 1 || rows[0].Version != 5 || string(rows[0].Doc) != `{"step":4}` {
			w.t.Errorf("the rows are %v", rows)
		}
		w.wantStocked(6)
		w.Reopen()
	}
	if left, err := w.KEKLeft(always, j.d, latest); err != nil || left != 0 {
		w.t.Errorf("%d keysets are left under old versions: %v", left, err)
	}
	if latest != 2 {
		w.t.Errorf("the KEK has %d versions", latest)
	}
}

// depths are the ways to rotate a domain.
var depths = map[string]struct {
	integration string
	purposes    []envelope.Purpose
	o           store.SweepOptions
}{
	"keyset":           {"acme", bothKinds, store.SweepOptions{Reindex: true}},
	"data":             {"acme", bothKinds, store.SweepOptions{Reindex: true, Reseal: true}},
	"system":           {"", systems, store.SweepOptions{}},
	"data, the system": {"", systems, store.SweepOptions{Reseal: true}},
}

func newJourney(t *testing.T, depth string) *journey {
	w := newWorld(t, storetest.Options{})
	w.stock(6)
	_, err := w.SigningKeys(always)
	w.must(err)
	d := depths[depth]
	return &journey{w: w, d: w.domain(d.integration), purposes: d.purposes, o: d.o}
}

// TestARotationSurvivesFailedCommits fails each commit of a rotation in every
// way, and goes on.
func TestARotationSurvivesFailedCommits(t *testing.T) {
	for depth := range depths {
		for i := range fates {
			t.Run(depth+" "+fates[i].name, func(t *testing.T) {
				t.Parallel()
				for skip := 0; ; skip++ {
					j := newJourney(t, depth)
					e := &fateful{Engine: j.w.Engine, skip: skip, fate: &fates[i]}
					j.w.Deps.Engine = e
					j.w.Reopen()
					j.travel()
					if !e.met {
						if skip < 6 || j.failures > 0 {
							t.Errorf("%d commits, %d failures", skip, j.failures)
						}
						return
					}
				}
			})
		}
	}
}

// TestARotationRunsTwice runs every transaction of a rotation twice.
func TestARotationRunsTwice(t *testing.T) {
	for depth := range depths {
		t.Run(depth, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, depth)
			j.w.Deps.Engine = &twice{j.w.Engine}
			j.w.Reopen()
			j.travel()
		})
	}
}

// TestARotationSurvivesTheKeyService fails each kind of call of the key service,
// before it takes effect and after.
func TestARotationSurvivesTheKeyService(t *testing.T) {
	for _, call := range []envelopetest.Call{envelopetest.CallWrap, envelopetest.CallUnwrap, envelopetest.CallRotate, envelopetest.CallDescribe, envelopetest.CallSetMinimum} {
		for _, when := range []envelopetest.Moment{envelopetest.Before, envelopetest.After} {
			for depth := range depths {
				t.Run(fmt.Sprint(depth, " ", call, " ", when), func(t *testing.T) {
					t.Parallel()
					j := newJourney(t, depth)
					j.depart = func() { j.w.Keys.FailNext(call, when) }
					j.travel()
					if j.failures == 0 {
						t.Error("nothing failed")
					}
				})
			}
		}
	}
}
