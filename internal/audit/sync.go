package audit

import (
	"errors"
	"fmt"
	"time"
)

var errStalled = fmt.Errorf("%w: the disk hangs", ErrUnavailable)

// syncLoop syncs the log again and again. A failed sync is told in an entry,
// once until a sync works again.
func (l *Log) syncLoop() {
	defer l.tasks.Done()
	tick := time.NewTicker(l.opts.SyncEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		err := l.syncOnce()
		if err != nil && !failing {
			_ = l.Write(&Entry{Phase: Event, Event: EventSyncFailed, Outcome: Failed,
				Detail: "Entries since the last sync may be missing after a crash of the machine."})
		}
		failing = err != nil
	}
}

// syncOnce syncs and closes retired files, and syncs the current one and the
// directory when there is reason to.
func (l *Log) syncOnce() error {
	dirty := l.dirty.Swap(false) // before the files are looked up: a later write sets it again
	l.mu.Lock()
	retired, current, newFile := l.retired, l.current, l.newFile
	l.retired, l.newFile = nil, false
	l.mu.Unlock()
	if !dirty && !newFile && len(retired) == 0 {
		return nil
	}
	var errs []error
	for _, f := range retired {
		errs = append(errs, f.Sync(), f.Close())
	}
	errs = append(errs, current.Sync())
	if newFile {
		errs = append(errs, l.opts.disk.syncDir(l.dir))
	}
	l.n.syncs.Add(1)
	err := errors.Join(errs...)
	if err != nil {
		l.n.syncFailures.Add(1)
		l.dirty.Store(true)
	}
	return err
}

// watchLoop fails those who wait for a write that hangs, so that a hanging disk
// holds up no more than the one request whose write it took.
func (l *Log) watchLoop() {
	defer l.tasks.Done()
	tick := time.NewTicker(l.opts.Stall / 8)
	defer tick.Stop()
	var seen uint64
	var since time.Time
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		flight := l.n.flights.Load()
		switch {
		case flight == l.n.landed.Load():
			seen = 0
		case flight != seen:
			seen, since = flight, time.Now()
		case time.Since(since) >= l.opts.Stall:
			l.giveUp(flight)
		}
	}
}

// giveUp ends the waiting of everybody but the one whose write hangs. Entries of
// a batch in flight may still get written: its writers were told that they were
// not, which errs on the safe side.
func (l *Log) giveUp(flight uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n.landed.Load() == flight || l.flight == nil {
		return
	}
	l.stalled = true
	l.finish(l.flight, errStalled)
	if l.open != nil {
		l.lose(l.open.n)
		l.finish(l.open, errStalled)
		l.open = nil
	}
}
