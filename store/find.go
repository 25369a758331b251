package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/store/kv"
)

// found is a record as a transaction sees it: its state, and its current
// revision when that was asked for.
type found struct {
	exists   bool
	rawState []byte
	state    state
	floor    uint64 // new records begin above it; only when the record does not exist
	expired  bool   // its time has come, and it only waits to be swept away
	hidden   bool   // a condition keeps it from the caller, to whom it is not there

	revision revision
	wrapped  []byte
	opener   envelope.Opener
}

// findState reads the state of a record.
func findState(tx kv.ReadTx, coll *collection, id string) (found, error) {
	raw := tx.Get(kv.Records, recordKey(coll.doc.UID, id))
	if raw == nil {
		return found{floor: counter(tx, coll.doc.UID, counterFloor)}, nil
	}
	st, err := decodeState(raw)
	if err != nil {
		return found{}, damaged("state", err)
	}
	return found{exists: true, rawState: raw, state: st}, nil
}

// readRevision reads a revision and its wrapped DEK, ErrNotFound when there
// is none.
func readRevision(tx kv.ReadTx, coll *collection, id string, number uint64) (rev revision, wrapped []byte, err error) {
	key := revisionKey(coll.doc.UID, id, number)
	raw := tx.Get(kv.Revisions, key)
	if raw == nil {
		return rev, nil, ErrNotFound
	}
	if rev, err = decodeRevision(raw, coll.names); err != nil {
		return rev, nil, damaged("revision", err)
	}
	if wrapped = tx.Get(kv.DEKs, key); wrapped == nil {
		return rev, nil, damaged("wrapped key", errMissing)
	}
	return rev, wrapped, nil
}

// openRevision reads a revision and opens its DEK: only then is what its
// header says, its erase_at too, to be believed. ErrNotFound when there is none.
func (s *Store) openRevision(tx kv.ReadTx, coll *collection, dom *envelope.Domain, id string, number uint64) (revision, envelope.Opener, error) {
	rev, wrapped, err := readRevision(tx, coll, id, number)
	if err != nil {
		return rev, envelope.Opener{}, err
	}
	opener, err := s.open(dom, s.identity(coll, id, number), rev.rawHeader, wrapped)
	return rev, opener, err
}

// errMissing is the cause when a value that must be there is not.
var errMissing = errors.New("store: value missing")

// damaged makes an ErrIntegrity that says what is damaged.
func damaged(what string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrIntegrity, what, cause)
}

// identity is what a revision's values are bound to.
func (s *Store) identity(coll *collection, id string, number uint64) envelope.Identity {
	return envelope.Identity{
		Store: s.id, Integration: coll.integration.doc.UID, Collection: coll.doc.UID, Record: id, Revision: number,
	}
}

// findCurrent reads a record and opens its current revision. What it returns
// points into the transaction.
func (s *Store) findCurrent(tx kv.ReadTx, coll *collection, dom *envelope.Domain, id string) (found, error) {
	f, err := findState(tx, coll, id)
	if err != nil || !f.exists {
		return f, err
	}
	f.revision, f.wrapped, err = readRevision(tx, coll, id, f.state.revision)
	if errors.Is(err, ErrNotFound) {
		return f, damaged("revision", errMissing)
	}
	if err != nil {
		return f, err
	}
	f.opener, err = s.open(dom, s.identity(coll, id, f.state.revision), f.revision.rawHeader, f.wrapped)
	f.expired = err == nil && coll.expired(&f.revision.header, s.now())
	return f, err
}

// openError turns an error of the envelope into the store's; an unknown key is
// kept apart, since a refresh of the keysets may cure it.
func openError(err error) error {
	if errors.Is(err, envelope.ErrUnknownKey) {
		return fmt.Errorf("%w: %w", errUnknownKey, err)
	}
	return keyError(err)
}

var errUnknownKey = fmt.Errorf("%w: its key is not known", ErrIntegrity)

// detach copies what points into a transaction.
func (f *found) detach(coll *collection) error {
	f.rawState = bytes.Clone(f.rawState)
	f.wrapped = bytes.Clone(f.wrapped)
	if f.revision.rawHeader == nil {
		return nil
	}
	rev, err := decodeRevision(encodeRevision(f.revision.rawHeader, f.revision.sealed), coll.names)
	f.revision = rev
	return err
}

// view runs fn in a read transaction with the opened key domain of an
// integration. When fn meets a key that the domain does not know, the domain is
// refreshed once and fn runs again; and each time that fn finds the domain stale.
func (s *Store) view(ctx context.Context, in *integration, fn func(tx kv.ReadTx, dom *envelope.Domain) error) error {
	for try := 0; ; try++ {
		dom, err := s.domains.Open(ctx, in.doc.UID)
		if err != nil {
			return keyError(err)
		}
		err = s.engine.View(ctx, func(tx kv.ReadTx) error { return fn(tx, dom) })
		switch stale := errors.Is(err, errStaleKeys); {
		case stale && try >= totalTries:
			return fmt.Errorf("%w: the keys of the integration are not those that are said to be in force", ErrIntegrity)
		case !stale && (try > 0 || !errors.Is(err, errUnknownKey)):
			return engineError(err)
		}
		if err := s.domains.Restate(ctx, in.doc.UID); err != nil {
			return keyError(err)
		}
	}
}

// eraseTime returns the instant from which a revision must not be read: the
// earlier of the record's own and the collection's. Zero is never.
func (coll *collection) eraseTime(h *header) time.Time {
	at := h.eraseAt
	if coll.ttl > 0 {
		if due := h.updated.Add(coll.ttl); at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return at
}

// expired reports whether a revision must not be read any more.
func (coll *collection) expired(h *header, now time.Time) bool {
	at := coll.eraseTime(h)
	return !at.IsZero() && !now.Before(at)
}
