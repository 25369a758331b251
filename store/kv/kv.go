// Package kv is what the store asks of the engine that its transactions run
// on: ordered tables of bytes, read transactions that see one moment, and
// write transactions that are durable when Update returns.
package kv

import (
	"context"
	"errors"
)

// Table names an ordered map from key to value. Tables exist from the start:
// an engine creates those of Tables when it opens a file.
type Table uint8

// The tables. What their keys and values hold is drawn in package store.
const (
	Meta        Table = iota // one value a name: format, store uid
	Control                  // sealed control-plane values: roles, clients, schemas, ...
	Keysets                  // wrapped Tink keysets
	Generations              // the keyset generation of each integration
	Records                  // the mutable state of a record
	Revisions                // immutable header and sealed fields of a revision
	DEKs                     // the wrapped DEK of a revision
	Tokens                   // the index tokens that a record holds
	Index                    // blind index: token to record
	Labels                   // label to record
	Changes                  // commit sequence number to record
	Expiry                   // instants at which something must be erased
	Idempotency              // idempotency keys
	Counters                 // sharded counts
	Operations               // operations of the control plane
	tableCount
)

// Tables returns every table, in a fixed order.
func Tables() []Table {
	all := make([]Table, tableCount)
	for i := range all {
		all[i] = Table(i)
	}
	return all
}

var tableNames = [tableCount]string{
	"meta", "control", "keysets", "generations", "records", "revisions", "deks", "tokens",
	"index", "labels", "changes", "expiry", "idempotency", "counters", "operations",
}

// String returns the table's name: the bucket it is kept in.
func (t Table) String() string {
	if t < tableCount {
		return tableNames[t]
	}
	return "unknown"
}

// ReadTx reads one moment of the tables. Byte slices that it hands out are
// valid, and must not be changed, until the transaction ends.
//
// A read that fails in the engine answers as if nothing were there, and the
// transaction as a whole then fails: what was read must not be used when View
// or Update returned an error.
type ReadTx interface {
	// Get returns the value of key, nil when there is none.
	Get(t Table, key []byte) []byte
	// Scan calls fn for each key from <= key < to in ascending order until fn
	// returns false. A nil to means the end of the table. In a write
	// transaction fn must not change the table that is being scanned.
	Scan(t Table, from, to []byte, fn func(key, value []byte) bool)
	// ScanBack is Scan in descending order, over the same range.
	ScanBack(t Table, from, to []byte, fn func(key, value []byte) bool)
}

// Tx is a write transaction; it reads its own writes. Keys and values handed
// to Put must not be changed until Update has returned.
type Tx interface {
	ReadTx
	Put(t Table, key, value []byte)
	Delete(t Table, key []byte)
}

// Class says who waits for a write: a bulk write queues behind interactive
// ones.
type Class uint8

// The classes.
const (
	Interactive Class = iota
	Bulk
)

// Engine runs transactions.
//
// Update runs fn in a write transaction, serialised with all others, and
// returns after the transaction is durable. Several calls may share a commit.
// fn checks first, then applies: when it returns an error before its first Put
// or Delete, only its own call fails. An error or a panic after a write undoes
// the shared transaction, which is then run again without it; fn can therefore
// run more than once, and must set what it captured afresh each time. A panic
// in fn is raised again in the caller of Update. size is the number of bytes
// that fn is about to write, near enough; it bounds what shares a commit.
// A context that ends before fn was started takes the call off the queue;
// after that the call waits for its outcome.
//
// View runs fn on the last durable commit: what it reads, a crash does not take
// back. A View that begins after an Update has returned sees what that wrote.
//
// Update and View are safe for concurrent use, but fn must not call Update, nor
// wait for somebody who does. View must not be held for more than about 100 ms:
// walk long ranges in chunks, a transaction each.
type Engine interface {
	View(ctx context.Context, fn func(ReadTx) error) error
	Update(ctx context.Context, class Class, size int, fn func(Tx) error) error
	Close() error
}

// Entry is one key and value of a table, as it travels into a copy.
// Deleted entries take back one that the copy already has.
type Entry struct {
	Table   Table
	Key     []byte
	Value   []byte
	Deleted bool
}

// Snapshotter is an engine that can be copied while it runs. Snapshot hands
// every entry of one moment (the last one of the call) to emit; an entry can
// come more than once, and the later one counts. An error of emit ends it.
type Snapshotter interface {
	Snapshot(ctx context.Context, emit func(Entry) error) error
}

var (
	// ErrNotPersisted comes when a commit failed and it was made sure, from
	// the disk, that nothing of it was stored. Trying again is safe.
	ErrNotPersisted = errors.New("the write failed and was not stored")
	// ErrOutcomeUnknown comes when a commit failed and the disk could not be
	// asked whether it holds the write.
	ErrOutcomeUnknown = errors.New("the write failed and it is not known whether it was stored")
	// ErrBusy comes from Snapshot next to another maintenance of the engine.
	ErrBusy = errors.New("another maintenance of the data file is running")
	// ErrClosed comes from an engine that was closed, or that could not be
	// opened again after a failed commit.
	ErrClosed = errors.New("the store is closed")
)
