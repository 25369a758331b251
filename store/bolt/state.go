package bolt

import (
	"context"
	"errors"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"strongroom/store/kv"
)

// state is what the engine can do at the moment: it has an open file (db), it
// is opening the file again (neither), or it can't serve (err).
type state struct {
	db      *bbolt.DB
	err     error
	changed chan struct{} // closed when another state takes over
}

// become replaces the state and wakes whoever waited for that. It is called
// with writeMu held, and returns the file that was open before, if any.
func (e *Engine) become(db *bbolt.DB, err error) *bbolt.DB {
	old := e.state.Swap(&state{db: db, err: err, changed: make(chan struct{})})
	close(old.changed)
	return old.db
}

// opened returns the open file, waiting while it is being opened again.
func (e *Engine) opened(ctx context.Context) (*bbolt.DB, error) {
	for {
		s := e.state.Load()
		if s.db != nil || s.err != nil {
			return s.db, s.err
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// beginRead starts a read transaction on the file of the moment. When that
// file is replaced in between, bbolt refuses and the new one is tried.
func (e *Engine) beginRead(ctx context.Context) (*bbolt.Tx, error) {
	for {
		db, err := e.opened(ctx)
		if err != nil {
			return nil, err
		}
		tx, err := db.Begin(false)
		if err == nil || !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return tx, err
		}
	}
}

// View implements kv.Engine.
func (e *Engine) View(ctx context.Context, fn func(kv.ReadTx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := e.beginRead(ctx)
	if err != nil {
		return err
	}
	r := newReader(tx)
	faults := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(faults)
		tx.Rollback()
		if r.err != nil && err == nil {
			err = r.err
		}
		r.release()
	}()
	return fn(r)
}
