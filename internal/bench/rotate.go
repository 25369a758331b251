package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/client"
)

// Depths returns the depths of rotations that are measured, in order.
func Depths() []string { return []string{"keyset", "data"} }

// rotateConnections is how many connections the requests beside a rotation
// come over.
const rotateConnections = 16

// RotateOptions say what to rotate.
type RotateOptions struct {
	Records uint64
	Depths  []string
}

// RotateResult is how a rotation of one depth went: on a machine that does
// nothing else, and beside requests at half of what the server answers at most.
// Latencies are counted from when a request was due, in microseconds.
type RotateResult struct {
	Depth   string  `json:"depth"`
	Values  uint64  `json:"values"`        // that were moved
	Sweep   float64 `json:"sweep_seconds"` // from the promotion to the last value
	Rate    float64 `json:"rate"`          // values a second of that
	Whole   float64 `json:"whole_seconds"` // with the scan that proves it, and everything else
	Request float64 `json:"requests"`      // a second beside the rotation: four reads to a write
	Failed  uint64  `json:"failed"`        // of these
	P99Rest float64 `json:"p99_rest_us"`   // before the rotation
	P99     float64 `json:"p99_us"`        // during its sweep
	Ratio   float64 `json:"p99_ratio"`
	Beside  float64 `json:"rate_beside"` // values a second beside requests
}

// RunRotate imports records and rotates their integration by each depth, twice.
func RunRotate(ctx context.Context, o Options, r RotateOptions) ([]RotateResult, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	results, err := b.rotations(ctx, r)
	return results, errors.Join(err, b.cleanUp())
}

func (b *Bench) rotations(ctx context.Context, o RotateOptions) (results []RotateResult, err error) {
	if err := b.liftLimits(ctx); err != nil {
		return nil, err
	}
	took, err := b.importUpTo(ctx, o.Records)
	if err != nil {
		return nil, err
	}
	b.say("%d records imported, %.0f a second", o.Records, float64(o.Records)/took.Seconds())
	capacity, err := b.measure(ctx, Mixed, rotateConnections)
	if err != nil {
		return nil, err
	}
	b.say("four reads to a write: %.0f a second at most", capacity.Rate)
	for _, depth := range o.Depths {
		r, err := b.rotateDepth(ctx, depth, capacity.Rate/2)
		if err != nil {
			return results, fmt.Errorf("depth %s: %w", depth, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *Bench) rotateDepth(ctx context.Context, depth string, pace float64) (r RotateResult, err error) {
	r.Depth, r.Request = depth, pace
	done, err := b.rotate(ctx, depth)
	if err != nil {
		return r, err
	}
	r.Values, r.Sweep, r.Whole = swept(done)
	r.Rate = float64(r.Values) / r.Sweep
	b.say("%-6s  %d values  %8.0f/s  whole %.1f s", depth, r.Values, r.Rate, r.Whole)
	rest, _, err := b.paced(ctx, pace, func(ctx context.Context) error {
		return sleep(ctx, b.o.Duration)
	})
	if err != nil {
		return r, err
	}
	beside, failed, err := b.paced(ctx, pace, func(ctx context.Context) error {
		r.Beside, err = b.rotateFor(ctx, depth)
		return err
	})
	if err != nil {
		return r, err
	}
	r.Failed, r.P99Rest, r.P99 = failed, micros(rest.quantile(0.99)), micros(beside.quantile(0.99))
	r.Ratio = r.P99 / r.P99Rest
	b.say("%-6s  beside %.0f requests a second: %8.0f/s, p99 %.0f us, %.0f us at rest (%.1f x)", depth, pace, r.Beside, r.P99, r.P99Rest, r.Ratio)
	return r, b.ended(ctx)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// rotate rotates the integration and waits for the end.
func (b *Bench) rotate(ctx context.Context, depth string) (done *client.Rotation, err error) {
	begun, err := b.begin(ctx, depth)
	if err != nil {
		return nil, err
	}
	return done, b.follow(ctx, begun.ID, func(r *client.Rotation) bool {
		done = r
		return r.State != "done"
	})
}

func (b *Bench) begin(ctx context.Context, depth string) (*client.Rotation, error) {
	return b.client.CreateRotation(ctx, client.RotationRequest{Integrations: []string{integration}, Depth: depth, Grace: "0s"})
}

// follow shows a rotation whenever it changed, until on answers false.
func (b *Bench) follow(ctx context.Context, id string, on func(*client.Rotation) bool) error {
	for r, err := range b.client.WatchRotation(ctx, id) {
		switch {
		case err != nil:
			return err
		case r.State == "failed":
			return fmt.Errorf("the rotation failed: %s", r.Detail)
		case !on(r):
			return nil
		}
	}
	return errors.Join(ctx.Err(), errors.New("the rotation did not end"))
}

// rotateFor rotates for some time, or until the sweep is over, and returns how
// many values a second were moved.
func (b *Bench) rotateFor(ctx context.Context, depth string) (rate float64, err error) {
	begun, err := b.begin(ctx, depth)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	return rate, b.follow(ctx, begun.ID, func(r *client.Rotation) bool {
		c := r.Parts[0].Counts
		took := time.Since(start)
		rate = float64(c.Rewrapped+c.Resealed) / took.Seconds()
		_, over := r.Parts[0].Times["verify"]
		return !over && took < besideRounds*b.o.Duration
	})
}

// besideRounds is how many times as long as a measurement without a rotation
// one beside it takes.
const besideRounds = 3

// ended waits for the rotation that was left to itself.
func (b *Bench) ended(ctx context.Context) error {
	all, err := b.client.ListRotations(ctx)
	if err != nil {
		return err
	}
	return b.follow(ctx, all[0].ID, func(r *client.Rotation) bool { return r.State != "done" })
}

// swept returns how many values a rotation of one part moved, how long the
// sweep took, and how long everything.
func swept(r *client.Rotation) (values uint64, sweep, whole float64) {
	p := r.Parts[0]
	values = p.Counts.Rewrapped + p.Counts.Resealed
	return values, p.Times["verify"].Sub(p.Times["sweep"]).Seconds(), r.FinishedAt.Sub(*r.StartedAt).Seconds()
}

// paced sends requests at a steady pace as long as beside runs.
func (b *Bench) paced(ctx context.Context, rate float64, beside func(context.Context) error) (all histogram, failed uint64, err error) {
	if err := b.renew(ctx); err != nil {
		return all, 0, err
	}
	workers, err := b.connect(b.target, rotateConnections)
	if err != nil {
		return all, 0, err
	}
	defer closeAll(workers)
	paced, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	every := time.Duration(float64(time.Second) * float64(len(workers)) / rate)
	for i, w := range workers {
		group.Go(func() {
			if sleep(paced, every*time.Duration(i)/time.Duration(len(workers))) == nil {
				w.keepPace(paced, every, (*worker).mixed)
			}
		})
	}
	err = beside(ctx)
	stop()
	group.Wait()
	for _, w := range workers {
		all.merge(&w.scratch)
		failed += w.failed
	}
	return all, failed, err
}
