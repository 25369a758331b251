package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/audit"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// ErrLedger comes when the ledger of erasures is not the one that belongs to
// the store: it was cut, changed or replaced by an older copy, or it is gone.
var ErrLedger = errors.New("the ledger of erasures does not belong to this store")

// ledgerMAC is the purpose of the MACs of the ledger's entries.
const ledgerMAC = "ledger"

// markID is the only id of its kind.
const markID = "mark"

// ledgerMark is how far this store knows the ledger: what the entries up to
// there tell has been done in it. It lies in the store, sealed, so that a
// ledger that lacks some of them is noticed; and in a backup it tells from which
// entry on a restored store has to be put right.
type ledgerMark struct {
	Entries uint64      `json:"entries"`
	Hash    ledger.Hash `json:"hash"` // of the last of them
	version uint64
}

// openLedger makes sure that the ledger is the one of this store, does what it
// tells and this store does not know (it was restored, then), and adds what the
// store did and could not write before the process ended.
func (s *Store) openLedger(ctx context.Context, renew string) error {
	if torn := s.ledger.Torn(); torn > 0 {
		s.tellLedger("ledger_torn", fmt.Sprintf("a crash had left %d bytes of a half written entry; they were cut off", torn))
	}
	if err := s.verifyLedger(ctx); err != nil {
		return err
	}
	if err := s.ledgerKeyStands(ctx); err != nil && renew == "" {
		return err
	}
	mark, err := s.readMark(ctx)
	if err != nil {
		return err
	}
	known, err := s.holdsMark(mark)
	switch {
	case err != nil:
		return err
	case !known && renew == "":
		return fmt.Errorf("%w: %s: the store has seen %d entries, and the file has not these: it was cut, an older copy was put back, or it is gone; "+
			"put the right one back, or go on with this one, which is audited: see `strongroom ledger renew`", ErrLedger, s.ledger.Path(), mark.Entries)
	}
	if err := s.useLedger(ctx); err != nil {
		return err
	}
	if !known {
		mark = ledgerMark{version: mark.version}
		if err := s.renewLedger(renew); err != nil {
			return err
		}
	}
	s.marked = mark
	if err := s.reapply(ctx, mark.Entries); err != nil {
		return fmt.Errorf("do again what the ledger %s tells: %w", s.ledger.Path(), err)
	}
	if err := s.rebuildLedger(ctx); err != nil {
		return err
	}
	return s.markLedger(ctx)
}

// verifyLedger checks who wrote the ledger, with the keysets that it carries.
func (s *Store) verifyLedger(ctx context.Context) error {
	epoch, ok := s.ledger.Epoch()
	if !ok {
		return nil
	}
	if epoch.Store != s.id {
		return fmt.Errorf("%w: %s is of store %s, and this store is %s", ErrLedger, s.ledger.Path(), epoch.Store, s.id)
	}
	domains := envelope.NewDomains(s.id, s.keys, fixedKeysets(keysetsOf(epoch.Keysets)), envelope.Options{Deadline: fsckDeadline})
	defer domains.Close()
	system, err := domains.System(ctx)
	if err != nil {
		return fmt.Errorf("the ledger %s cannot be verified: %w", s.ledger.Path(), keyError(err))
	}
	return s.ledger.Verify(func(body []byte) (ledger.Hash, error) {
		sum, err := system.MAC(ledgerMAC, body)
		return ledger.Hash(sum), keyError(err)
	})
}

// ledgerKeyStands refuses a ledger whose last entries were MACed under a key that
// this store has destroyed: the ledger left that key before. Whoever may have it
// could write entries of his own, under its keysets, which older entries carry.
func (s *Store) ledgerKeyStands(ctx context.Context) error {
	epoch, ok := s.ledger.Epoch()
	if !ok {
		return nil
	}
	at, err := s.readKeys(ctx, KeyDomain{})
	if err != nil {
		return err
	}
	ref := envelope.KeyRef{Purpose: envelope.PurposeSystemMAC}
	for _, k := range keysetsOf(epoch.Keysets) {
		if k.Purpose == ref.Purpose && (k.State == envelope.StatePrimary || k.State == 0 && k.Generation > ref.Generation) {
			ref.Generation = k.Generation
		}
	}
	if life := at.history.find(ref); life != nil && !life.DestroyedAt.IsZero() {
		return fmt.Errorf("%w: %s: its last entries are under a key that was destroyed at %s; put the right one back, or go on with this one, which is audited: "+
			"see `strongroom ledger renew`", ErrLedger, s.ledger.Path(), life.DestroyedAt.Format(time.RFC3339))
	}
	return nil
}

func keysetsOf(all []ledger.Keyset) []envelope.WrappedKeyset {
	sets := make([]envelope.WrappedKeyset, len(all))
	for i, k := range all {
		sets[i] = envelope.WrappedKeyset{Purpose: envelope.Purpose(k.Purpose), Generation: k.Generation, State: envelope.KeyState(k.State), Blob: k.Blob}
	}
	return sets
}

// useLedger has entries MACed under the keys that are in force now. When these
// are others than those of the last entries, an entry says so. It is to be
// called before a key of the system domain is destroyed.
func (s *Store) useLedger(ctx context.Context) error {
	if s.ledger == nil {
		return nil
	}
	sets, err := s.Keysets(ctx, uid.Zero)
	if err != nil {
		return err
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return keyError(err)
	}
	return s.useKeysets(sets, system, func() (*envelope.System, error) { return s.domains.System(context.Background()) })
}

// useKeysets is useLedger with keysets, and the domain that they open to.
func (s *Store) useKeysets(sets []envelope.WrappedKeyset, now *envelope.System, later func() (*envelope.System, error)) error {
	note := ledger.Note{Store: s.id}
	for _, k := range sets {
		note.Keysets = append(note.Keysets, ledger.Keyset{Purpose: uint8(k.Purpose), Generation: k.Generation, State: uint8(k.State), Blob: k.Blob})
	}
	_, generation := now.Generation()
	err := s.ledger.Use(note, func(body []byte) (ledger.Hash, error) {
		system, err := later()
		if err != nil {
			return ledger.Hash{}, keyError(err)
		}
		sum, err := system.MACAt(generation, ledgerMAC, body)
		return ledger.Hash(sum), keyError(err)
	})
	if errors.Is(err, ledger.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrLedgerUnavailable, err)
	}
	return err
}

// renewLedger notes that somebody goes on with a ledger that lacks entries.
func (s *Store) renewLedger(reason string) error {
	s.tellLedger("ledger_renewed", reason)
	return s.append(uid.Zero, time.Time{}, ledger.Note{Kind: ledger.Renewed, Reason: reason})
}

// append adds notes to the ledger and returns when they are durable.
func (s *Store) append(operation uid.UID, at time.Time, notes ...ledger.Note) error {
	if s.ledger == nil || len(notes) == 0 {
		return nil
	}
	entries := make([]ledger.Entry, len(notes))
	for i, note := range notes {
		entries[i] = ledger.Entry{At: at, Operation: operation, Note: note}
		if at.IsZero() {
			entries[i].At = s.now()
		}
	}
	if err := s.ledger.Append(entries...); err != nil {
		return fmt.Errorf("%w: %w", ErrLedgerUnavailable, err)
	}
	return nil
}

// keepNotes writes what an operation has to tell the ledger, once it is stored
// and before it is acknowledged. Where it is not known whether it was stored,
// the sweep looks.
func (s *Store) keepNotes(op *operation, err error) error {
	notes := op.notes
	op.notes = nil
	switch {
	case len(notes) == 0 || s.ledger == nil:
		return err
	case errors.Is(err, ErrOutcomeUnknown):
		s.unnoted.Store(true)
		return err
	case err != nil:
		return err
	}
	return s.append(op.id, time.Time{}, notes...)
}

// sweepLedger writes what could not be written before, follows a change of
// keys, and moves the mark.
func (s *Store) sweepLedger(ctx context.Context) error {
	if s.ledger == nil {
		return nil
	}
	if err := s.useLedger(ctx); err != nil {
		return err
	}
	if err := s.ledger.Flush(); err != nil {
		return fmt.Errorf("%w: %w", ErrLedgerUnavailable, err)
	}
	if s.unnoted.Load() {
		if err := s.rebuildLedger(ctx); err != nil {
			return err
		}
		s.unnoted.Store(false)
	}
	return s.markLedger(ctx)
}

// rebuildSlack is how far clocks may have gone back between operations that are
// looked for.
const rebuildSlack = 24 * time.Hour

// rebuildLedger adds the notes of operations that the ledger has not: the
// process ended between the commit and the append.
func (s *Store) rebuildLedger(ctx context.Context) error {
	there, from, err := s.lastNoted()
	if err != nil {
		return err
	}
	var missing []ledger.Entry
	err = s.scan(ctx, kv.Operations, from, nil, noWork, func(_ kv.ReadTx, key, value []byte) {
		id, ok := operationID(key)
		notes, err := decodeNotes(value)
		if !ok || err != nil || there[id] {
			return // fsck tells of what cannot be read
		}
		for _, note := range notes {
			missing = append(missing, ledger.Entry{At: operationTime(id), Operation: id, Note: note})
		}
	})
	if err != nil || len(missing) == 0 {
		return engineError(err)
	}
	if err := s.ledger.Append(missing...); err != nil {
		return fmt.Errorf("%w: %w", ErrLedgerUnavailable, err)
	}
	s.tellLedger("ledger_rebuilt", fmt.Sprintf("%d entries were added that an end of the process, or of the disk, had left out", len(missing)))
	return nil
}

// lastNoted returns the latest operations that the ledger has, and the key in
// the Operations table from which on there can be others.
func (s *Store) lastNoted() (there map[uid.UID]bool, from []byte, err error) {
	var last time.Time
	err = s.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if at := operationTime(e.Operation); at.After(last) {
			last = at
		}
		return nil
	})
	since := last.Add(-rebuildSlack)
	if last.UnixMilli() > 0 {
		from = binary.BigEndian.AppendUint64(nil, uint64(since.UnixMilli())<<16)
	}
	there = map[uid.UID]bool{}
	again := s.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if !operationTime(e.Operation).Before(since) {
			there[e.Operation] = true
		}
		return nil
	})
	return there, from, errors.Join(err, again)
}

func operationID(key []byte) (id uid.UID, ok bool) {
	return id, copy(id[:], key) == len(id)
}

// operationTime is when an operation began: see newOperationID.
func operationTime(id uid.UID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// readMark reads how far the store knows the ledger; zero when it knows of none.
func (s *Store) readMark(ctx context.Context) (mark ledgerMark, err error) {
	var bad error
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, _ bool) error {
		mark, bad = ledgerMark{}, nil
		openControl(system, tx, kindLedger, func(_ string, v uint64, doc ledgerMark) {
			mark = doc
			mark.version = v
		}, func(_ string, err error) { bad = fmt.Errorf("how far the store knows the ledger: %w", keyError(err)) })
		return nil
	})
	return mark, errors.Join(err, bad)
}

// holdsMark reports whether the ledger has the entry that a mark is at.
func (s *Store) holdsMark(mark ledgerMark) (holds bool, err error) {
	if mark.Entries == 0 {
		return true, nil
	}
	err = s.ledger.Each(func(e *ledger.Entry, hash ledger.Hash) error {
		holds = holds || e.Number == mark.Entries && hash == mark.Hash
		return nil
	})
	return holds, err
}

// markLedger writes how far the store knows the ledger, when that changed.
func (s *Store) markLedger(ctx context.Context) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	next := ledgerMark{version: s.marked.version + 1}
	if next.Entries, next.Hash = s.ledger.Head(); next.Hash == s.marked.Hash {
		return nil
	}
	writes := []controlWrite{{kind: kindLedger, id: markID, replaces: s.marked.version, doc: next}}
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	err := s.updateSealed(ctx, kv.Bulk, writes, nil, func(tx kv.Tx) error { return applyControl(tx, writes) })
	if err == nil {
		s.marked = next
		return nil
	}
	if again, bad := s.readMark(ctx); bad == nil {
		s.marked = again // what the disk holds decides
	}
	return engineError(err)
}

// tellLedger audits and logs what became of the ledger.
func (s *Store) tellLedger(event, detail string) {
	s.logger.Warn(event, "ledger", s.ledger.Path(), "detail", detail)
	if s.audit == nil {
		return
	}
	e := audit.Entry{Phase: audit.Event, Time: s.now(), Event: event, Target: "ledger", Detail: detail}
	if err := s.audit.Write(&e); err != nil {
		s.logger.Error("the audit log cannot be written", "error", err)
	}
}
