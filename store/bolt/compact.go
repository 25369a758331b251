package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// CompactStats says what a compaction did.
type CompactStats struct {
	Before, After int64         // the file's size in bytes
	Entries       int64         // entries that were copied
	Replayed      int64         // entries among them that writes had changed meanwhile
	Rounds        int           // how often the changes were replayed before the last time
	Pause         time.Duration // how long writers waited
	Took          time.Duration
}

// copyFill is how full pages are made: a little room keeps the next writes
// from splitting every page they touch.
const copyFill = 0.9

// Compact rewrites the file without its free pages, while reads and writes go
// on: readers never stop, writers wait for the last few changes. When it
// returns, the old file is gone and its last reader with it, so that deleted
// bytes are no longer in any file of the engine's. Before that the old file is
// untouched; an error or a crash leaves it in place, unless the error wraps
// kv.ErrClosed. It fails with ErrBusy next to another maintenance, and with
// ErrOutrun when the writes are faster than the copy.
func (e *Engine) Compact(ctx context.Context) (CompactStats, error) {
	start := time.Now()
	ctx, done, err := e.maintain(ctx)
	if err != nil {
		return CompactStats{}, err
	}
	defer done()
	c := &compaction{engine: e, ctx: ctx, path: e.path + compactSuffix}
	if err := c.run(); err != nil {
		return CompactStats{}, fmt.Errorf("compact: %w", err)
	}
	c.stats.Took = time.Since(start)
	return c.stats, nil
}

// compaction is one run of Compact.
type compaction struct {
	engine *Engine
	ctx    context.Context
	path   string
	db     *bbolt.DB // the copy
	stats  CompactStats
}

func (c *compaction) run() (err error) {
	if c.stats.Before, err = fileSize(c.engine.path); err != nil {
		return err
	}
	if err := removeIfThere(c.path); err != nil {
		return err
	}
	if c.db, err = newDB(c.path, c.engine.opts); err != nil {
		return err
	}
	c.engine.watch()
	defer c.engine.unwatch()
	if err := c.copy(); err != nil {
		return errors.Join(err, c.db.Close(), removeIfThere(c.path))
	}
	old, err := c.swap()
	if err != nil {
		return err
	}
	return c.leave(old)
}

// copy brings the copy close to the file, syncing it only between
// rounds.
func (c *compaction) copy() error {
	c.db.NoSync, c.db.NoGrowSync = true, true
	if err := c.engine.copyTables(c.ctx, c.write); err != nil {
		return err
	}
	if err := c.step("copied"); err != nil {
		return err
	}
	copied := c.stats.Entries
	rounds, err := c.engine.catchUp(c.ctx, c.write, c.db.Sync)
	if err != nil {
		return err
	}
	c.stats.Rounds, c.stats.Replayed = rounds, c.stats.Entries-copied
	return c.step("caught up")
}

// write applies entries to the copy in one transaction.
func (c *compaction) write(entries []kv.Entry) error {
	if err := context.Cause(c.ctx); err != nil {
		return err
	}
	c.stats.Entries += int64(len(entries))
	return c.db.Update(func(tx *bbolt.Tx) error { return apply(tx, entries) })
}

// apply writes entries into their tables.
func apply(tx *bbolt.Tx, entries []kv.Entry) error {
	var b *bbolt.Bucket
	for i, entry := range entries {
		if i == 0 || entries[i-1].Table != entry.Table {
			b = tx.Bucket(tableName(entry.Table))
			b.FillPercent = copyFill
		}
		var err error
		if entry.Deleted {
			err = b.Delete(entry.Key)
		} else {
			err = b.Put(entry.Key, entry.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// swap makes the copy complete and the engine's file, while writers wait, and
// returns the old one.
func (c *compaction) swap() (old *bbolt.DB, err error) {
	e := c.engine
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	start := time.Now()
	defer func() { c.stats.Pause = time.Since(start) }()

	if err := c.complete(); err != nil {
		return nil, errors.Join(err, c.db.Close(), removeIfThere(c.path))
	}
	if err := os.Rename(c.path, e.path); err != nil {
		return nil, errors.Join(err, c.db.Close(), removeIfThere(c.path))
	}
	if err := errors.Join(c.step("renamed"), syncDir(e.path)); err != nil {
		return nil, c.stranded(err)
	}
	next := newState(c.db, nil)
	if next.err != nil {
		return nil, c.stranded(next.err)
	}
	return e.become(next), nil
}

// complete replays the last changes into the copy and makes it durable. One
// fsync is enough: nobody looks at the copy before it is whole.
func (c *compaction) complete() error {
	e := c.engine
	number, err := e.currentNumber()
	if err != nil {
		return err
	}
	keys, err := e.takeDirtyLocked()
	if err != nil {
		return err
	}
	c.stats.Replayed += int64(len(keys))
	if err := e.copyKeys(c.ctx, keys, c.write); err != nil {
		return err
	}
	err = c.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(tableName(kv.Meta)).SetSequence(number)
	})
	if err := errors.Join(err, c.db.Sync()); err != nil {
		return err
	}
	c.db.NoSync, c.db.NoGrowSync = false, false
	return c.step("complete")
}

// currentNumber is the number of the last commit.
func (e *Engine) currentNumber() (uint64, error) {
	m, err := e.moment(e.life)
	if err != nil {
		return 0, err
	}
	defer m.release()
	return m.number(), nil
}

// stranded is called when the copy has taken the file's name, but it is not
// known whether the disk will remember that. Nothing may be written to either
// file until it is.
func (c *compaction) stranded(cause error) error {
	err := errors.Join(cause, c.db.Close())
	c.engine.breakDown(err)
	return fmt.Errorf("%w: %w", kv.ErrClosed, err)
}

// leave closes the old file once its readers are gone.
func (c *compaction) leave(old *bbolt.DB) (err error) {
	if err := old.Close(); err != nil {
		return fmt.Errorf("close the old file: %w", err)
	}
	c.stats.After, err = fileSize(c.engine.path)
	return err
}

func (c *compaction) step(name string) error { return c.engine.opts.hooks.step(name) }

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
