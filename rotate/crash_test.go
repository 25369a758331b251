package rotate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/envelope"
	"strongroom/store"
)

// Every call of every depth, forward and back, is failed once: the process is
// killed before its effect and after it, and the write fails without and with
// being stored. The rotation ends all the same.
func TestFailureAtEveryCall(t *testing.T) {
	ways := map[string]struct {
		err   error
		after bool
	}{
		"killed before":            {errCrash, false},
		"killed after":             {errCrash, true},
		"failed and not persisted": {store.ErrNotPersisted, false},
		"failed but persisted":     {store.ErrOutcomeUnknown, true},
	}
	for _, depth := range []Depth{DepthKEK, DepthKeyset, DepthData} {
		for _, back := range []bool{false, true} {
			if back && depth == DepthKEK {
				continue
			}
			for name, way := range ways {
				t.Run(fmt.Sprintf("%s back=%t %s", depth, back, name), func(t *testing.T) {
					reached := 0
					for at := 1; failAt(t, depth, back, at, way.err, way.after); at++ {
						reached = at
					}
					if reached < 8 {
						t.Fatalf("only %d calls were failed", reached)
					}
				})
			}
		}
	}
}

// failAt fails the call with a number of those after the rotation was made, and
// reports whether there was one.
func failAt(t *testing.T, depth Depth, back bool, at int, err error, after bool) bool {
	w := newWorld(t, "acme")
	w.fill(6000)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: depth, Retire: true})
	if back {
		w.at(made.ID, StepGrace)
		if _, err := w.m.Rollback(t.Context(), operator, made.ID); err != nil {
			t.Fatal(err)
		}
	}
	until, failed := w.model.calls+at, false
	w.model.fail = func(_ string, late bool) error {
		if w.model.calls != until || late != after {
			return nil
		}
		failed = true
		w.model.crashed = errors.Is(err, errCrash)
		return err
	}
	r := w.outlast(t, made.ID)
	w.sound(t)
	if want := map[bool]State{false: StateDone, true: StateRolledBack}[back]; r.State != want {
		t.Fatalf("failed at call %d: %s", at, r.State)
	}
	if depth != DepthKEK {
		w.only(t, w.model.domains[0], "wrapping")
	}
	if d := w.model.domains[0]; !back && (d.latest != 2 || d.below(2) > 0) {
		t.Fatalf("failed at call %d: version %d of the KEK, %d keysets below 2", at, d.latest, d.below(2))
	}
	return failed
}

// outlast steps until a rotation ended, with a new process whenever one was
// killed.
func (w *world) outlast(t interface{ Fatalf(string, ...any) }, id string) Rotation {
	for range 20_000 {
		if w.model.crashed {
			w.restart()
		}
		w.step(time.Hour)
		if w.model.crashed {
			continue
		}
		r, err := w.m.Get(w.t.Context(), operator, id)
		if err == nil && (r.State.Ended() || r.State == StateFailed) {
			return r
		}
	}
	t.Fatalf("the rotation never ended")
	return Rotation{}
}

// Whatever an operator does in whatever order, and whatever fails meanwhile, no
// value is ever under a key that opens nothing, no key is destroyed that was not
// verified, and in the end everything is at an end.
func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, "acme", "globex")
		w.fill(rapid.IntRange(0, 400).Draw(rt, "values"))
		w.model.load = store.Load{}
		rt.Repeat(map[string]func(*rapid.T){
			"":         func(rt *rapid.T) { w.sound(rt) },
			"create":   w.anyRotation,
			"operate":  w.anyOperation,
			"step":     w.anySteps,
			"kill":     func(*rapid.T) { w.restart() },
			"failure":  w.anyFailure,
			"outage":   func(rt *rapid.T) { w.model.keysAway = rapid.Bool().Draw(rt, "away") },
			"busy":     func(rt *rapid.T) { w.model.busy = rapid.Bool().Draw(rt, "busy") },
			"requests": func(rt *rapid.T) { w.anyRequests(rt) },
		})
		w.bringToEnd(rt)
	})
}

func (w *world) anyRotation(rt *rapid.T) {
	_, _ = w.m.Create(w.t.Context(), operator, Request{
		Integrations: []string{rapid.SampledFrom([]string{"acme", "globex", "*"}).Draw(rt, "integrations")},
		System:       rapid.Bool().Draw(rt, "system"),
		Depth:        rapid.SampledFrom([]Depth{DepthKEK, DepthKeyset, DepthData}).Draw(rt, "depth"),
		Retire:       rapid.Bool().Draw(rt, "retire"), Trim: rapid.Bool().Draw(rt, "trim"),
		Rate: rapid.SampledFrom([]uint64{0, 0, 10}).Draw(rt, "rate"),
	})
}

func (w *world) anyOperation(rt *rapid.T) {
	all, err := w.m.List(w.t.Context(), operator)
	if err != nil || len(all) == 0 {
		return
	}
	id := rapid.SampledFrom(all).Draw(rt, "rotation").ID
	ctx := w.t.Context()
	switch rapid.SampledFrom([]string{"pause", "resume", "cancel", "rollback", "throttle"}).Draw(rt, "operation") {
	case "pause":
		_, _ = w.m.Pause(ctx, operator, id)
	case "resume":
		_, _ = w.m.Resume(ctx, operator, id)
	case "cancel":
		_, _ = w.m.Cancel(ctx, operator, id)
	case "rollback":
		_, _ = w.m.Rollback(ctx, operator, id)
	case "throttle":
		_, _ = w.m.Throttle(ctx, operator, id, rapid.Uint64Range(0, 100).Draw(rt, "rate"))
	}
}

func (w *world) anySteps(rt *rapid.T) {
	for range rapid.IntRange(1, 20).Draw(rt, "steps") {
		if w.model.crashed {
			w.restart()
		}
		w.step(time.Hour)
	}
}

// anyFailure fails one of the next calls.
func (w *world) anyFailure(rt *rapid.T) {
	at := w.model.calls + rapid.IntRange(1, 30).Draw(rt, "call")
	err := rapid.SampledFrom([]error{errCrash, store.ErrNotPersisted, store.ErrOutcomeUnknown, store.ErrIntegrity, store.ErrKeyRefused}).Draw(rt, "error")
	late := rapid.Bool().Draw(rt, "after its effect") && !errors.Is(err, store.ErrNotPersisted)
	w.model.fail = func(_ string, after bool) error {
		if w.model.calls != at || after != late {
			return nil
		}
		w.model.crashed = errors.Is(err, errCrash)
		return err
	}
}

// anyRequests are writes and deletes of clients.
func (w *world) anyRequests(rt *rapid.T) {
	d := rapid.SampledFrom(w.model.domains).Draw(rt, "domain")
	for range rapid.IntRange(0, 5).Draw(rt, "writes") {
		w.model.write(d)
	}
	for p, values := range d.values {
		if len(values) > 0 {
			d.values[p] = values[:len(values)-1]
		}
	}
}

// bringToEnd lifts every trouble, resumes what failed or was paused, and has all
// rotations end.
func (w *world) bringToEnd(rt *rapid.T) {
	w.model.fail, w.model.keysAway, w.model.busy = nil, false, false
	w.restart()
	system := w.model.domains[len(w.model.domains)-1]
	for range 20_000 {
		system.values[envelope.PurposeSystemMAC] = nil // idempotency keys end within a day
		all, err := w.m.List(w.t.Context(), operator)
		if err != nil {
			rt.Fatalf("list the rotations: %v", err)
		}
		open := 0
		for _, r := range all {
			if r.State.Ended() {
				continue
			}
			open++
			if r.State == StateFailed || r.State == StatePaused {
				if _, err := w.m.Resume(w.t.Context(), operator, r.ID); err != nil {
					rt.Fatalf("resume: %v", err)
				}
			}
			if r.Rate > 0 {
				_, _ = w.m.Throttle(w.t.Context(), operator, r.ID, 0)
			}
		}
		if open == 0 {
			w.atEnd(rt, all)
			return
		}
		w.step(time.Hour)
	}
	rt.Fatalf("the rotations never ended")
}

// atEnd checks what is left: where the last rotation of a domain was not given
// up, one key of each of its purposes.
func (w *world) atEnd(rt *rapid.T, all []Rotation) {
	w.sound(rt)
	for _, r := range all {
		for i := range r.Parts {
			rt.Fatalf("a list tells of part %d", i)
		}
	}
	for _, d := range w.model.domains {
		r := w.create(Request{Integrations: nonEmpty(d.Integration), System: d.System(), Depth: DepthData})
		for range 5000 {
			w.model.domains[len(w.model.domains)-1].values[envelope.PurposeSystemMAC] = nil
			if w.get(r.ID).State.Ended() {
				break
			}
			w.step(time.Hour)
		}
		if got := w.get(r.ID); got.State != StateDone {
			rt.Fatalf("one more rotation of %s: %+v", d.KeyDomain, got)
		}
		for _, k := range d.keys {
			if k.gone != (k.State != envelope.StatePrimary) {
				rt.Fatalf("%s: a key is left that is %s", d.KeyDomain, k.State)
			}
		}
	}
	w.sound(rt)
}

func nonEmpty(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}
