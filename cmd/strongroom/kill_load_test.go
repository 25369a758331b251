package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"strongroom/client"
)

// killState is what a record is: there with a number, hidden by a delete, or
// not there.
type killState struct {
	alive, hidden bool
	n             int
}

// killSlot is a record that one worker alone writes.
type killSlot struct {
	id       string
	state    killState
	pending  *killState // a write that was begun and not acknowledged
	retry    string     // the idempotency key of the pending write, a create
	revision uint64
	numbers  map[uint64]int // what each revision that was seen holds
}

// killWorker writes records of its own, one write after the other.
type killWorker struct {
	k       *killTest
	w       int
	n       int
	slots   []*killSlot
	batches []killBatch
	made    []killMade
}

// killMade is a record that an upsert made under an id of the server's.
type killMade struct{ key, id string }

// killBatch is an import that is stored as one chunk.
type killBatch struct {
	number int
	acked  bool
}

const (
	killSlots = 5
	killLines = 20
)

func newKillWorker(k *killTest, w int) *killWorker {
	out := &killWorker{k: k, w: w}
	for i := range killSlots {
		out.slots = append(out.slots, &killSlot{id: killID(w, i), numbers: map[uint64]int{}})
	}
	return out
}

func (w *killWorker) group() string { return fmt.Sprintf("g%d", w.w) }

// fields of a record say its number twice: a torn one would say two.
func (w *killWorker) fields(id string, n int) map[string]any {
	return map[string]any{"key": id, "group": w.group(), "n": n, "twin": fmt.Sprint(n), "filler": strings.Repeat("x", rand.IntN(3000))}
}

// run writes until the server is gone.
func (w *killWorker) run(ctx context.Context) {
	for ctx.Err() == nil && !w.k.Failed() {
		ok := true
		switch roll := rand.IntN(20); {
		case roll == 0:
			ok = w.importBatch(ctx)
		case roll == 1:
			ok = w.search(ctx)
		case roll < 4:
			ok = w.upsertNew(ctx)
		default:
			ok = w.write(ctx, w.slots[rand.IntN(killSlots)])
		}
		if !ok {
			return
		}
	}
}

// killStep is one write: what it makes of a state, and how it is asked for.
type killStep struct {
	kind string
	next func(killState, int) killState
	do   func(w *killWorker, ctx context.Context, s *killSlot, n int) (*client.WriteResult, error)
}

func there(_ killState, n int) killState { return killState{alive: true, n: n} }

var killWhenAbsent = []killStep{
	{"create", there, func(w *killWorker, ctx context.Context, s *killSlot, n int) (*client.WriteResult, error) {
		return w.create(ctx, s, n)
	}},
	{"put", there, (*killWorker).put},
}

var killWhenHidden = killStep{"undelete", func(s killState, _ int) killState { return killState{alive: true, n: s.n} },
	func(w *killWorker, ctx context.Context, s *killSlot, _ int) (*client.WriteResult, error) {
		return w.k.client.UndeleteRecord(ctx, killOrders.Of(s.id), client.WriteOptions{})
	}}

var killWhenThere = []killStep{
	{"put", there, (*killWorker).put},
	{"patch", there, func(w *killWorker, ctx context.Context, s *killSlot, n int) (*client.WriteResult, error) {
		return w.k.client.PatchRecord(ctx, killOrders.Of(s.id), client.RecordInput{Fields: w.fields(s.id, n)}, client.WriteOptions{IfRevision: s.revision})
	}},
	{"upsert", there, (*killWorker).upsert},
	{"rollback", func(s killState, _ int) killState { return s }, func(w *killWorker, ctx context.Context, s *killSlot, _ int) (*client.WriteResult, error) {
		return w.k.client.RollbackRecord(ctx, killOrders.Of(s.id), s.revision, client.WriteOptions{})
	}},
	{"delete", func(s killState, _ int) killState { return killState{hidden: true, n: s.n} }, func(w *killWorker, ctx context.Context, s *killSlot, _ int) (*client.WriteResult, error) {
		return w.k.client.DeleteRecord(ctx, killOrders.Of(s.id), client.WriteOptions{})
	}},
	{"expunge", func(killState, int) killState { return killState{} }, func(w *killWorker, ctx context.Context, s *killSlot, _ int) (*client.WriteResult, error) {
		return nil, w.k.client.ExpungeRecord(ctx, killOrders.Of(s.id))
	}},
}

func (w *killWorker) put(ctx context.Context, s *killSlot, n int) (*client.WriteResult, error) {
	return w.k.client.PutRecord(ctx, killOrders.Of(s.id), client.RecordInput{Fields: w.fields(s.id, n), Labels: map[string]string{"n": fmt.Sprint(n)}}, client.WriteOptions{})
}

func (w *killWorker) upsert(ctx context.Context, s *killSlot, n int) (*client.WriteResult, error) {
	return w.k.client.UpsertRecord(ctx, killOrders, "key", "replace", client.RecordInput{Fields: w.fields(s.id, n)}, client.WriteOptions{})
}

// create keeps the idempotency key, so that it can be sent again.
func (w *killWorker) create(ctx context.Context, s *killSlot, n int) (*client.WriteResult, error) {
	s.retry = fmt.Sprintf("create-%s-%d", s.id, n)
	fields := w.fields(s.id, n)
	fields["filler"] = "the same when it is sent again"
	return w.k.client.CreateRecord(ctx, killOrders, client.RecordInput{ID: s.id, Fields: fields}, client.WriteOptions{IdempotencyKey: s.retry})
}

// write makes one write; false when the server is gone.
func (w *killWorker) write(ctx context.Context, s *killSlot) bool {
	steps := killWhenAbsent
	switch {
	case s.state.alive:
		steps = killWhenThere
	case s.state.hidden && rand.IntN(2) == 0:
		steps = []killStep{killWhenHidden}
	}
	step := steps[rand.IntN(len(steps))]
	w.n++
	next := step.next(s.state, w.n)
	s.pending, s.retry = &next, ""
	res, err := step.do(w, ctx, s, w.n)
	if err != nil {
		w.k.gone(step.kind+" "+s.id, err)
		return false
	}
	w.acknowledged(step.kind, s, res)
	return true
}

func (w *killWorker) acknowledged(kind string, s *killSlot, res *client.WriteResult) {
	s.state, s.pending = *s.pending, nil
	if res == nil {
		w.k.acks.add(kind, "", 0)
		return
	}
	w.k.acks.add(kind, s.id, res.Revision)
	writes := kind != "delete" && kind != "undelete"
	if writes && res.Revision <= s.revision {
		w.k.Errorf("%s of %s was given revision %d, after %d", kind, s.id, res.Revision, s.revision)
	}
	w.saw(s, res.Revision, s.state.n)
}

// saw notes what a revision holds: never two things.
func (w *killWorker) saw(s *killSlot, revision uint64, n int) {
	if was, known := s.numbers[revision]; known && was != n {
		w.k.Errorf("revision %d of %s held %d, and now %d", revision, s.id, was, n)
	}
	s.numbers[revision] = n
	s.revision = max(s.revision, revision)
}

// importBatch imports lines of which all or none is stored.
func (w *killWorker) importBatch(ctx context.Context) bool {
	number := len(w.batches)
	w.batches = append(w.batches, killBatch{number: number})
	lines := func(yield func(client.RecordInput) bool) {
		for i := range killLines {
			id := w.line(number, i)
			if !yield(client.RecordInput{ID: id, Fields: map[string]any{"key": id, "n": number, "twin": fmt.Sprint(number)}}) {
				return
			}
		}
	}
	stored := []string{}
	for res, err := range w.k.client.ImportRecords(ctx, killBulk, client.ImportOptions{}, lines) {
		if err = errors.Join(err, res.Err); err != nil {
			w.k.gone("import", err)
			return false
		}
		stored = append(stored, res.ID)
		w.batches[number].acked = true // any line's answer is an answer for its chunk
	}
	w.k.acks.add("import", "", 0)
	w.k.acks.mu.Lock()
	defer w.k.acks.mu.Unlock()
	w.k.acks.imported = append(w.k.acks.imported, stored...)
	return true
}

func (w *killWorker) line(batch, i int) string { return fmt.Sprintf("i%d-%d-%d", w.w, batch, i) }

// upsertNew makes a record by its key alone.
func (w *killWorker) upsertNew(ctx context.Context) bool {
	key := fmt.Sprintf("u%d-%d", w.w, len(w.made))
	w.made = append(w.made, killMade{key: key})
	fields := map[string]any{"key": key, "n": w.w, "twin": fmt.Sprint(w.w)}
	res, err := w.k.client.UpsertRecord(ctx, killBulk, "key", "merge", client.RecordInput{Fields: fields}, client.WriteOptions{})
	if err != nil {
		w.k.gone("upsert "+key, err)
		return false
	}
	w.made[len(w.made)-1].id = res.ID
	w.k.acks.add("upsert of a new one", res.ID, res.Revision)
	return true
}

// checkMade finds a record by its unique key: that one and no second one.
func (w *killWorker) checkMade(m *killMade) {
	w.k.Helper()
	rec, err := w.k.client.LookupRecord(w.k.Context(), killBulk, map[string]any{"key": m.key})
	switch {
	case errors.Is(err, client.ErrNotFound) && m.id == "":
	case err != nil:
		w.k.Errorf("look up %s: %v", m.key, err)
	case m.id != "" && rec.ID != m.id:
		w.k.Errorf("%s is %s, and %s was acknowledged", m.key, rec.ID, m.id)
	default:
		w.numberOf(m.key, rec)
	}
}

// search finds the worker's own records, all and no other.
func (w *killWorker) search(ctx context.Context) bool {
	page, err := w.k.client.SearchRecords(ctx, killOrders, client.SearchOptions{Where: map[string]any{"group": w.group()}, Fields: []string{"n"}})
	if err != nil {
		w.k.gone("search", err)
		return false
	}
	var want, got []string
	for _, s := range w.slots {
		if s.state.alive {
			want = append(want, s.id)
		}
	}
	for _, rec := range page.Items {
		got = append(got, rec.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.k.Errorf("a search finds %v, and there are %v", got, want)
	}
	w.k.acks.add("search", "", 0)
	return true
}

// check compares the worker's records with what it was told.
func (w *killWorker) check() {
	w.k.Helper()
	for _, s := range w.slots {
		w.settle(s)
	}
	w.search(w.k.Context())
	for _, b := range w.batches[max(0, len(w.batches)-2):] {
		w.checkBatch(b)
	}
	for i := range w.made[max(0, len(w.made)-3):] {
		w.checkMade(&w.made[max(0, len(w.made)-3)+i])
	}
}

// settle reads a record. A write that was not acknowledged is there or not; a
// create is then sent again with its key, which must not make a second one.
func (w *killWorker) settle(s *killSlot) {
	w.k.Helper()
	rec, err := w.k.client.GetRecord(w.k.Context(), killOrders.Of(s.id), client.ReadOptions{})
	is := killState{}
	switch {
	case err == nil:
		is = killState{alive: true, n: w.numberOf(s.id, rec)}
		w.saw(s, rec.Revision, is.n)
	case !errors.Is(err, client.ErrNotFound):
		w.k.Fatalf("read %s: %v", s.id, err)
	}
	if !fits(is, s.state) && (s.pending == nil || !fits(is, *s.pending)) {
		w.k.Errorf("%s is %+v, was acknowledged as %+v, and %+v was under way", s.id, is, s.state, s.pending)
	}
	s.state = w.settled(is, s)
	if s.pending != nil && s.retry != "" {
		w.sendAgain(s, is, rec)
	}
	s.pending = nil
}

func fits(is, was killState) bool {
	return is.alive == was.alive && (!is.alive || is.n == was.n)
}

// settled is the state to go on from. Whether a record that is not seen is
// hidden or erased is only known when nothing was under way.
func (w *killWorker) settled(is killState, s *killSlot) killState {
	if !is.alive && s.pending == nil {
		return s.state
	}
	return is
}

func (w *killWorker) sendAgain(s *killSlot, is killState, rec *client.Record) {
	w.k.Helper()
	n := s.pending.n
	key := s.retry
	res, err := w.create(w.k.Context(), s, n)
	if s.retry != key {
		w.k.Fatal("the key is not the same")
	}
	if err != nil {
		w.k.Errorf("send the create of %s again: %v", s.id, err)
		return
	}
	if is.alive && res.Revision != rec.Revision {
		w.k.Errorf("sent again, the create of %s gave revision %d after %d", s.id, res.Revision, rec.Revision)
	}
	w.k.acks.add(killRepeat, s.id, res.Revision)
	s.state = killState{alive: true, n: n}
	w.saw(s, res.Revision, n)
}

// numberOf reads the number that a record says twice.
func (w *killWorker) numberOf(id string, rec *client.Record) int {
	w.k.Helper()
	var doc struct {
		Key, Twin string
		N         int
	}
	if err := json.Unmarshal(rec.Fields.Reveal(), &doc); err != nil {
		w.k.Fatal(err)
	}
	if doc.Key != id || doc.Twin != fmt.Sprint(doc.N) {
		w.k.Errorf("%s is torn: %d and %s", id, doc.N, doc.Twin)
	}
	return doc.N
}

// checkBatch finds all lines of an import, or none when it was not acknowledged.
func (w *killWorker) checkBatch(b killBatch) {
	w.k.Helper()
	found := 0
	for i := range killLines {
		id := w.line(b.number, i)
		rec, err := w.k.client.GetRecord(w.k.Context(), killBulk.Of(id), client.ReadOptions{})
		switch {
		case err == nil:
			found++
			if n := w.numberOf(id, rec); n != b.number {
				w.k.Errorf("%s holds %d", id, n)
			}
		case !errors.Is(err, client.ErrNotFound):
			w.k.Fatalf("read %s: %v", id, err)
		}
	}
	if found != killLines && (found != 0 || b.acked) {
		w.k.Errorf("%d of %d lines of an import are there; acknowledged: %v", found, killLines, b.acked)
	}
}
