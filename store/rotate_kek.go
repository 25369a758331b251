package store

import (
	"context"
	"fmt"

	"strongroom/envelope"
	"strongroom/store/kv"
)

// KEKLatest asks the key service for the version of the domain's KEK that wraps.
func (s *Store) KEKLatest(ctx context.Context, c Caller, d KeyDomain) (int, error) {
	if err := s.mayOperate(c, d); err != nil {
		return 0, err
	}
	info, err := s.keys.Describe(ctx, s.kekName(d))
	return info.Latest, keyError(err)
}

// mayOperate authorises an act on the keys of a domain, which must be in use.
func (s *Store) mayOperate(c Caller, d KeyDomain) error {
	if err := authoriseKeys(c); err != nil {
		return err
	}
	_, err := s.catalog.Load().domainOf(d)
	return err
}

// onKEK carries out an act on a domain's KEK at the key service, under an
// operation of its own. It is for acts that find out by themselves what was
// done already.
func (s *Store) onKEK(c Caller, action string, d KeyDomain, do func(op *operation) error) (err error) {
	op := s.startKeys(c, action, d)
	defer func() { err = op.end(err) }()
	if err := s.mayOperate(c, d); err != nil {
		return err
	}
	err = do(op)
	s.keks.forget(d.UID)
	return err
}

// RotateKEK adds a version to the domain's KEK, unless there is one newer than
// from already: an earlier call has made it, or somebody at the key service. It
// returns the latest version.
func (s *Store) RotateKEK(ctx context.Context, c Caller, d KeyDomain, from int) (latest int, err error) {
	err = s.onKEK(c, "rotate-kek", d, func(op *operation) error {
		info, err := s.keys.Describe(ctx, s.kekName(d))
		if latest = info.Latest; err != nil || latest > from {
			return keyError(err)
		}
		if err := op.intent(); err != nil {
			return err
		}
		latest, err = s.keys.Rotate(ctx, s.kekName(d))
		return keyError(err)
	})
	return latest, err
}

// RewrapKeysets wraps every keyset of the domain that is not under the latest
// version of its KEK under that one, and returns how many it moved. The keys
// stay as they are.
func (s *Store) RewrapKeysets(ctx context.Context, c Caller, d KeyDomain, rows ...Row) (moved int, err error) {
	err = s.onKEK(c, "rewrap-keysets", d, func(op *operation) error {
		writes, err := rowWrites(rows)
		if err != nil {
			return err
		}
		info, err := s.keys.Describe(ctx, s.kekName(d))
		if err != nil {
			return keyError(err)
		}
		moved, err = s.rewrapKeysets(ctx, op, d, info.Latest, writes)
		return err
	})
	if err != nil {
		return 0, err
	}
	return moved, keyError(s.domains.Refresh(ctx, d.UID))
}

func (s *Store) rewrapKeysets(ctx context.Context, op *operation, d KeyDomain, latest int, rows []controlWrite) (int, error) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	p, err := s.planFor(ctx, d)
	if err != nil {
		return 0, err
	}
	old, err := s.below(p.was.keysets, latest)
	if err != nil {
		return 0, err
	}
	if p.puts, err = envelope.RewrapKeysets(ctx, s.keys, s.id, d.UID, old); err != nil {
		return 0, keyError(err)
	}
	if rows, err = s.unstored(ctx, rows); err != nil || !p.changes() && len(rows) == 0 {
		return 0, err
	}
	if err := op.intent(); err != nil {
		return 0, err
	}
	op.entry.Count = uint64(len(old))
	return len(old), p.carryOut(ctx, op, rows)
}

// below returns the keysets that are under a version of their KEK below one.
func (s *Store) below(keysets []envelope.WrappedKeyset, version int) (old []envelope.WrappedKeyset, err error) {
	for _, k := range keysets {
		v, err := k.KEKVersion(s.keys)
		if err != nil {
			return nil, keyError(err)
		}
		if v < version {
			old = append(old, k)
		}
	}
	return old, nil
}

// KEKLeft counts the domain's keysets that are under a version of its KEK below
// one. It asks nobody but the disk.
func (s *Store) KEKLeft(ctx context.Context, d KeyDomain, version int) (n int, err error) {
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		old, err := s.below(readKeysets(tx, d.UID), version)
		n = len(old)
		return err
	})
	return n, engineError(err)
}

// RetireKEK makes a version of the domain's KEK the lowest that wraps and
// unwraps at the key service, which can be undone there. It is refused while a
// keyset is under an older one.
func (s *Store) RetireKEK(ctx context.Context, c Caller, d KeyDomain, version int) error {
	return s.onKEK(c, "retire-kek", d, func(op *operation) error {
		info, err := s.noneBelow(ctx, d, version)
		if err != nil || info >= version {
			return err
		}
		if err := op.intent(); err != nil {
			return err
		}
		if d.System() { // the ledger carries keysets, which may be under the old versions
			if err := s.useLedger(ctx); err != nil {
				return err
			}
		}
		return keyError(s.keys.SetMinimum(ctx, s.kekName(d), version))
	})
}

// noneBelow refuses while a keyset is under an older version of the KEK than
// this, and returns the lowest one that unwraps.
func (s *Store) noneBelow(ctx context.Context, d KeyDomain, version int) (minimum int, err error) {
	left, err := s.KEKLeft(ctx, d, version)
	if err != nil {
		return 0, err
	}
	if left > 0 {
		return 0, &Conflict{Detail: fmt.Sprintf("%s: %d keysets are under versions of the key-encryption key below %d", d, left, version)}
	}
	info, err := s.keys.Describe(ctx, s.kekName(d))
	return info.Minimum, keyError(err)
}

// TrimKEK destroys the versions of the domain's KEK below one, for good: with
// them every copy of the store that was made before its keysets left them. It is
// refused before RetireKEK, and without a verified backup that it leaves
// readable.
func (s *Store) TrimKEK(ctx context.Context, c Caller, d KeyDomain, version int) error {
	return s.onKEK(c, "trim-kek", d, func(op *operation) error {
		minimum, err := s.noneBelow(ctx, d, version)
		if err != nil {
			return err
		}
		if minimum < version {
			return &Conflict{Detail: fmt.Sprintf("%s: version %d of the key-encryption key still unwraps: retire it first", d, minimum)}
		}
		if err := s.backedUp(ctx, d, version); err != nil {
			return err
		}
		if err := op.intent(); err != nil {
			return err
		}
		if err := s.noteTrim(ctx, op, d, version); err != nil {
			return err
		}
		return keyError(s.keys.Trim(ctx, s.kekName(d), version))
	})
}

// backedUp refuses unless every keyset that the last verified backup has of the
// domain is under this version of its KEK, or a newer one. No clock has a say.
func (s *Store) backedUp(ctx context.Context, d KeyDomain, version int) error {
	known, err := s.knownBackup(ctx)
	if err == nil && known.KEKs[d.UID] < version {
		err = ErrNoBackup
	}
	return err
}
