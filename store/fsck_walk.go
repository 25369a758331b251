package store

import (
	"bytes"
	"context"
	"errors"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// fsckDeadline is how long the opening of a key domain may take.
const fsckDeadline = 10 * time.Second

// visit judges one entry, with whatever belongs to it in the same transaction.
type visit func(tx kv.ReadTx, key, value []byte) []Damage

// walk judges the entries under a prefix, in short transactions. What does not
// fit is judged once more before it is told: the definitions and the keys that
// it was judged by may have been replaced meanwhile.
func (f *fsck) walk(t kv.Table, prefix []byte, v visit) error {
	var suspects [][]byte
	err := f.scan(t, prefix, after(prefix), func(tx kv.ReadTx, key, value []byte) {
		if len(v(tx, key, value)) == 0 {
			return
		}
		if len(f.report.Damages)+len(suspects) < maxDamages {
			suspects = append(suspects, bytes.Clone(key))
		} else {
			f.report.Omitted++
		}
	})
	for _, key := range suspects {
		if err == nil {
			err = f.confirm(t, key, v)
		}
	}
	return err
}

// scan hands every entry of a range to fn and tells of the progress.
func (f *fsck) scan(t kv.Table, from, to []byte, fn func(tx kv.ReadTx, key, value []byte)) error {
	return f.s.scan(f.ctx, t, from, to, f.progress, fn)
}

// scan hands every entry of a range to fn, in read transactions of chunkTime
// each, and calls between after each of them.
func (s *Store) scan(ctx context.Context, t kv.Table, from, to []byte, between func(), fn func(tx kv.ReadTx, key, value []byte)) error {
	for more := true; more; {
		err := s.engine.View(ctx, func(tx kv.ReadTx) error {
			more = false
			began, first := time.Now(), true
			tx.Scan(t, from, to, func(key, value []byte) bool {
				if !first && time.Since(began) > chunkTime {
					from, more = bytes.Clone(key), true
					return false
				}
				first = false
				fn(tx, key, value)
				return true
			})
			return nil
		})
		if err != nil {
			return engineError(err)
		}
		between()
	}
	return nil
}

func (f *fsck) view(fn func(tx kv.ReadTx)) error {
	return engineError(f.s.engine.View(f.ctx, func(tx kv.ReadTx) error { fn(tx); return nil }))
}

// confirm judges an entry once more, by the definitions and keys of now. One
// that is gone is not damaged.
func (f *fsck) confirm(t kv.Table, key []byte, v visit) error {
	f.again = true
	defer func() { f.again = false }()
	for judged := false; !judged; {
		if err := f.renew(); err != nil {
			return err
		}
		var err error
		if judged, err = f.judge(t, key, v); err != nil {
			return err
		}
	}
	return nil
}

// judge judges an entry while no definition can change. It reports false, and
// tells nothing, when one has changed just before.
func (f *fsck) judge(t kv.Table, key []byte, v visit) (judged bool, err error) {
	f.s.controlMu.Lock()
	defer f.s.controlMu.Unlock()
	if f.s.catalog.Load() != f.plane.seen {
		return false, nil
	}
	var damages []Damage
	err = f.view(func(tx kv.ReadTx) {
		if value := tx.Get(t, key); value != nil {
			damages = v(tx, key, value)
		}
	})
	if err == nil {
		f.add(damages...)
	}
	return true, err
}

// renew reads the control plane again when it has changed, and opens the keys
// of the collection at hand again when its keysets have.
func (f *fsck) renew() error {
	if err := errors.Join(f.renewSystem(), f.renewPlane()); err != nil || f.coll == nil {
		return err
	}
	if coll := f.plane.collections[f.coll.doc.UID]; coll != nil {
		f.coll = coll
	}
	in := f.coll.integration.doc.UID
	sets, err := f.s.Keysets(f.ctx, in)
	if err != nil || sameKeysets(sets, f.keysets[in]) {
		return err
	}
	f.keysets[in] = sets
	if err := f.domains.Refresh(f.ctx, in); err != nil {
		return away(f.ctx, err)
	}
	return f.enter()
}

// renewSystem opens the system domain again when its keys have changed.
func (f *fsck) renewSystem() error {
	current := false
	err := f.view(func(tx kv.ReadTx) { current = systemCurrent(tx, f.system) })
	if err != nil || current {
		return err
	}
	if err := f.domains.Refresh(f.ctx, uid.Zero); err != nil {
		return away(f.ctx, err)
	}
	system, err := f.domains.System(f.ctx)
	if err == nil {
		f.system = system
	}
	return away(f.ctx, err)
}

func sameKeysets(a, b []envelope.WrappedKeyset) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Purpose != b[i].Purpose || a[i].Generation != b[i].Generation || a[i].State != b[i].State || !bytes.Equal(a[i].Blob, b[i].Blob) {
			return false
		}
	}
	return true
}

// explain says what an error of the envelope means, without a value.
func explain(err error) string {
	var bad *envelope.IntegrityError
	switch {
	case errors.Is(err, envelope.ErrKeyDisabled):
		return "it is sealed under a key that is disabled"
	case errors.Is(err, envelope.ErrUnknownKey):
		return "it names a key that no keyset has"
	case errors.Is(err, errLayout):
		return "its bytes have not the layout that they should have"
	case errors.As(err, &bad) && bad.Damage == envelope.DamageWrappedKey:
		return "it does not authenticate: it, or the header of its revision, was changed or belongs elsewhere"
	case errors.As(err, &bad) && bad.Damage == envelope.DamageKeyset:
		return err.Error()
	case errors.As(err, &bad) && bad.Damage == envelope.DamageFormat:
		return "its bytes have not the layout that they should have"
	case errors.As(err, &bad):
		return "it does not authenticate: it was changed or belongs elsewhere"
	}
	return err.Error()
}
