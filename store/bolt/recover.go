package bolt

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/store/kv"
)

// How often a failed commit tries to open the file again before its callers
// are told that the outcome is unknown, and how patiently it is tried after.
const (
	reopenTries    = 3
	reopenPause    = 20 * time.Millisecond
	healPause      = 50 * time.Millisecond
	healPauseLimit = 5 * time.Second
	drainLimit     = time.Second
)

// settleFailure finds out what became of a commit that failed: nil when the
// disk holds it after all. It is called by the committer.
func (e *Engine) settleFailure(number uint64, cause error) error {
	e.log.Error("a commit failed; asking the disk what it holds", "commit", number, "error", cause)
	next, err := e.reopenSoon()
	if err != nil {
		return e.giveUp(number, errors.Join(cause, err))
	}
	e.become(next)
	found := next.now.Load().number()
	switch {
	case found >= number:
		e.log.Warn("the failed commit is stored", "commit", number)
		return nil
	case found < number-1:
		e.log.Error("the disk has lost commits that it had confirmed", "commit", number, "found", found)
	}
	return fmt.Errorf("%w: %w", kv.ErrNotPersisted, cause)
}

// giveUp stops serving until heal has opened the file again.
func (e *Engine) giveUp(number uint64, cause error) error {
	e.log.Error("the file can't be opened again; not serving until it can", "commit", number, "error", cause)
	e.breakDown(cause)
	return fmt.Errorf("%w: %w", kv.ErrOutcomeUnknown, cause)
}

// breakDown makes every call answer kv.ErrClosed and begins to heal.
func (e *Engine) breakDown(cause error) {
	old := e.become(newState(nil, fmt.Errorf("%w: the data file can't be opened again: %w", kv.ErrClosed, cause)))
	if old != nil {
		e.leaving = make(chan struct{})
		go closeOld(old, e.leaving)
	}
	e.work.Go(e.heal)
}

// errReaders says that readers keep the old file open.
var errReaders = errors.New("readers have not let go of the file yet")

// reopenSoon closes the file and opens it again, trying a few times. Readers
// wait meanwhile, but not for ever: one that is itself waited for (it reads
// within a read) is freed by giving up.
func (e *Engine) reopenSoon() (next *state, err error) {
	e.leaving = make(chan struct{})
	go closeOld(e.become(newState(nil, nil)), e.leaving)
	select {
	case <-e.leaving:
	case <-time.After(drainLimit):
		return nil, errReaders
	}
	for try := range reopenTries {
		if next, err = e.reopenState(); err == nil || !e.pause(reopenPause<<try) {
			return next, err
		}
	}
	return nil, err
}

// closeOld closes a file once its readers are gone.
func closeOld(db *bbolt.DB, gone chan<- struct{}) {
	if db != nil {
		_ = db.Close() // what it fails at is found out at the next opening
	}
	close(gone)
}

// reopen opens the file anew, as the disk has it.
func (e *Engine) reopen() (*bbolt.DB, error) {
	select {
	case <-e.leaving:
	default:
		return nil, errReaders
	}
	if err := e.opts.hooks.reopen(); err != nil {
		return nil, err
	}
	if err := dropCache(e.path); err != nil {
		return nil, fmt.Errorf("read the file afresh: %w", err)
	}
	if err := syncDir(e.path); err != nil {
		return nil, err
	}
	return openFile(e.path, e.opts)
}

func (e *Engine) reopenState() (*state, error) {
	db, err := e.reopen()
	if err != nil {
		return nil, err
	}
	s := newState(db, nil)
	if s.err != nil {
		return nil, errors.Join(s.err, db.Close())
	}
	return s, nil
}

// heal opens the file again as soon as that succeeds.
func (e *Engine) heal() {
	for wait := healPause; e.pause(wait); wait = min(2*wait, healPauseLimit) {
		next, err := e.reopenState()
		if err != nil {
			e.log.Warn("the file still can't be opened", "error", err)
			continue
		}
		e.writeMu.Lock()
		e.become(next)
		e.writeMu.Unlock()
		e.log.Info("the file is open again")
		return
	}
}

// pause sleeps; false when the engine is being closed.
func (e *Engine) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.life.Done():
		return false
	}
}
