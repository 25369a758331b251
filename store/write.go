package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// A write is made in two steps: outside of any transaction the record is read,
// the new revision drafted and sealed; the transaction then only checks that
// what it was made from still stands, and stores it. When it does not, the
// write is made again, and after freeTries inside the transaction, where
// nothing can come in between.
const (
	freeTries  = 3
	totalTries = 8
)

// write is one write of one record under way.
type write struct {
	s     *Store
	op    *operation
	ref   CollectionRef
	sc    scope
	claim *claim
	pre   Precondition
	draft func(sc scope, f *found) (draft, error) // f.exists is false for a new record
	find  func(tx kv.ReadTx, dom *envelope.Domain) (string, error)
	needs func(sc scope) bool // of a record that is there; nil: nothing

	id     string
	result WriteResult
}

// errUnchanged ends a write that has nothing to change.
var errUnchanged = errors.New("store: unchanged")

// run carries the write out. The intent is audited once, before the first
// transaction.
func (w *write) run(ctx context.Context) (WriteResult, error) {
	for try := 0; ; try++ {
		err := w.attempt(ctx, try >= freeTries)
		if err == nil || errors.Is(err, errUnchanged) {
			return w.result, nil
		}
		again := errors.Is(err, errStale)
		if !again || try >= totalTries {
			return WriteResult{}, finalError(err)
		}
		w.s.stats.stale.Add(1)
		if err := errors.Join(w.renewClaim(ctx, err), w.refresh(ctx, try)); err != nil {
			return WriteResult{}, err
		}
	}
}

// renewClaim finds the place of the request anew when that was what was stale.
func (w *write) renewClaim(ctx context.Context, err error) error {
	if !errors.Is(err, errStaleSystem) {
		return nil
	}
	if err := w.s.domains.Restate(ctx, uid.Zero); err != nil {
		return keyError(err)
	}
	return w.claim.renew(ctx)
}

// finalError hides that a write was stale: to the caller it was not stored.
func finalError(err error) error {
	if errors.Is(err, errStale) {
		return fmt.Errorf("%w: what it changes kept changing", ErrNotPersisted)
	}
	return engineError(err)
}

// refresh takes the control plane and the keysets as they are now.
func (w *write) refresh(ctx context.Context, try int) error {
	if try > 0 {
		w.s.awaitChange()
		if err := w.s.domains.Restate(ctx, w.sc.collection.integration.doc.UID); err != nil {
			return keyError(err)
		}
	}
	sc, err := w.s.authorise(w.op.caller, w.op.action(), w.ref)
	w.sc = sc
	return err
}

// awaitChange waits for a change of the control plane that is committed and
// about to be published.
func (s *Store) awaitChange() {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
}

func (op *operation) action() access.Action { return access.Action(op.entry.Action) }

func (w *write) attempt(ctx context.Context, inside bool) error {
	dom, err := w.s.domains.Open(ctx, w.sc.collection.integration.doc.UID)
	if err != nil {
		return keyError(err)
	}
	var sealed *sealedDraft
	if !inside {
		err := w.s.view(ctx, w.sc.collection.integration, func(tx kv.ReadTx, dom *envelope.Domain) (err error) {
			sealed, err = w.prepare(tx, dom, true)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := w.intend(); err != nil {
		return err
	}
	size := 4096
	if sealed != nil {
		size = sealed.size()
	}
	return w.s.engine.Update(ctx, kv.Interactive, size, func(tx kv.Tx) error { return w.commit(tx, dom, sealed) })
}

// intend writes the intent before the first transaction of the write.
func (w *write) intend() error {
	if w.op.intends {
		return nil
	}
	w.op.entry.Record = w.id
	return w.op.intent()
}

// prepare reads the record, drafts and seals. The operation id is that of the
// intent, which is made here when it is not yet. What is decided here by the
// old header and the new one still holds in the transaction: headers do not
// change, and a record that has another one by then is stale.
func (w *write) prepare(tx kv.ReadTx, dom *envelope.Domain, detach bool) (*sealedDraft, error) {
	if w.find != nil {
		id, err := w.find(tx, dom)
		if err != nil {
			return nil, err
		}
		w.id = id
	}
	f, err := w.s.findCurrent(tx, w.sc.collection, dom, w.id)
	if err != nil {
		return nil, err
	}
	sc := w.judge(dom, &f)
	if err := w.pre.check(f.visibleRevision()); err != nil {
		return nil, err
	}
	d, err := w.draft(sc, &f)
	if f.hidden && errors.Is(err, ErrNotFound) {
		err = errHidden
	}
	if err != nil {
		return nil, err
	}
	w.op.identify()
	if detach {
		if err := f.detach(w.sc.collection); err != nil {
			return nil, damaged("revision", err)
		}
	}
	return w.s.seal(dom, w.sc.collection, w.op.id, f, d)
}

// judge settles the decision for the record as it is. One that the caller may
// not do this to is as if it were not there.
func (w *write) judge(dom *envelope.Domain, f *found) scope {
	switch {
	case w.needs == nil:
		return w.sc
	case !f.exists:
		_ = w.s.absent(w.sc, dom, w.op.action())
		return w.sc
	}
	sc := w.sc.on(w.id, f.revision.header.labels)
	if f.hidden = !w.needs(sc); f.hidden {
		return w.sc
	}
	return sc
}

// changing is what is needed to write a new revision of a record.
func (op *operation) changing(sc scope) bool { return sc.allows(op.action()) }

// visibleRevision is what a precondition compares: 0 when there is no record
// that a reader would find.
func (f *found) visibleRevision() uint64 {
	if !f.exists || f.expired || f.hidden || f.state.life == deleted {
		return 0
	}
	return f.state.revision
}

// undeletable reports whether the record is deleted and can be brought back.
func (f *found) undeletable(now time.Time) bool {
	return f.exists && f.state.life == deleted && !f.expired && now.Before(f.state.purgeAt)
}

func (w *write) commit(tx kv.Tx, dom *envelope.Domain, sealed *sealedDraft) (err error) {
	if sealed == nil {
		if sealed, err = w.prepare(tx, dom, false); err != nil {
			return err
		}
	}
	if err := errors.Join(w.claim.stands(tx), discreetConflict(w.sc, sealed.recheck(tx, w.sc.collection))); err != nil {
		return err
	}
	at := w.s.changeTime(sealed.updated)
	var t tally
	sealed.apply(tx, w.sc.collection, w.op.id, nextSequence(tx, 1), at, &t)
	t.add(tx, w.sc.collection.doc.UID)
	w.result = w.resultOf(sealed)
	return w.claim.remember(tx, remembered{
		id: w.id, revision: sealed.number, operation: sealed.operation(), created: sealed.created, updated: sealed.updated, made: sealed.isNew,
	}, w.s.now())
}

// discreetConflict does not tell a caller that may not search a unique field
// which field it was that another record holds the value of.
func discreetConflict(sc scope, err error) error {
	var conflict *UniqueConflict
	if errors.As(err, &conflict) && (!sc.base.MaySearch(conflict.Path) || sc.guardsSearch(conflict.Path)) {
		return errTaken
	}
	return err
}

// errTaken comes when a unique value is held by a record that the caller may
// not find by it.
var errTaken = fmt.Errorf("%w: a value that must be unique is taken", ErrConflict)

func (w *write) resultOf(d *sealedDraft) WriteResult {
	sc := w.sc
	if d.decision != nil {
		sc.decision = d.decision
	}
	return WriteResult{
		ID: d.id, Revision: d.number, CreatedAt: d.created, UpdatedAt: d.updated, Created: d.isNew,
		ETag: etag(d.number, d.operation(), sc, nil, false),
	}
}

// changeTime returns the time of a change: never before that of an earlier
// one. It is called in write transactions, one at a time.
func (s *Store) changeTime(at time.Time) time.Time {
	n := max(at.UnixMicro(), s.lastChange.Load())
	s.lastChange.Store(n)
	return fromMicros(uint64(n))
}

// replayed answers a request whose idempotency key was used before.
func (w *write) replayed() (WriteResult, bool) {
	m := w.claim.replay
	if m == nil {
		return WriteResult{}, false
	}
	w.op.entry.Record, w.op.entry.Revision = m.id, m.revision
	return WriteResult{
		ID: m.id, Revision: m.revision, CreatedAt: m.created, UpdatedAt: m.updated, Created: m.made,
		Replayed: true, ETag: etag(m.revision, m.operation, w.sc, nil, false),
	}, true
}
