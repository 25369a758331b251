package rotate

import (
	"context"
	"errors"
	"time"

	"strongroom/store"
)

// Job is something that is carried on step by step: a part of a rotation, an
// erasure. Its methods are called by one goroutine, one at a time.
type Job interface {
	// ID is unique among all jobs.
	ID() string
	// Urgent jobs go before all others; else they take turns.
	Urgent() bool
	// Step does the next thing, for no longer than is good for the other jobs,
	// and writes down that it is done. It is called again after any error, and
	// after a crash: then it finds out what was done. The context ends when the
	// job is interrupted or the program ends.
	Step(ctx context.Context) (Next, error)
	// Waits is told, after a step that met something temporary, that the job
	// goes on by itself at an instant. It is for those who ask how the job
	// stands, and cannot fail.
	Waits(reason error, until time.Time)
	// Fails is told that a step met something that waiting does not mend. The
	// job is not stepped again until it is enlisted again.
	Fails(ctx context.Context, reason error)
}

// Next says how a job goes on after a step.
type Next struct {
	Done bool
	// Wait is for how long the job has nothing to do: a grace period, say.
	Wait time.Duration
	why  string // it waits, for who asks how the job stands
}

// Kind is a kind of jobs. Load returns those that have not ended; Run calls it
// once, before any step, and again as long as it fails.
type Kind interface {
	Load(ctx context.Context, m *Manager) ([]Job, error)
}

// Awaits is the error of a step that cannot go on before something comes about
// that waiting may bring: a backup, the end of another job.
type Awaits struct {
	Detail string
	For    time.Duration // until it is tried again; 0: as after other errors
}

// Error says what is awaited.
func (e *Awaits) Error() string { return e.Detail }

// How long a job waits after a temporary error: doubled each time, up to the
// most. A key service that came back is noticed within that.
const (
	backoffLeast = 250 * time.Millisecond
	backoffMost  = 15 * time.Second
	backoffBusy  = time.Second // where a backup or a compaction was in the way: between two of them there may be little room
)

// temporary are the errors that waiting may mend: what is away comes back, what
// refuses a key is told to allow it, what must be alone ends.
var temporary = []error{
	store.ErrKeyServiceUnavailable, store.ErrKeyRefused, store.ErrAuditUnavailable,
	store.ErrNotPersisted, store.ErrOutcomeUnknown, store.ErrBusy, store.ErrNoBackup, store.ErrLedgerUnavailable,
	context.DeadlineExceeded, context.Canceled,
}

func isTemporary(err error) bool {
	if errors.As(err, new(*Awaits)) {
		return true
	}
	for _, t := range temporary {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// backoff returns how long to wait after the nth temporary error in a row.
func backoff(n int, err error) time.Duration {
	if awaits, ok := errors.AsType[*Awaits](err); ok && awaits.For > 0 {
		return awaits.For
	}
	most := backoffMost
	if errors.Is(err, store.ErrBusy) {
		most = backoffBusy
	}
	return min(backoffLeast<<min(n, 10), most)
}
