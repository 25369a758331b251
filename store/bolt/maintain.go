package bolt

import (
	"context"
	"sync"

	"strongroom/store/kv"
)

// ErrBusy comes when the file is being maintained already: compacted, copied,
// checked, or held by Exclusive.
var ErrBusy = kv.ErrBusy

// Exclusive keeps compaction, snapshots and checks away until release is
// called, for work that must not run next to them. It fails with ErrBusy.
// Reads and writes go on.
func (e *Engine) Exclusive() (release func(), err error) {
	if !e.keeper.TryLock() {
		return nil, ErrBusy
	}
	return sync.OnceFunc(e.keeper.Unlock), nil
}

// maintain begins a maintenance. Its context ends also when the engine is
// closed, which waits until done has been called.
func (e *Engine) maintain(ctx context.Context) (_ context.Context, done func(), err error) {
	release, err := e.Exclusive()
	if err != nil {
		return nil, nil, err
	}
	e.workMu.Lock()
	defer e.workMu.Unlock()
	if e.life.Err() != nil {
		release()
		return nil, nil, kv.ErrClosed
	}
	e.work.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.life, func() { cancel(kv.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		release()
		e.work.Done()
	}, nil
}
