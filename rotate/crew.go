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

	turn chan struct{} // holds one value during a step

	mu        sync.Mutex
	jobs      map[string]*enlisted
	held      map[string]int // jobs that are not to be stepped now
	steps     uint64         // counts them; whose last step is the longest ago goes next
	interrupt func()
	stepping  string
}

type enlisted struct {
	job      Job
	at       time.Time // not before
	last     uint64
	attempts int // temporary errors in a row
}

func newCrew(now func() time.Time, logger *slog.Logger) *crew {
	c := &crew{now: now, logger: logger, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), jobs: map[string]*enlisted{}, held: map[string]int{}}
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

// hold keeps jobs from being stepped until the function is called that it
// returns. A step of one of them that is under way is interrupted, and waited
// for.
func (c *crew) hold(ctx context.Context, ids ...string) (release func(), err error) {
	c.mu.Lock()
	under := false
	for _, id := range ids {
		c.held[id]++
		under = under || id == c.stepping
	}
	if under {
		c.interrupt()
	}
	c.mu.Unlock()
	release = func() { c.unhold(ids) }
	if !under {
		return release, nil
	}
	select {
	case c.turn <- struct{}{}: // the step has ended
		<-c.turn
		return release, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}

func (c *crew) unhold(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.held[id]--; c.held[id] == 0 {
			delete(c.held, id)
		}
	}
	c.rouse()
}

// next picks the job to step at a moment. Without one it says how long none
// will be: forever when there are no jobs. The caller holds mu.
func (c *crew) next(now time.Time) (*enlisted, time.Duration) {
	var best *enlisted
	wait := never
	for id, e := range c.jobs {
		if c.held[id] > 0 {
			continue
		}
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
	stepCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, wait := c.pick(cancel)
	if e != nil {
		c.run(ctx, stepCtx, e)
	}
	return wait
}

// pick takes the job to step now, if there is one, and notes how its step is
// interrupted.
func (c *crew) pick(interrupt func()) (*enlisted, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, wait := c.next(c.now())
	if e != nil {
		c.steps++
		e.last, c.stepping, c.interrupt = c.steps, e.job.ID(), interrupt
	}
	return e, wait
}

func (c *crew) run(ctx, stepCtx context.Context, e *enlisted) {
	defer c.stepped()
	next, err := e.job.Step(stepCtx)
	switch {
	case ctx.Err() != nil: // the program ends: what the step did is found out when it starts again
		return
	case err != nil && stepCtx.Err() != nil: // interrupted, by whoever says how it goes on
		return
	}
	c.settle(ctx, e, next, err)
}

func (c *crew) stepped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepping, c.interrupt = "", nil
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
