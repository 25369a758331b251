package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// RestoreOptions go with a restore.
type RestoreOptions struct {
	// AcceptRollback is why a backup is restored although the ledger shows that
	// the store went on after it, or although the ledger is not there. It is
	// audited, and stands in the ledger.
	AcceptRollback string
}

// ErrRollback comes from a restore that would set a store back behind what its
// ledger tells, unless somebody takes that on himself.
var ErrRollback = errors.New("this restore sets the store back")

// checkLedger holds a backup that was read against the ledger, and notes the
// restore there. What was erased since the backup is erased again when the
// store is opened.
func (l *load) checkLedger(ctx context.Context, system *envelope.System, o RestoreOptions) error {
	s := l.s
	if s.ledger == nil {
		return nil
	}
	mark, err := l.mark(ctx, system)
	if err != nil {
		return err
	}
	known, err := s.holdsMark(mark)
	if err != nil {
		return err
	}
	behind, err := l.behind(mark, known)
	if err != nil {
		return err
	}
	if behind != "" && o.AcceptRollback == "" {
		return fmt.Errorf("%w: %s; to restore it all the same, say why with --accept-rollback, which is audited", ErrRollback, behind)
	}
	l.forgetMark = !known
	if err := s.useKeysets(l.b.keysets, system, func() (*envelope.System, error) { return system, nil }); err != nil {
		return err
	}
	if behind != "" {
		s.tellLedger("rollback_accepted", behind+": "+o.AcceptRollback)
	}
	created := l.b.created
	return s.append(uid.Zero, time.Time{}, ledger.Note{Kind: ledger.Restored, Sequence: l.b.sequence, Created: &created, Reason: o.AcceptRollback})
}

// mark reads how far the store of the backup knew the ledger.
func (l *load) mark(ctx context.Context, system *envelope.System) (mark ledgerMark, err error) {
	err = l.s.engine.View(ctx, func(tx kv.ReadTx) error {
		value := tx.Get(kv.Control, controlKey(kindLedger, markID))
		if value == nil {
			return nil
		}
		doc, v, err := openControlValue[ledgerMark](system, kindLedger, markID, value)
		mark = doc
		mark.version = v
		return keyError(err)
	})
	return mark, engineError(err)
}

// behind says in words what the ledger knows and the backup does not; empty
// when there is nothing.
func (l *load) behind(mark ledgerMark, known bool) (string, error) {
	if !known {
		return fmt.Sprintf("the backup knows %d entries of a ledger of erasures that is not the one in %s: "+
			"what was erased or revoked since cannot be erased or revoked again", mark.Entries, l.s.ledger.Path()), nil
	}
	later, erased := uint64(0), uint64(0)
	var last time.Time
	err := l.s.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if e.Number <= mark.Entries || !l.after(e) {
			return nil
		}
		later++
		erased += uint64(len(e.Records))
		last = e.At
		return nil
	})
	if later == 0 || err != nil {
		return "", err
	}
	return fmt.Sprintf("the ledger has %d entries of after this backup, the last of %s; they tell of %d records that were erased",
		later, last.Format(time.RFC3339), erased), nil
}

// after reports whether an entry tells that the store was further than the
// backup.
func (l *load) after(e *ledger.Entry) bool {
	switch e.Kind {
	case ledger.Keys, ledger.BackupVerified, ledger.Renewed, ledger.Restored:
		return false // they say nothing of what the store held
	case ledger.BackupMade:
		return e.Sequence > l.b.sequence
	}
	return e.At.After(l.b.created)
}

// keysGone says why the keys of a backup cannot be had, as far as the ledger
// knows: versions of its key-encryption key were trimmed. Of an integration it
// may be destroyed as well.
func (s *Store) keysGone(integration uid.UID) (why string) {
	if s.ledger == nil {
		return ""
	}
	err := s.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if e.Integration != integration {
			return nil
		}
		switch e.Kind {
		case ledger.Destroyed:
			why = "its key-encryption key was destroyed at " + e.At.Format(time.RFC3339)
		case ledger.Trimmed:
			why = fmt.Sprintf("the versions of its key-encryption key below %d were trimmed at %s", e.Version, e.At.Format(time.RFC3339))
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return why
}

// KeylessIntegration is an integration whose values cannot be opened.
type KeylessIntegration struct {
	Integration string `json:"integration"`
	Reason      string `json:"reason"`
}

// Keyless tries the keys of every integration, and returns those that the key
// service does not open, with what the ledger knows of it: a backup that is
// older than a trim, or than the end of a key, holds values that nothing opens.
func (s *Store) Keyless(ctx context.Context) (out []KeylessIntegration, err error) {
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.integrations) {
		in := cat.integrations[name]
		_, err := s.domains.Open(ctx, in.doc.UID)
		if err == nil {
			continue
		}
		if err = keyError(err); !errors.Is(err, ErrKeyRefused) && !errors.Is(err, ErrIntegrity) {
			return out, err
		}
		reason := s.keysGone(in.doc.UID)
		if reason == "" {
			reason = err.Error()
		}
		out = append(out, KeylessIntegration{name, reason})
	}
	return out, nil
}
