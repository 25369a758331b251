package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Sweeper brings the values of a key domain under its primary keys, whatever
// key they are under, in steps. What is written meanwhile is under the primary
// keys already. A step reads a chunk of values in short views, makes what takes
// their place outside of any transaction, and writes it by compare-and-swap on
// the bytes that it read. While a chunk is committed the next one is read and
// made.
//
// A Sweeper is used by one goroutine. It holds nothing that has to be given
// back, and can be left at any step: another one goes on from its cursor.
type Sweeper struct {
	s  *Store
	c  Caller
	d  KeyDomain
	o  SweepOptions
	op *operation // from the first step on

	all bool // every value is read, to look at it: see VerifyKeysets

	at    position    // everything before it is done
	head  *chunk      // made and not committed yet
	ahead chan *chunk // gets the chunk after head; nil: nobody makes one
	pace  pace
	moved uint64
}

// Sweeper makes a sweep of a domain. Nothing is done, nor looked at, before its
// first step.
func (s *Store) Sweeper(c Caller, d KeyDomain, o SweepOptions) *Sweeper {
	return &Sweeper{s: s, c: c, d: d, o: o}
}

// defaultEntries is how many values a step writes unless its budget says
// otherwise.
const defaultEntries = 5000

// maxStaleSteps is how often a step is made again because the keys or the
// definitions have changed meanwhile.
const maxStaleSteps = 3

// Step does the next part of the sweep. What rows returns, which is called in
// the transaction, perhaps more than once, is written with it: counts and cursor
// are those of the values. It is called for a part without values too. When
// a step fails nothing of it was done, or it is done and not known, and it can
// be tried again. ErrBusy says that the data file is being copied or compacted.
func (w *Sweeper) Step(ctx context.Context, b Budget, rows func(SweepDelta) []Row) (SweepDelta, error) {
	start := time.Now()
	if err := w.begin(); err != nil {
		return SweepDelta{}, err
	}
	if w.at.done() {
		return SweepDelta{Cursor: w.at.cursor(), Done: true}, nil
	}
	release, err := w.s.exclusive()
	if err != nil {
		return SweepDelta{}, err
	}
	defer release()
	delta, err := w.step(ctx, b, rows)
	if err != nil {
		return SweepDelta{}, engineError(err)
	}
	delta.Took = time.Since(start)
	if delta.Done {
		err = w.finish(ctx)
	}
	return delta, err
}

// begin authorises the sweep, and audits that it is about to be done.
func (w *Sweeper) begin() (err error) {
	if w.op != nil {
		return nil
	}
	op := w.s.startKeys(w.c, "sweep", w.d)
	err = w.s.mayOperate(w.c, w.d)
	if err == nil {
		w.at, err = w.start()
	}
	if err == nil {
		err = op.intent()
	}
	if err != nil {
		return op.end(err)
	}
	w.op = op
	return nil
}

// finish ends the sweep of a domain: of the system's, when it seals everything
// anew, by making what signs anew.
func (w *Sweeper) finish(ctx context.Context) (err error) {
	if w.d.System() && w.o.Reseal {
		err = w.s.renewSigners(ctx, false)
	}
	w.op.entry.Count = w.moved
	return w.op.end(err)
}

// exclusive keeps backups and compactions away from a step.
func (s *Store) exclusive() (release func(), err error) {
	e, ok := s.engine.(interface{ Exclusive() (func(), error) })
	if !ok {
		return func() {}, nil
	}
	release, err = e.Exclusive()
	if errors.Is(err, kv.ErrBusy) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return release, err
}

func (w *Sweeper) step(ctx context.Context, b Budget, rows func(SweepDelta) []Row) (SweepDelta, error) {
	for try := 0; ; try++ {
		delta, err := w.commitNext(ctx, b, rows)
		if !errors.Is(err, errStale) {
			return delta, err
		}
		w.forget()
		if try == maxStaleSteps {
			return SweepDelta{}, fmt.Errorf("%w: the keys of %s kept changing", ErrNotPersisted, w.d)
		}
		w.s.awaitChange()
		if _, err := w.s.catalog.Load().domainOf(w.d); err != nil {
			return SweepDelta{}, err
		}
		if err := w.s.domains.Restate(ctx, w.d.UID); err != nil {
			return SweepDelta{}, keyError(err)
		}
	}
}

// commitNext commits as much of the next chunk as the budget allows.
func (w *Sweeper) commitNext(ctx context.Context, b Budget, rows func(SweepDelta) []Row) (SweepDelta, error) {
	size := w.pace.entries(b)
	if w.head == nil {
		if err := w.fetch(ctx, size, b.workers()); err != nil {
			return SweepDelta{}, err
		}
	}
	part := w.head.first(size)
	rest := w.head.after(part)
	if rest == nil {
		w.readAhead(ctx, part.end, size, b.workers())
	}
	delta, left, err := w.commit(ctx, part, rows)
	if err != nil {
		return SweepDelta{}, err
	}
	w.pace.note(len(part.items), delta.Held)
	w.at, w.head = part.end, rest
	w.moved += delta.Rewrapped + delta.Resealed + delta.Reindexed
	w.note(part.table, left)
	return delta, nil
}

// fetch takes the chunk that was made ahead, or makes one.
func (w *Sweeper) fetch(ctx context.Context, size, workers int) error {
	if w.ahead != nil {
		c := <-w.ahead
		w.ahead = nil
		if c.err == nil {
			w.head = c
			return nil
		} // it may have had a context that has ended
	}
	c := w.prepare(ctx, w.at, size, workers)
	if c.err != nil {
		return c.err
	}
	w.head = c
	return nil
}

// readAhead makes the next chunk while the one before it is committed.
func (w *Sweeper) readAhead(ctx context.Context, from position, size, workers int) {
	if w.ahead != nil || from.done() {
		return
	}
	made := make(chan *chunk, 1)
	go func() { made <- w.prepare(ctx, from, size, workers) }()
	w.ahead = made
}

// forget drops what was made: the keys that it was made with are not in force.
func (w *Sweeper) forget() {
	if w.ahead != nil {
		<-w.ahead
	}
	w.head, w.ahead = nil, nil
}

// note names the values that stay where they are because they do not open.
func (w *Sweeper) note(table byte, left []*item) {
	for _, it := range left {
		w.s.noteLeft(table, it.key, it.why)
	}
}

// noteLeft logs, audits and counts a value that does not open.
func (s *Store) noteLeft(table byte, key []byte, why error) {
	cat := s.catalog.Load()
	var c uid.UID
	id := string(key[min(copy(c[:], key), len(key)):])
	if coll := cat.collectionByUID(c); coll != nil && table != sweepsControl {
		if table == sweepsDEKs {
			_, id, _, _ = splitRevisionKey(key)
		}
		s.noteDamage(coll, id, keyError(why))
		return
	}
	s.stats.integrity.Add(1)
	s.logger.Error("a value does not open and stays under its key", "value", placeOf(cat, table, key), "error", why)
}

// pace finds out how many values may be written so that the write lock is held
// no longer than a budget says.
type pace struct{ each time.Duration }

func (p *pace) note(n int, held time.Duration) {
	if n < minEntries {
		return
	}
	each := held / time.Duration(n)
	if p.each == 0 {
		p.each = each
	}
	p.each = (3*p.each + each) / 4
}

// minEntries is how few values a step writes at least: a commit costs as much
// as they do.
const minEntries = 16

func (p *pace) entries(b Budget) int {
	n := b.Entries
	if n <= 0 {
		n = defaultEntries
	}
	if b.Lock <= 0 {
		return n
	}
	if p.each == 0 {
		return min(n, 16*minEntries)
	}
	return min(n, max(minEntries, int(b.Lock/p.each)))
}

func (b Budget) workers() int {
	if b.Workers > 0 {
		return b.Workers
	}
	return runtime.GOMAXPROCS(0)
}
