package bolt

import (
	"context"
	"time"

	"strongroom/store/kv"
)

// A chunk is what one short read transaction takes out of the file: bounded in
// bytes and in time, so that no reader pins old pages for long.
type chunk struct {
	entries []kv.Entry
	arena   []byte
	started time.Time
}

const (
	chunkBytes = 1 << 20
	chunkTime  = 20 * time.Millisecond
	// clockEvery is after how many entries the clock is looked at.
	clockEvery = 32
)

// begin empties the chunk. Its entries are gone then, for the space is reused.
func (c *chunk) begin() {
	c.entries, c.arena, c.started = c.entries[:0], c.arena[:0], time.Now()
}

// full reports whether the transaction should end.
func (c *chunk) full() bool {
	return len(c.arena) >= chunkBytes ||
		len(c.entries)%clockEvery == clockEvery-1 && time.Since(c.started) > chunkTime
}

// add copies an entry; a nil value stands for one that is deleted.
func (c *chunk) add(t kv.Table, key, value []byte) {
	c.entries = append(c.entries, kv.Entry{
		Table: t, Key: c.keep(key), Value: c.keep(value), Deleted: value == nil,
	})
}

// keep copies b behind what the arena holds. When the arena has to grow, what
// was handed out before stays where it is.
func (c *chunk) keep(b []byte) []byte {
	if len(c.arena)+len(b) > cap(c.arena) {
		c.arena = make([]byte, 0, max(chunkBytes+chunkBytes/4, len(b)))
	}
	start := len(c.arena)
	c.arena = append(c.arena, b...)
	return c.arena[start:len(c.arena):len(c.arena)]
}

// readChunk fills c with entries of t from key from on. It returns where the
// next chunk begins, nil at the end of the table.
func (e *Engine) readChunk(ctx context.Context, t kv.Table, from []byte, c *chunk) (next []byte, err error) {
	err = e.View(ctx, func(tx kv.ReadTx) error {
		c.begin()
		next = nil
		tx.Scan(t, from, nil, func(key, value []byte) bool {
			if c.full() {
				next = append([]byte(nil), key...)
				return false
			}
			c.add(t, key, value)
			return true
		})
		return nil
	})
	return next, err
}

// readKeys fills c with the present values of keys, in their order, and
// returns those that remain.
func (e *Engine) readKeys(ctx context.Context, keys []dirtyKey, c *chunk) (rest []dirtyKey, err error) {
	err = e.View(ctx, func(tx kv.ReadTx) error {
		c.begin()
		for rest = keys; len(rest) > 0 && !c.full(); rest = rest[1:] {
			key := []byte(rest[0].key)
			c.add(rest[0].table, key, tx.Get(rest[0].table, key))
		}
		return nil
	})
	return rest, err
}

// copyTables hands every table to write, chunk by chunk. What is committed
// meanwhile can be missing: the dirty log knows of it.
func (e *Engine) copyTables(ctx context.Context, write func([]kv.Entry) error) error {
	var c chunk
	for _, t := range kv.Tables() {
		for from, more := []byte(nil), true; more; more = from != nil {
			next, err := e.readChunk(ctx, t, from, &c)
			if err != nil {
				return err
			}
			if err := write(c.entries); err != nil {
				return err
			}
			from = next
		}
	}
	return nil
}

// copyKeys hands the present values of keys to write, chunk by chunk.
func (e *Engine) copyKeys(ctx context.Context, keys []dirtyKey, write func([]kv.Entry) error) error {
	var c chunk
	for len(keys) > 0 {
		rest, err := e.readKeys(ctx, keys, &c)
		if err != nil {
			return err
		}
		if err := write(c.entries); err != nil {
			return err
		}
		keys = rest
	}
	return nil
}
