package bolt

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"strongroom/store/kv"
)

// Engine runs the store's transactions on one bbolt file. Its methods are safe
// for concurrent use.
type Engine struct {
	path  string
	opts  Options
	log   *slog.Logger
	state atomic.Pointer[state]
	queue *queue

	// writeMu is held by the committer while it runs a batch, and by whoever
	// needs that no batch runs. It guards state changes, batch and dirty.
	writeMu sync.Mutex
	batch   batch
	dirty   *dirtyLog
	leaving chan struct{} // closed when the file that failed is closed

	counters counters
	keeper   sync.Mutex // held while the file is being maintained

	life    context.Context // ends when Close begins
	end     context.CancelFunc
	drained chan struct{}  // closed when the committer has ended
	workMu  sync.Mutex     // keeps maintenance from beginning after end
	work    sync.WaitGroup // maintenance, and the opening of a file that failed
	closing sync.Once
	closed  error
}

var (
	_ kv.Engine      = (*Engine)(nil)
	_ kv.Snapshotter = (*Engine)(nil)
)

// Create makes an empty data file at path, mode 0600, and opens it. It fails
// with ErrExists when something is there already.
func Create(path string, o Options) (*Engine, error) {
	if err := createFile(path, o.withDefaults()); err != nil {
		return nil, err
	}
	return Open(path, o)
}

// Open opens the data file that Create has made at path. It fails with
// ErrMissing, ErrForeign, or, when another process keeps the file locked for
// longer than the timeout, ErrLocked; each names the file.
func Open(path string, o Options) (*Engine, error) {
	o = o.withDefaults()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	s := newState(db, nil)
	if s.err != nil {
		return nil, errors.Join(s.err, db.Close())
	}
	return start(path, o, s), nil
}

func start(path string, o Options, s *state) *Engine {
	e := &Engine{
		path:    path,
		opts:    o,
		log:     o.Logger,
		queue:   newQueue(o.MaxBatchOps, o.MaxBatchBytes),
		drained: make(chan struct{}),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.state.Store(s)
	go e.commitLoop(false)
	return e
}

// Path returns where the data file is.
func (e *Engine) Path() string { return e.path }

// Update implements kv.Engine. fn runs in the committer's goroutine and must
// not call Update itself.
func (e *Engine) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := newOp(class, size, fn)
	if !e.queue.push(o) {
		o.release()
		return kv.ErrClosed
	}
	return o.wait(ctx)
}

// Close lets the writes that wait finish, ends maintenance, waits for readers
// and closes the file. Calls that come later answer kv.ErrClosed.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		e.queue.close()
		<-e.drained
		e.workMu.Lock()
		e.end()
		e.workMu.Unlock()
		e.work.Wait()
		e.writeMu.Lock()
		defer e.writeMu.Unlock()
		if db := e.become(newState(nil, kv.ErrClosed)); db != nil {
			e.closed = db.Close()
		}
	})
	return e.closed
}
