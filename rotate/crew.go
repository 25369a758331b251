package rotate

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// crew carries jobs on: one step at a time, urgent jobs first, the others in
// turn. What waits is passed over until its time has come.
type crew struct {
	now    func() time.Time
	logger *slog.Logger
	wake   chan struct{}

	// turn is held during a step, and by whoever must find no step under way.
	turn chan struct{}

	mu        sync.Mutex
	jobs      map[string]*enlisted
	steps     uint64 // counts them; whose last step is the longest ago goes next
	interrupt context.CancelFunc
	stepping  string
}

type enlisted struct {
	job      Job
	at       time.Time // not before
	last     uint64
	attempts int // temporary errors in a row
}

func newCrew(now func() time.Time, logger *slog.Logger) *crew {
	c := &crew{now: now, logger: logger, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), jobs: map[string]*enlisted{}}
	return c
}

// rouse ends the wait of the goroutine that steps.
func (c *crew) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *crew) enlist(j Job) {
	c.mu.Lock()
	c.jobs[j.ID()] = &enlisted{job: j, last: c.steps}
	c.mu.Unlock()
	c.rouse()
}

func (c *crew) wakeUp(id string) {
	c.mu.Lock()
	if e := c.jobs[id]; e != nil {
		e.at, e.attempts = time.Time{}, 0
	}
	c.mu.Unlock()
	c.rouse()
}

func (c *crew) remove(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.jobs, id)
	}
}

// alone waits until no step is under way, and keeps the next one from
// beginning until the function is called that it returns. A step of one of the
// named jobs is interrupted.
func (c *crew) alone(ctx context.Context, ids ...string) (release func(), err error) {
	c.mu.Lock()
	for _, id := range ids {
		if id == c.stepping && c.interrupt != nil {
			c.interrupt()
		}
	}
	c.mu.Unlock()
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn; c.rouse() }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next picks the job to step at a moment. Without one it says how long none
// will be: forever when there are no jobs.
func (c *crew) next(now time.Time) (*enlisted, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *enlisted
	wait := time.Duration(1<<63 - 1)
	for _, e := range c.jobs {
		if due := e.at.Sub(now); due > 0 {
			wait = min(wait, due)
		} else if best == nil || before(e, best) {
			best = e
		}
	}
	if best != nil {
		return best, 0
	}
	return nil, wait
}

func before(a, b *enlisted) bool {
	if a.job.Urgent() != b.job.Urgent() {
		return a.job.Urgent()
	}
	if a.last != b.last {
		return a.last < b.last
	}
	return a.job.ID() < b.job.ID()
}

// step steps one job, if there is one to step now, and says how long nothing
// will be to do.
func (c *crew) step(ctx context.Context) time.Duration {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return 0
	}
	e, wait := c.next(c.now())
	if e == nil {
		return wait
	}
	c.run(ctx, e)
	return 0
}

func (c *crew) run(ctx context.Context, e *enlisted) {
	id := e.job.ID()
	stepCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.steps++
	e.last, c.stepping, c.interrupt = c.steps, id, cancel
	c.mu.Unlock()
	next, err := e.job.Step(stepCtx)
	c.mu.Lock()
	c.stepping, c.interrupt = "", nil
	c.mu.Unlock()
	switch {
	case ctx.Err() != nil: // the program ends: what the step did is found out when it starts again
		return
	case err != nil && stepCtx.Err() != nil: // interrupted, by whoever says how it goes on
		return
	}
	c.settle(ctx, e, next, err)
}

// settle says when a job is stepped again, if at all.
func (c *crew) settle(ctx context.Context, e *enlisted, next Next, err error) {
	now := c.now()
	switch {
	case err == nil && next.Done:
		c.dismiss(e)
	case err == nil:
		c.set(e, now.Add(next.Wait), 0)
	case isTemporary(err):
		until := now.Add(backoff(e.attempts, err))
		c.set(e, until, e.attempts+1)
		c.logger.Warn("a job waits and goes on by itself", "job", e.job.ID(), "until", until, "reason", err)
		e.job.Waits(err, until)
	default:
		c.dismiss(e)
		c.logger.Error("a job failed", "job", e.job.ID(), "reason", err)
		e.job.Fails(ctx, err)
	}
}

// dismiss removes a job, unless another one has taken its place.
func (c *crew) dismiss(e *enlisted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs[e.job.ID()] == e {
		delete(c.jobs, e.job.ID())
	}
}

func (c *crew) set(e *enlisted, at time.Time, attempts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.at, e.attempts = at, attempts
}
