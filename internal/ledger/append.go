package ledger

import (
	"errors"
	"fmt"
)

var errNoKeys = errors.New("it was not opened with the keys of the store")

// Append adds entries and returns when they are durable. Callers that come
// while others are being written share one write and one fsync. An entry that
// could not be written is ErrUnavailable: it stays in memory, and is written
// before the next one.
func (l *Ledger) Append(entries ...Entry) error {
	wait := make(chan error, 1)
	l.mu.Lock()
	l.queue = append(l.queue, entries...)
	l.waiting = append(l.waiting, wait)
	l.mu.Unlock()
	select {
	case err := <-wait:
		return err
	case <-l.pen:
	}
	l.flush()
	l.pen <- struct{}{}
	return <-wait
}

// Flush writes what could not be written before.
func (l *Ledger) Flush() error {
	l.mu.Lock()
	idle := len(l.queue) == 0
	l.mu.Unlock()
	if idle {
		return nil
	}
	return l.Append()
}

// flush writes all that waits, and tells whoever waits for it. The caller has
// the pen.
func (l *Ledger) flush() {
	l.mu.Lock()
	entries, waiting, mac := l.queue, l.waiting, l.mac
	l.queue, l.waiting = nil, nil
	l.mu.Unlock()
	err := l.write(entries, mac)
	if err != nil {
		l.mu.Lock()
		l.queue = append(entries, l.queue...)
		l.mu.Unlock()
	}
	for _, wait := range waiting {
		wait <- err
	}
}

// write makes entries durable, all of them or none. The caller has the pen.
func (l *Ledger) write(entries []Entry, mac MAC) error {
	if len(entries) == 0 {
		return nil
	}
	if mac == nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, errNoKeys)
	}
	l.mu.Lock()
	next := &Ledger{size: l.size, last: l.last, head: l.head, epoch: l.epoch, began: l.began}
	l.mu.Unlock()
	var all []byte
	for i := range entries {
		e := &entries[i]
		e.Number, e.Prev = next.last.Number+1, next.head
		if e.At.IsZero() {
			e.At = l.now()
		}
		e.At = e.At.UTC()
		line, err := e.encode(mac)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := next.follow(line, e); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		all = append(append(all, line...), '\n')
	}
	if err := l.put(all); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size, l.last, l.head, l.epoch, l.began, l.mac = next.size, next.last, next.head, next.epoch, next.began, mac
	return nil
}

// put writes at the end and makes it durable; on a failure the file is cut back
// to what it was, at once or before the next write.
func (l *Ledger) put(all []byte) error {
	if l.unclean {
		if err := l.f.Truncate(l.size); err != nil {
			return err
		}
	}
	l.unclean = true
	_, err := l.f.WriteAt(all, l.size)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		return errors.Join(err, l.f.Truncate(l.size))
	}
	l.unclean = false
	return nil
}
