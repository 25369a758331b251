package store

import (
	"context"
	"errors"

	"strongroom/internal/ledger"
	"strongroom/store/kv"
)

// controlChange is one change of the control plane: documents to write, what
// else belongs into the same transaction, and what the catalog becomes.
type controlChange struct {
	writes  []controlWrite
	idem    *claim // of the request; nil: none
	made    remembered
	check   func(tx kv.ReadTx) error // what else must hold; nil: nothing
	also    func(tx kv.Tx)
	publish func(next *catalog)
	notes   []ledger.Note // what a restore must not undo
}

// change carries a change out: it is audited as intended, written in one
// transaction with its operation id, and published. The caller holds
// controlMu, from before it looked at what it changes.
func (s *Store) change(ctx context.Context, op *operation, ch controlChange) error {
	if err := s.sealControl(ctx, ch.writes); err != nil {
		return err
	}
	if !op.intends {
		if err := op.intent(); err != nil {
			return err
		}
	}
	op.notes = ch.notes
	err := s.updateSealed(ctx, kv.Interactive, ch.writes, ch.idem, func(tx kv.Tx) error {
		if ch.check != nil {
			if err := ch.check(tx); err != nil {
				return err
			}
		}
		if err := applyControl(tx, ch.writes); err != nil {
			return err
		}
		if ch.also != nil {
			ch.also(tx)
		}
		op.put(tx, op.entry.Target)
		return ch.idem.remember(tx, ch.made, s.now())
	})
	if err != nil {
		return s.changeFailed(ctx, err)
	}
	next := s.catalog.Load().next()
	ch.publish(next)
	s.catalog.Store(next)
	return nil
}

// carryOut carries out what was made ready; when that was for an empty
// collection that is so no more, it is made ready again.
func (s *Store) carryOut(ctx context.Context, op *operation, ready controlChange, again func() (controlChange, error)) error {
	err := s.change(ctx, op, ready)
	if !errors.Is(err, errNotEmpty) {
		return err
	}
	if ready, err = again(); err != nil {
		return err
	}
	return s.change(ctx, op, ready)
}

// changeFailed reads the control plane again when the disk may hold more, or
// other, than the catalog says.
func (s *Store) changeFailed(ctx context.Context, err error) error {
	if errors.Is(err, errStale) || errors.Is(err, kv.ErrOutcomeUnknown) {
		if again := s.load(context.WithoutCancel(ctx)); again != nil {
			s.behind.Store(true)
			s.logger.Error("the control plane could not be read again after a failed write; the background sweep will", "error", again)
		}
	}
	if errors.Is(err, errStale) {
		return ErrConflict
	}
	return engineError(err)
}

// catchUp reads the control plane when that failed after a failed write.
func (s *Store) catchUp(ctx context.Context) error {
	if !s.behind.Load() {
		return nil
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	err := s.load(ctx)
	if err == nil {
		s.behind.Store(false)
	}
	return err
}

func sizeOf(writes []controlWrite) int {
	size := 256
	for _, w := range writes {
		size += len(w.value) + len(w.id) + 64
	}
	return size
}

// check evaluates a precondition on a thing with this version, 0 when it does
// not exist.
func (p Precondition) check(version uint64) error {
	switch {
	case p.Absent && version != 0, p.Exists && version == 0:
		return ErrPrecondition
	case p.IfMatch == nil:
		return nil
	}
	for _, want := range p.IfMatch {
		if want == version && version != 0 {
			return nil
		}
	}
	return ErrPrecondition
}

// storedVersion returns the version of a control value on the disk, ErrNotFound
// when there is none. It asks the disk since a damaged value is not in the
// catalog.
func (s *Store) storedVersion(ctx context.Context, kind, id string) (uint64, error) {
	var found uint64
	err := s.engine.View(ctx, func(tx kv.ReadTx) error {
		raw := tx.Get(kv.Control, controlKey(kind, id))
		if raw == nil {
			return ErrNotFound
		}
		found = version(raw) // 0 for one that was cut short
		return nil
	})
	return found, engineError(err)
}
