package store

import (
	"context"
	"errors"

	"strongroom/envelope"
)

// chunk is values of one table that a sweep moves, and how far it comes with
// them.
type chunk struct {
	table   byte
	items   []item // in the order of their keys
	end     position
	scanned uint64
	bytes   int  // of revisions
	dense   bool // nearly every value of the range is among the items
	sealing uint32
	index   uint32 // the primary generations that it was made with
	epoch   uint64 // of the integration's definitions
	err     error
}

// item is a value that is not under the primary key.
type item struct {
	key, old []byte
	fresh    []byte // what takes the place of old
	value    []byte // of the Revisions table; with Reseal, what takes its place
	digest   [32]byte
	tokens   *retoken
	why      error // it does not open, and stays
}

// first returns the beginning of a chunk: at most n items.
func (c *chunk) first(n int) *chunk {
	if n >= len(c.items) {
		return c
	}
	part := *c
	part.items = c.items[:n]
	part.end = position{c.table, part.items[n-1].key}
	part.scanned = uint64(n)
	return &part
}

// after returns what of the chunk comes after its first part; nil: nothing.
func (c *chunk) after(part *chunk) *chunk {
	if part == c {
		return nil
	}
	rest := *c
	rest.items = c.items[len(part.items):]
	rest.scanned = c.scanned - min(part.scanned, c.scanned)
	return &rest
}

// prepare reads a chunk from a position on and makes what takes the place of
// its values. When it meets a key that the domain does not know, the domain is
// opened anew, and what is unknown then is damage.
func (w *Sweeper) prepare(ctx context.Context, from position, size, workers int) *chunk {
	c, err := w.read(ctx, from, size, workers)
	if err == nil && c.unknown() {
		if err = keyError(w.s.domains.Refresh(ctx, w.d.UID)); err == nil {
			c, err = w.read(ctx, from, size, workers)
		}
	}
	if err != nil {
		return &chunk{err: err}
	}
	return c
}

// unknown reports whether a key was met that the domain does not know.
func (c *chunk) unknown() bool {
	for i := range c.items {
		if errors.Is(c.items[i].why, envelope.ErrUnknownKey) {
			return true
		}
	}
	return false
}

func (w *Sweeper) read(ctx context.Context, from position, size, workers int) (*chunk, error) {
	keys, err := w.keys(ctx)
	if err != nil {
		return nil, err
	}
	c := &chunk{table: from.table, end: from, sealing: keys.sealing, index: keys.index, epoch: keys.epoch}
	c.items = make([]item, 0, min(size, 2*defaultEntries))
	for more := true; more; {
		if more, err = w.extend(ctx, c, keys, size); err != nil {
			return nil, err
		}
	}
	c.dense = uint64(len(c.items))*4 >= c.scanned
	if err := w.make(ctx, c, keys, workers); err != nil {
		return nil, err
	}
	return c, nil
}

// sweepKeys are the opened keys that a chunk is made with.
type sweepKeys struct {
	epoch          uint64
	dom            *envelope.Domain
	system         *envelope.System
	keyID          uint32
	sealing, index uint32
}

func (w *Sweeper) keys(ctx context.Context) (k sweepKeys, err error) {
	if w.d.System() {
		if k.system, err = w.s.domains.System(ctx); err != nil {
			return k, keyError(err)
		}
		k.keyID = k.system.KeyID()
		k.sealing, k.index = k.system.Generation()
		return k, nil
	}
	in, err := w.s.catalog.Load().domainOf(w.d)
	if err != nil {
		return k, err
	}
	k.epoch = in.generation.epoch
	if k.dom, err = w.s.domains.Open(ctx, w.d.UID); err != nil {
		return k, keyError(err)
	}
	k.keyID = k.dom.KeyID()
	k.sealing, k.index = k.dom.Generation()
	return k, nil
}
