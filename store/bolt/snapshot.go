package bolt

import (
	"context"

	"strongroom/store/kv"
)

// Snapshot implements kv.Snapshotter. Writers don't wait for it; emit is called outside of any transaction and may be
// slow. It fails with ErrBusy next to another maintenance, and with ErrOutrun
// when emit is slower than the writes. The slices of an entry are valid until
// emit returns.
func (e *Engine) Snapshot(ctx context.Context, emit func(kv.Entry) error) error {
	ctx, done, err := e.maintain(ctx)
	if err != nil {
		return err
	}
	defer done()
	e.watch()
	defer e.unwatch()

	write := func(entries []kv.Entry) error { return emitAll(ctx, entries, emit) }
	if err := e.copyTables(ctx, write); err != nil {
		return err
	}
	if _, err := e.catchUp(ctx, write, func() error { return nil }); err != nil {
		return err
	}
	last, err := e.lastEntries(ctx)
	if err != nil {
		return err
	}
	return write(last)
}

func emitAll(ctx context.Context, entries []kv.Entry, emit func(kv.Entry) error) error {
	for _, entry := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := emit(entry); err != nil {
			return err
		}
	}
	return nil
}

// lastEntries returns the present values of the keys that are still dirty: the
// moment in which it reads them is the snapshot's.
func (e *Engine) lastEntries(ctx context.Context) ([]kv.Entry, error) {
	keys, m, err := e.lastMoment(ctx)
	if err != nil {
		return nil, err
	}
	defer m.release()
	var c chunk
	err = m.view(func(tx kv.ReadTx) error {
		for _, k := range keys {
			key := []byte(k.key)
			c.add(k.table, key, tx.Get(k.table, key))
		}
		return nil
	})
	return c.entries, err
}

// lastMoment takes the dirty keys and begins to read with no write in between.
func (e *Engine) lastMoment(ctx context.Context) ([]dirtyKey, *moment, error) {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	keys, err := e.takeDirtyLocked()
	if err != nil {
		return nil, nil, err
	}
	m, err := e.moment(ctx)
	return keys, m, err
}
