package bolt

import (
	"context"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// state is what the engine can do at the moment: it has an open file (db), it
// is opening the file again (neither), or it can't serve (err).
type state struct {
	db      *bbolt.DB
	err     error
	now     atomic.Pointer[moment] // what readers see of db
	changed chan struct{}          // closed when another state takes over
}

func newState(db *bbolt.DB, err error) *state {
	s := &state{db: db, err: err, changed: make(chan struct{})}
	if db == nil {
		return s
	}
	m, err := newMoment(db)
	if err != nil {
		return &state{err: err, changed: s.changed}
	}
	s.now.Store(m)
	return s
}

// become replaces the state and wakes whoever waited for that. It is called
// with writeMu held, and returns the file that was open before, if any.
func (e *Engine) become(next *state) *bbolt.DB {
	old := e.state.Swap(next)
	if m := old.now.Load(); m != nil {
		m.release()
	}
	close(old.changed)
	return old.db
}

// advance lets readers see what has just been committed. It is called by the
// committer, with writeMu held.
func (e *Engine) advance() error {
	s := e.state.Load()
	m, err := newMoment(s.db)
	if err != nil {
		return err
	}
	s.now.Swap(m).release()
	return nil
}

// moment returns the last commit for reading, waiting while the file is being
// opened again. The caller must release it.
func (e *Engine) moment(ctx context.Context) (*moment, error) {
	for {
		s := e.state.Load()
		switch {
		case s.err != nil:
			return nil, s.err
		case s.db != nil:
			if m := s.now.Load(); m.acquire() {
				return m, nil
			}
			continue // a newer one has taken its place
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
