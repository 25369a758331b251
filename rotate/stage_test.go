package rotate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// breaking is an engine of which one commit fails.
type breaking struct {
	kv.Engine
	mu     sync.Mutex
	at     int // this many commits go well; less than 0: all do
	fate   commitFate
	broken bool
}

// commitFate is what becomes of a commit that fails.
type commitFate struct {
	name   string
	stored bool
	told   error
}

var commitFates = []commitFate{
	{"failed and not persisted", false, kv.ErrNotPersisted},
	{"failed but persisted", true, kv.ErrOutcomeUnknown},
	{"unknown and not persisted", false, kv.ErrOutcomeUnknown},
}

var errTakenBack = errors.New("taken back")

// due reports whether it is the turn of the commit that fails.
func (e *breaking) due() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at--
	return e.at == -1 && !e.broken
}

func (e *breaking) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if !e.due() {
		return e.Engine.Update(ctx, class, size, fn)
	}
	err := e.Engine.Update(ctx, class, size, func(tx kv.Tx) error {
		if err := fn(tx); err != nil || e.fate.stored {
			return err
		}
		return errTakenBack
	})
	if err != nil && !errors.Is(err, errTakenBack) { // it refused by itself
		return err
	}
	e.broken = true
	return e.fate.told
}

// stage is a Manager over a real store of which something fails.
type stage struct {
	*storetest.Fixture
	t      *testing.T
	clock  time.Time
	engine *breaking
	m      *Manager
	waited string // what the rotation said that it waits for, once something failed
}

const staged = 9 // records

var stagedIn = store.CollectionRef{Integration: "acme", Collection: "c"}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.Fixture = storetest.OpenWith(t, storetest.Options{Now: func() time.Time { return s.clock }})
	s.engine = &breaking{Engine: s.Engine, at: -1}
	s.Deps.Engine = s.engine
	s.restart()
	ctx, root := t.Context(), s.Root()
	_, _, err := s.PutIntegration(ctx, root, "acme", store.IntegrationSpec{}, store.Precondition{})
	s.must(err)
	spec := store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{"k":{"type":"string","x-index":"unique"}}}`)}
	_, _, err = s.PutCollection(ctx, root, stagedIn, spec, store.Precondition{})
	s.must(err)
	for i := range staged {
		in := store.RecordInput{ID: fmt.Sprintf("r%d", i), Fields: fmt.Appendf(nil, `{"k":"v%d"}`, i)}
		_, err := s.CreateRecord(ctx, root, stagedIn, in, store.WriteOptions{})
		s.must(err)
	}
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// restart is a new process over the same data.
func (s *stage) restart() {
	s.t.Helper()
	s.Reopen()
	s.m = New(Options{Store: Of(s.Store), Now: func() time.Time { return s.clock }, Logger: slog.New(slog.DiscardHandler)})
}

// journey is a rotation that is failed somewhere.
type journey struct {
	depth Depth
	back  bool
}

func (j journey) String() string {
	return fmt.Sprintf("%s%s", j.depth, map[bool]string{true: " and back"}[j.back])
}

var journeys = []journey{{DepthKEK, false}, {DepthKeyset, false}, {DepthData, false}, {DepthKeyset, true}, {DepthData, true}}

// create makes the rotation. When that fails, whether it was stored is found out
// by stepping on.
func (s *stage) create(j journey) string {
	s.t.Helper()
	request := Request{Integrations: []string{"acme"}, System: true, Depth: j.depth, Retire: true}
	made, err := s.m.Create(s.t.Context(), s.Root(), request)
	if err == nil {
		return made.ID
	}
	s.waited = err.Error()
	for range 5 {
		s.step()
	}
	all, err := s.m.List(s.t.Context(), s.Root())
	s.must(err)
	if len(all) > 1 {
		s.t.Fatalf("%d rotations were made of one request", len(all))
	}
	if len(all) == 1 {
		return all[0].ID
	}
	made, err = s.m.Create(s.t.Context(), s.Root(), request)
	s.must(err)
	return made.ID
}

// step does one thing, and lets time pass when there is nothing to do.
func (s *stage) step() {
	if wait := s.m.advance(s.t.Context()); wait > 0 {
		s.clock = s.clock.Add(min(wait, time.Hour))
	}
}

// travel carries the rotation to its end; once something has failed, and if
// anew, in a new process.
func (s *stage) travel(id string, j journey, failed func() bool, anew bool) Rotation {
	s.t.Helper()
	turned := !j.back
	for range 3000 {
		s.step()
		r, err := s.m.Get(s.t.Context(), s.Root(), id)
		s.must(err)
		if failed() && s.waited == "" {
			s.waited = said(&r)
			if anew {
				s.restart()
			}
		}
		switch {
		case r.State == StateFailed:
			s.t.Fatalf("the rotation failed: %s", r.Detail)
		case r.State.Ended():
			return r
		case !turned && r.Parts[0].Step == StepGrace:
			turned = s.turnBack(id)
		}
	}
	r, _ := s.m.Get(s.t.Context(), s.Root(), id)
	s.t.Fatalf("the rotation never ended: %+v", r)
	return r
}

// said is what a rotation says of a failure that it waits to be over.
func said(r *Rotation) string {
	told := r.Detail
	for i := range r.Parts {
		told += r.Parts[i].Detail
	}
	for _, reason := range []error{store.ErrNotPersisted, store.ErrOutcomeUnknown, store.ErrKeyServiceUnavailable} {
		if strings.Contains(told, reason.Error()) {
			return reason.Error()
		}
	}
	return "nothing"
}

// turnBack rolls the rotation back, and reports whether that is known to be
// stored.
func (s *stage) turnBack(id string) bool {
	_, err := s.m.Rollback(s.t.Context(), s.Root(), id)
	if err != nil {
		s.waited = err.Error()
	}
	return err == nil || errors.Is(err, store.ErrConflict)
}

// wantEnded looks at what a rotation leaves, whatever failed in it.
func (s *stage) wantEnded(r Rotation, j journey) {
	s.t.Helper()
	if want := map[bool]State{false: StateDone, true: StateRolledBack}[j.back]; r.State != want {
		s.t.Errorf("the rotation is %s", r.State)
	}
	s.restart()
	for i := range staged {
		where := []schema.Value{{Path: "k", JSON: fmt.Appendf(nil, `"v%d"`, i)}}
		rec, err := s.LookupRecord(s.t.Context(), s.Root(), stagedIn, where, store.ReadOptions{})
		if err != nil || rec.ID != fmt.Sprintf("r%d", i) {
			s.t.Errorf("record %d: %q, %v", i, rec.ID, err)
		}
	}
	domains, err := s.Store.Keys(s.t.Context(), s.Root())
	s.must(err)
	for i := range domains {
		s.wantDomain(&domains[i], j)
	}
}

func (s *stage) wantDomain(d *store.DomainKeys, j journey) {
	s.t.Helper()
	others, err := refsOf(*d, func(k *store.KeyState) bool { return k.State != envelope.StatePrimary.String() })
	s.must(err)
	if len(others) > 0 {
		s.t.Errorf("%s: keys are left: %+v", d.KeyDomain, others)
	}
	var gone []envelope.KeyRef
	for _, k := range d.Keys {
		if id, err := envelope.ParseKeyID(k.KeyID); err == nil && k.State == store.KeyDestroyed {
			gone = append(gone, envelope.KeyRef{Purpose: purposeOf(k.Purpose), Generation: k.Generation, KeyID: id})
		}
	}
	if (len(gone) == 0) != (j.depth == DepthKEK) {
		s.t.Errorf("%s: %d keys were destroyed", d.KeyDomain, len(gone))
	}
	if _, err := s.VerifyKeysets(s.t.Context(), internal, d.KeyDomain, gone, nil); err != nil {
		s.t.Errorf("%s: %v", d.KeyDomain, err)
	}
	versions := map[bool]int{false: 2, true: 1}[j.back]
	if d.KEK.Latest != versions || d.KEK.Minimum != versions {
		s.t.Errorf("%s: the KEK is at version %d, the lowest that unwraps is %d, want %d", d.KeyDomain, d.KEK.Latest, d.KEK.Minimum, versions)
	}
}
