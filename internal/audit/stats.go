package audit

import "sync/atomic"

// counters are plain atomics; whoever exports metrics polls Stats.
type counters struct {
	entries, refused, bytes, writes, rotations, syncs, syncFailures atomic.Uint64

	lost      atomic.Uint64 // refused, and not yet told in a gap event
	lostSince atomic.Int64  // Unix nanoseconds of the first of them, else 0
	failing   atomic.Bool   // the last write failed
	size      atomic.Int64  // of the current file
	number    atomic.Int64  // of the current file

	flights, landed atomic.Uint64 // writes begun, and the last one that ended
}

// Stats is what the log counted since it was opened.
type Stats struct {
	Entries      uint64 // written
	Refused      uint64 // not written: their callers got ErrUnavailable
	Lost         uint64 // refused, and not yet told of in the log
	Bytes        uint64 // written
	Writes       uint64 // calls of write(2) that worked
	Rotations    uint64
	Syncs        uint64
	SyncFailures uint64
	File         string // name of the current file
	Size         int64  // of the current file, bytes
	Unavailable  bool   // the last write failed, or one hangs
}

// Stats returns the counts. Each is exact; together they are of one moment only
// when nobody writes.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	stalled := l.stalled || l.closed
	l.mu.Unlock()
	return Stats{
		Entries: l.n.entries.Load(), Refused: l.n.refused.Load(), Lost: l.n.lost.Load(),
		Bytes: l.n.bytes.Load(), Writes: l.n.writes.Load(), Rotations: l.n.rotations.Load(),
		Syncs: l.n.syncs.Load(), SyncFailures: l.n.syncFailures.Load(),
		File: fileName(int(l.n.number.Load())), Size: l.n.size.Load(),
		Unavailable: stalled || l.n.failing.Load(),
	}
}
