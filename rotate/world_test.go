package rotate

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/audit"
)

// world is a Manager over a model, and a clock that only tests move.
type world struct {
	t      testing.TB
	clock  time.Time
	model  *model
	m      *Manager
	events []*audit.Entry
}

var operator = &access.Principal{Client: "ops", Policy: access.NewPolicy(nil, []string{access.RoleOperator}, false)}

func newWorld(t testing.TB, names ...string) *world {
	w := &world{t: t, clock: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)}
	w.model = newModel(w.now, names...)
	w.restart()
	return w
}

func (w *world) now() time.Time { return w.clock }

// restart is a new process over the same store.
func (w *world) restart() {
	w.model.crashed = false
	w.m = New(Options{Store: w.model, Now: w.now, Logger: slog.New(slog.DiscardHandler), Audit: func(e *audit.Entry) error {
		w.events = append(w.events, e)
		return nil
	}})
}

// step does one thing; when there is nothing to do it lets time pass, at most
// so much.
func (w *world) step(most time.Duration) {
	wait := w.m.advance(context.Background())
	if wait > 0 {
		w.clock = w.clock.Add(min(wait, most))
	}
}

// fill writes values into every domain.
func (w *world) fill(n int) {
	for _, d := range w.model.domains {
		for range n {
			w.model.write(d)
		}
	}
}

func (w *world) create(r Request) Rotation {
	w.t.Helper()
	made, err := w.m.Create(w.t.Context(), operator, r)
	if err != nil {
		w.t.Fatalf("create a rotation: %v", err)
	}
	return made
}

func (w *world) get(id string) Rotation {
	w.t.Helper()
	r, err := w.m.Get(w.t.Context(), operator, id)
	if err != nil {
		w.t.Fatalf("get the rotation: %v", err)
	}
	return r
}

// until steps until a rotation is as wanted.
func (w *world) until(id string, what string, ok func(Rotation) bool) Rotation {
	w.t.Helper()
	for range 5000 {
		if r := w.get(id); ok(r) {
			return r
		}
		w.step(time.Minute)
	}
	w.t.Fatalf("the rotation never was %s: %+v", what, w.get(id))
	return Rotation{}
}

func (w *world) end(id string) Rotation {
	w.t.Helper()
	return w.until(id, "at its end", func(r Rotation) bool { return r.State.Ended() })
}

func (w *world) at(id string, step Step) Rotation {
	w.t.Helper()
	return w.until(id, "at "+string(step), func(r Rotation) bool { return r.Parts[0].Step == step })
}

// sound checks what must hold at any time, and, in a domain that nothing works
// on, that keys are in order.
func (w *world) sound(t interface{ Fatalf(string, ...any) }) {
	for _, wrong := range w.model.wrong {
		t.Fatalf("%s", wrong)
	}
	for _, d := range w.model.domains {
		w.soundDomain(t, d)
	}
}

func (w *world) soundDomain(t interface{ Fatalf(string, ...any) }, d *modelDomain) {
	primaries := map[string]int{}
	for _, k := range d.keys {
		opens := !k.gone && k.State != 0 && k.State.String() != "disabled"
		if n := d.under(k.KeyID); n > 0 && !opens {
			t.Fatalf("%s: %d values are under a key that opens nothing", d.KeyDomain, n)
		}
		if !k.gone && k.kek < d.trimmed {
			t.Fatalf("%s: a keyset is under a trimmed version", d.KeyDomain)
		}
		if !k.gone && k.State.String() == "primary" {
			primaries[k.Purpose.String()]++
		}
	}
	for p, n := range primaries {
		if n != 1 {
			t.Fatalf("%s: %d primary keys of the purpose %s", d.KeyDomain, n, p)
		}
	}
	if len(primaries) != 2 {
		t.Fatalf("%s: a purpose has no primary key: %v", d.KeyDomain, primaries)
	}
}

// only checks that a domain has one key of a purpose left, and every value
// under it.
func (w *world) only(t interface{ Fatalf(string, ...any) }, d *modelDomain, purpose string) {
	open := 0
	for _, k := range d.keys {
		if k.Purpose.String() != purpose || k.gone {
			continue
		}
		open++
		if k.State.String() != "primary" {
			t.Fatalf("%s: a key of the purpose %s is %s", d.KeyDomain, purpose, k.State)
		}
	}
	if open != 1 {
		t.Fatalf("%s: %d keys of the purpose %s are left", d.KeyDomain, open, purpose)
	}
}
