package rotate

import (
	"context"
	"time"
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
}

// Kind is a kind of jobs. Load returns those that have not ended; Run calls it
// once, before any step, and again as long as it fails.
type Kind interface {
	Load(ctx context.Context, m *Manager) ([]Job, error)
}

// Enlist has a job carried on; one with the same id is replaced.
func (m *Manager) Enlist(j Job) {}

// Wake steps a job soon that waits; another one is left alone.
func (m *Manager) Wake(id string) {}

// Dismiss interrupts a job, and returns when no step of it is under way. It
// must not be called by a step.
func (m *Manager) Dismiss(id string) {}
