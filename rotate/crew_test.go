package rotate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/store"
)

// chore is a job that does what a test says.
type chore struct {
	id     string
	urgent bool
	step   func() (Next, error)
	waits  []string
	failed error
}

func (c *chore) ID() string                            { return c.id }
func (c *chore) Urgent() bool                          { return c.urgent }
func (c *chore) Step(context.Context) (Next, error)    { return c.step() }
func (c *chore) Waits(reason error, _ time.Time)       { c.waits = append(c.waits, reason.Error()) }
func (c *chore) Fails(_ context.Context, reason error) { c.failed = reason }

// chores is a kind of jobs of another package.
type chores struct {
	jobs  []Job
	fails int
}

func (k *chores) Load(context.Context, *Manager) ([]Job, error) {
	if k.fails--; k.fails >= 0 {
		return nil, store.ErrKeyServiceUnavailable
	}
	return k.jobs, nil
}

func TestOtherKindsOfJobs(t *testing.T) {
	w := newWorld(t)
	order := ""
	done := func(name string, steps int) func() (Next, error) {
		return func() (Next, error) {
			order += name
			steps--
			return Next{Done: steps == 0}, nil
		}
	}
	a, b, c := &chore{id: "a", step: done("a", 2)}, &chore{id: "b", step: done("b", 2)}, &chore{id: "c", urgent: true, step: done("c", 2)}
	w.m.kinds = []Kind{&chores{jobs: []Job{a, b, c}, fails: 2}}
	for range 12 {
		w.step(time.Second)
	}
	if order != "ccabab" {
		t.Fatalf("they were stepped in the order %q", order)
	}
}

func TestWaitingJobs(t *testing.T) {
	w := newWorld(t)
	steps, answer := 0, error(&Awaits{Detail: "a backup", For: time.Hour})
	j := &chore{id: "j", step: func() (Next, error) { steps++; return Next{}, answer }}
	w.m.Enlist(j)
	for range 5 {
		w.step(10 * time.Minute)
	}
	if steps != 1 || len(j.waits) != 1 || j.waits[0] != "a backup" {
		t.Fatalf("%d steps; it waits for %v", steps, j.waits)
	}
	w.m.Wake("j")
	w.step(0)
	if steps != 2 {
		t.Fatalf("%d steps after it was woken", steps)
	}
	for _, c := range []struct {
		answer      error
		least, most time.Duration // of ten tries
	}{
		{store.ErrKeyServiceUnavailable, 30 * time.Second, 10 * backoffMost},
		{store.ErrBusy, 5 * time.Second, 10 * backoffBusy},
	} {
		answer = fmt.Errorf("on the way: %w", c.answer)
		w.m.Wake("j")
		began := w.clock
		for until := steps + 10; steps < until; {
			w.step(time.Hour)
		}
		if took := w.clock.Sub(began); took < c.least || took > c.most {
			t.Fatalf("%v: ten tries in %s", c.answer, took)
		}
	}
	answer = errors.New("it is broken")
	w.m.Wake("j")
	for range 5 {
		w.step(time.Hour)
	}
	if steps != 23 || j.failed != answer {
		t.Fatalf("%d steps; it failed with %v", steps, j.failed)
	}
}

func TestDismissWaitsForTheStep(t *testing.T) {
	w := newWorld(t)
	stepping, ended := make(chan struct{}), false
	j := &blocked{stepping: stepping, ended: &ended}
	w.m.Enlist(j)
	go w.m.advance(t.Context())
	<-stepping
	if err := w.m.Dismiss(t.Context(), "blocked"); err != nil || !ended {
		t.Fatalf("dismissed: %v; its step has ended: %t", err, ended)
	}
	if next, _ := w.m.crew.next(w.clock); next != nil || len(w.m.crew.held) > 0 {
		t.Fatal("it is still carried on, or held")
	}
}

// A long step of one job does not keep an operator from another.
func TestOtherJobsAreNotWaitedFor(t *testing.T) {
	w := newWorld(t, "acme")
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK})
	if _, err := w.m.Pause(t.Context(), operator, made.ID); err != nil {
		t.Fatal(err)
	}
	ended, stepping := false, make(chan struct{})
	w.m.Enlist(&blocked{stepping: stepping, ended: &ended})
	stepped := make(chan struct{})
	go func() { defer close(stepped); w.m.advance(t.Context()) }()
	<-stepping
	if r, err := w.m.Cancel(t.Context(), operator, made.ID); err != nil || r.Direction != Cancel {
		t.Fatalf("cancel during the step of another job: %v", err)
	}
	if err := w.m.Dismiss(t.Context(), "blocked"); err != nil {
		t.Fatal(err)
	}
	<-stepped
}

// blocked is a job whose step ends when it is interrupted.
type blocked struct {
	chore
	stepping chan struct{}
	ended    *bool
}

func (b *blocked) ID() string { return "blocked" }

func (b *blocked) Step(ctx context.Context) (Next, error) {
	close(b.stepping)
	<-ctx.Done()
	*b.ended = true
	return Next{}, ctx.Err()
}

func TestSubscribe(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(10)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	updates, err := w.m.Subscribe(t.Context(), operator, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if first := <-updates; first.State != StatePending || first.Progress.Parts != 1 {
		t.Fatalf("first: %+v", first)
	}
	w.end(made.ID)
	last := Rotation{}
	for r := range updates {
		last = r
	}
	if last.State != StateDone || !last.HasReport {
		t.Fatalf("last: %+v", last)
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if len(w.m.watchers) != 0 {
		t.Fatalf("%d are followed by nobody", len(w.m.watchers))
	}
}

// A sweep that another process goes on with begins where the last one was.
func TestSweepGoesOnAtItsCursor(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(30_000)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.until(made.ID, "half way", func(r Rotation) bool { return r.Progress.Done >= 15_000 })
	w.restart()
	r := w.end(made.ID)
	if c := r.Parts[0].Counts; c.Scanned != 30_000 || c.Rewrapped != 30_000 || r.Parts[0].Sweeps != 1 {
		t.Fatalf("counts: %+v after %d sweeps", c, r.Parts[0].Sweeps)
	}
}

func TestCompactsWhenAsked(t *testing.T) {
	for _, asked := range []bool{false, true} {
		w := newWorld(t, "acme")
		compacted := 0
		w.m.compact = func(context.Context) error {
			if compacted++; compacted == 1 {
				return store.ErrBusy
			}
			return nil
		}
		made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK, Compact: asked})
		if r := w.end(made.ID); r.State != StateDone || compacted != map[bool]int{true: 2}[asked] {
			t.Fatalf("asked %t: compacted %d times; %+v", asked, compacted, r)
		}
	}
}

// Rotations that ended are kept up to a bound, those that go on always.
func TestOldRotationsAreForgotten(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	grace := Span(maxGrace)
	long := w.create(Request{Integrations: []string{"globex"}, Depth: DepthKeyset, Grace: &grace})
	first := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK})
	w.end(first.ID)
	for range keptRotations + 5 {
		w.clock = w.clock.Add(time.Minute)
		w.end(w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK}).ID)
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart()
		}
		all, err := w.m.List(t.Context(), operator)
		if err != nil || len(all) < keptRotations || len(all) > keptRotations+3 {
			t.Fatalf("%d are kept; %v", len(all), err)
		}
		if _, err := w.m.Get(t.Context(), operator, first.ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("the first one: %v", err)
		}
		if r := w.get(long.ID); r.State != StateWaiting && !restarted {
			t.Fatalf("the one that goes on: %s", r.State)
		}
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	w.fill(100)
	w.end(w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset}).ID)
	made := w.create(Request{Integrations: []string{"globex"}, Depth: DepthKeyset})
	w.at(made.ID, StepVerify)
	s := w.m.Stats()
	if s.Rotations[StateDone] != 1 || s.Rotations[StateRunning] != 1 || len(s.Active) != 1 || s.Active[0].ID != made.ID || s.Moved != 200 {
		t.Fatalf("%+v", s)
	}
}

func TestRequests(t *testing.T) {
	w := newWorld(t, "acme")
	for want, r := range map[string]Request{
		"/depth":          {Integrations: []string{"acme"}},
		"/depth ":         {Integrations: []string{"acme"}, Depth: "deeper"},
		"/integrations":   {Depth: DepthKEK},
		"/integrations/1": {Integrations: []string{"acme", "Acme"}, Depth: DepthKEK},
		"/integrations/0": {Integrations: []string{"nobody-*"}, Depth: DepthKEK},
		"/reindex":        {Integrations: []string{"*"}, Depth: DepthKEK, Reindex: true},
		"/rate":           {Integrations: []string{"*"}, Depth: DepthKEK, Rate: 1 << 40},
		"/grace":          {Integrations: []string{"*"}, Depth: DepthKeyset, Grace: spanOf(time.Second / 2)},
		"/reason":         {Integrations: []string{"*"}, Depth: DepthKeyset, Reason: "a\x00b"},
		"/compromised":    {Compromised: "XYZ"},
		"/compromised ":   {Compromised: "01020304", System: true},
		"/compromised   ": {Compromised: "01020304"},
		"/depth    ":      {Compromised: "01020304", Depth: DepthKEK},
	} {
		_, err := w.m.Create(t.Context(), operator, r)
		bad, ok := errors.AsType[*store.Invalid](err)
		if !ok || bad.Issues[0].Pointer != strings.TrimSpace(want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if len(w.model.rows) > 0 {
		t.Errorf("%d rows were written", len(w.model.rows))
	}
}
