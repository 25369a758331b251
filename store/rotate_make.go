package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom/envelope"
	"strongroom/internal/uid"
)

// make makes what takes the place of the items, on several goroutines.
func (w *Sweeper) make(ctx context.Context, c *chunk, keys sweepKeys, workers int) error {
	ranges := max(1, min(workers, len(c.items)/64))
	errs := make([]error, ranges)
	var wait sync.WaitGroup
	for n := range ranges {
		items := c.items[n*len(c.items)/ranges : (n+1)*len(c.items)/ranges]
		work := func() { errs[n] = w.remake(ctx, c.table, keys, items) }
		if n == ranges-1 {
			work()
		} else {
			wait.Go(work)
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (w *Sweeper) remake(ctx context.Context, table byte, keys sweepKeys, items []item) error {
	switch {
	case table == sweepsTokens:
		return w.retokenAll(ctx, keys, items)
	case table == sweepsControl:
		resealControl(keys.system, items)
	case w.o.Reseal:
		w.resealAll(keys.dom, items)
	default:
		w.rewrapAll(keys.dom, items)
	}
	return nil
}

// wrappedSize is room for one wrapped DEK.
const wrappedSize = 80

// rewrapAll brings wrapped DEKs under the primary key. They share one
// allocation.
func (w *Sweeper) rewrapAll(dom *envelope.Domain, items []item) {
	arena := make([]byte, 0, len(items)*wrappedSize)
	for i := range items {
		it := &items[i]
		if it.why != nil {
			continue
		}
		id, ok := w.identity(it.key)
		if !ok {
			it.why = damaged("wrapped key", errLayout)
			continue
		}
		start := len(arena)
		next, err := dom.RewrapDigest(id, it.digest, it.old, arena)
		if err != nil {
			it.why = err
			continue
		}
		arena = next
		it.fresh = arena[start:len(arena):len(arena)]
	}
}

// identity returns what the values of a revision are bound to.
func (w *Sweeper) identity(key []byte) (envelope.Identity, bool) {
	c, record, number, ok := splitRevisionKey(key)
	return envelope.Identity{Store: w.s.id, Integration: w.d.UID, Collection: c, Record: record, Revision: number}, ok
}

// resealAll seals revisions anew, under fresh DEKs.
func (w *Sweeper) resealAll(dom *envelope.Domain, items []item) {
	for i := range items {
		it := &items[i]
		if it.why == nil {
			it.why = w.reseal(dom, it)
		}
	}
}

func (w *Sweeper) reseal(dom *envelope.Domain, it *item) error {
	id, ok := w.identity(it.key)
	if !ok {
		return damaged("wrapped key", errLayout)
	}
	rev, err := decodeRevision(it.value, nil)
	if err != nil {
		return damaged("revision", err)
	}
	fields := make([]envelope.SealedField, len(rev.sealed))
	for i, path := range rev.header.fields {
		fields[i] = envelope.SealedField{Path: path, Text: rev.sealed[i]}
	}
	sealed, err := dom.Reseal(id, rev.rawHeader, it.old, fields)
	if err != nil {
		return err
	}
	it.fresh, it.value = sealed.DEK, encodeRevision(rev.rawHeader, sealed.Fields)
	return nil
}

// resealControl brings control values under the primary key of the system. Their
// versions stay: nobody has changed them.
func resealControl(system *envelope.System, items []item) {
	for i := range items {
		it := &items[i]
		kind, id, _ := bytes.Cut(it.key, []byte{0})
		v, err := decodeControlValue(it.old)
		if err == nil {
			v.sealed, err = system.Reseal(string(kind), string(id), v.version, v.sealed)
		}
		if err != nil {
			it.why = err
			continue
		}
		it.fresh = v.encode()
	}
}

// placeOf names a value for people, by its key in a table.
func placeOf(cat *catalog, table byte, key []byte) string {
	if table == sweepsControl {
		kind, id, _ := bytes.Cut(key, []byte{0})
		return string(kind) + "/" + string(id)
	}
	if c, id, revision, ok := splitRevisionKey(key); ok && table == sweepsDEKs {
		return fmt.Sprintf("%s/%s revision %d", cat.nameOf(c), id, revision)
	}
	var c uid.UID
	n := copy(c[:], key)
	return cat.nameOf(c) + "/" + string(key[n:])
}
