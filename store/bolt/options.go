package bolt

import (
	"log/slog"
	"time"

	"go.etcd.io/bbolt"
)

// Options tune an engine. The zero value is what a server should use.
type Options struct {
	// LockTimeout is how long Open waits for another process to let go of the
	// file. The default is one second.
	LockTimeout time.Duration
	// MmapSize is how much address space is mapped from the start, in bytes;
	// it takes no memory. The default is 64 GiB. Where the system refuses so
	// much, less is taken.
	MmapSize int
	// MaxBatchOps and MaxBatchBytes bound what shares a commit. The defaults
	// are 1024 operations and 4 MiB. A larger operation runs alone.
	MaxBatchOps   int
	MaxBatchBytes int
	// Logger hears of failed commits and of what became of them.
	Logger *slog.Logger

	hooks hooks
}

// hooks let the tests of this package play failures that disks are slow to
// produce. A nil hook does what the engine does.
type hooks struct {
	commit func(*bbolt.Tx) error   // in place of tx.Commit
	reopen func() error            // an error makes a reopening fail
	step   func(step string) error // called between the steps of a compaction
}

const (
	defaultLockTimeout   = time.Second
	defaultMmapSize      = 64 << 30
	defaultMaxBatchOps   = 1024
	defaultMaxBatchBytes = 4 << 20
)

func (o Options) withDefaults() Options {
	o.LockTimeout = orDefault(o.LockTimeout, defaultLockTimeout)
	o.MmapSize = orDefault(o.MmapSize, defaultMmapSize)
	o.MaxBatchOps = orDefault(o.MaxBatchOps, defaultMaxBatchOps)
	o.MaxBatchBytes = orDefault(o.MaxBatchBytes, defaultMaxBatchBytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.hooks.commit == nil {
		o.hooks.commit = (*bbolt.Tx).Commit
	}
	if o.hooks.reopen == nil {
		o.hooks.reopen = func() error { return nil }
	}
	if o.hooks.step == nil {
		o.hooks.step = func(string) error { return nil }
	}
	return o
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}
