// Package bolt is the engine of the store on one bbolt file. It implements
// kv.Engine and kv.Snapshotter, and is the only package that imports bbolt.
//
// # Writing
//
// One goroutine, the committer, owns bbolt's write transaction. Update hands
// it an operation and waits. The committer runs whatever waits in one
// transaction, commits it with bbolt's two fdatasync calls, and wakes the
// callers; while it does, the next batch gathers in the queue. Nothing waits
// for a timer.
//
// # What a failed commit means
//
// After a failed fsync the page cache can no longer be trusted: it may show
// bytes that never reached the disk. The engine therefore closes the file,
// drops its cached pages, opens it again and compares the commit number that
// the file holds with the number of the batch. The number is the sequence of
// the meta bucket, which lies on a page that every commit writes anyway. So a
// caller is told that a write is stored, that it is not (kv.ErrNotPersisted),
// or, when the file can't be opened again, that it is not known
// (kv.ErrOutcomeUnknown).
//
// # Reading
//
// Readers never wait for writers, for a compaction or for a snapshot, and see
// nothing that is not durable: they share one read transaction of the last
// durable commit. A large stretch of address space is mapped from the start,
// because bbolt stops everything to map again when a file outgrows its mapping
// while a reader is open.
package bolt
