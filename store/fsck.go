package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// The kinds of damage that fsck tells apart.
const (
	damagedRecord   = "record"      // a record's state, or what the store knows of its number
	damagedRevision = "revision"    // header and sealed fields of a revision
	damagedDEK      = "wrapped key" // the wrapped DEK of a revision, or the header that it authenticates
	damagedField    = "field"       // a sealed field
	damagedIndex    = "index"       // the blind index, or a record's list of its tokens
	damagedLabel    = "label"       // the label index
	damagedChange   = "change"      // the change index
	damagedCounter  = "counter"     // a count, or the floor of revision numbers
	damagedControl  = "control"     // a control-plane value
	damagedKeyset   = "keyset"      // a wrapped keyset, or the generation in force
	damagedExpiry   = "expiry"      // what waits for its time to be erased
	damagedRequest  = "idempotency" // an idempotency key
	damagedOther    = "operation"   // an entry of the operations table
	damagedMeta     = "meta"        // what the file says of itself
)

// maxDamages bounds the damages that a report lists; the others are counted.
const maxDamages = 10_000

// Fsck reads the whole store and tells what is damaged: entries that cannot be
// read or that nothing belongs to, values that do not authenticate for their
// place, indexes and counts that are not what the records say. With Deep it
// also opens every field and makes every index token anew.
//
// It changes nothing, and may run while the store serves: it reads in short
// transactions, and what does not fit is looked at once more, all of it in one
// transaction and with the definitions of that moment, before it is told. The
// counts of a collection that never stops changing are left unjudged. Keysets
// are unwrapped anew; a key service that is away is an error, since nothing can
// then be said of what it guards.
//
// Some bytes nothing vouches for, and fsck does not see them change: when a
// record was deleted and by which operation, what the operations table tells,
// and a control value or a record that is missing with everything that belongs
// to it.
func (s *Store) Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	f := &fsck{s: s, ctx: ctx, o: o, keysets: map[uid.UID][]envelope.WrappedKeyset{}}
	f.domains = envelope.NewDomains(s.id, s.keys, s, envelope.Options{Deadline: fsckDeadline})
	defer f.domains.Close()
	if err := f.run(); err != nil {
		return FsckReport{}, err
	}
	return f.report, nil
}

// fsck is one check under way.
type fsck struct {
	s       *Store
	ctx     context.Context
	o       FsckOptions
	domains *envelope.Domains // of its own, so that every keyset is opened anew
	system  *envelope.System
	plane   *plane
	keysets map[uid.UID][]envelope.WrappedKeyset // what a domain was opened from

	coll  *collection      // the one that is being walked
	dom   *envelope.Domain // its keys; nil when they cannot be had
	again bool             // an entry is being looked at once more: nothing is counted

	report    FsckReport
	done, all uint64 // records and revisions
}

func (f *fsck) run() error {
	if err := f.control(); err != nil || f.plane == nil {
		return err
	}
	if err := errors.Join(f.checkDomains(), f.estimate()); err != nil {
		return err
	}
	for _, c := range f.plane.order() {
		if err := f.collection(c); err != nil {
			return err
		}
	}
	if err := f.strays(); err != nil {
		return err
	}
	return f.rest()
}

// collection checks everything that is keyed by one collection.
func (f *fsck) collection(c uid.UID) error {
	f.coll = f.plane.collections[c]
	if err := f.enter(); err != nil {
		return err
	}
	for _, part := range []struct {
		table kv.Table
		visit visit
	}{
		{kv.Records, f.record}, {kv.Revisions, f.revision}, {kv.DEKs, f.wrappedKey}, {kv.Tokens, f.tokens},
		{kv.Index, f.index}, {kv.Labels, f.label}, {kv.Changes, f.change}, {kv.Counters, f.counter},
	} {
		if err := f.walk(part.table, c[:], part.visit); err != nil {
			return err
		}
	}
	f.report.Collections++
	return f.recount()
}

// enter opens the keys of the collection that is about to be walked. When they
// cannot be had, which control has told of, its records are checked without.
func (f *fsck) enter() error {
	f.dom = nil
	dom, err := f.open(f.coll.integration.doc.UID)
	if err == nil {
		f.dom = dom
	}
	return away(f.ctx, err)
}

// away returns an error that says nothing about the store: the key service, or
// the disk, could not be asked.
func away(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, envelope.ErrIntegrity), errors.Is(err, envelope.ErrKeyDisabled):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, vaultkeys.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrKeyServiceUnavailable, err)
	case errors.Is(err, vaultkeys.ErrRefused):
		return nil
	}
	return err
}

// open opens a key domain, and remembers the keysets that it was opened from.
func (f *fsck) open(integration uid.UID) (*envelope.Domain, error) {
	if _, known := f.keysets[integration]; !known {
		sets, err := f.s.Keysets(f.ctx, integration)
		if err != nil {
			return nil, err
		}
		f.keysets[integration] = sets
	}
	return f.domains.Open(f.ctx, integration)
}

// add puts damages into the report, up to a bound.
func (f *fsck) add(damages ...Damage) {
	for _, d := range damages {
		if len(f.report.Damages) < maxDamages {
			f.report.Damages = append(f.report.Damages, d)
		} else {
			f.report.Omitted++
		}
	}
}

// count adds to a number of the report, once an entry.
func (f *fsck) count(n *uint64, by int) {
	if !f.again {
		*n += uint64(by)
	}
}

// estimate foresees how much there is to read, from the counters.
func (f *fsck) estimate() error {
	return f.view(func(tx kv.ReadTx) {
		for c := range f.plane.collections {
			for _, name := range []string{counterRecords, counterDeleted, counterRevisions} {
				f.all += counter(tx, c, name)
			}
		}
	})
}

func (f *fsck) progress() {
	if f.o.Progress != nil {
		f.all = max(f.all, f.done)
		f.o.Progress(f.done, f.all)
	}
}

// order returns the collections in the order of their names.
func (p *plane) order() []uid.UID {
	ids := make([]uid.UID, 0, len(p.collections))
	for c := range p.collections {
		ids = append(ids, c)
	}
	slices.SortFunc(ids, func(a, b uid.UID) int {
		return compareWhere(p.collections[a], p.collections[b])
	})
	return ids
}

func compareWhere(a, b *collection) int {
	x, y := a.where(), b.where()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// where names a collection for people.
func (coll *collection) where() string { return coll.integration.name + "/" + coll.name }
