package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strongroom/store/bolt/floor"
)

// floors says which floor a workload is held against.
var floors = map[string]string{Read: BareHTTP, Write: RawBbolt}

// measureAll measures each workload at each number of connections, its floor
// right after it, round by round: what the machine does in between hits both.
func (b *Bench) measureAll(ctx context.Context, report *Report) error {
	for _, n := range b.o.Connections {
		for _, workload := range b.o.Workloads {
			names := []string{workload}
			if f := floors[workload]; f != "" && b.o.Floor != nil {
				names = append(names, f)
			}
			results, err := b.rounds(ctx, names, n)
			report.Results = append(report.Results, results...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rounds measures the names in turn and returns the median of each.
func (b *Bench) rounds(ctx context.Context, names []string, n int) ([]Result, error) {
	all := make([][]Result, len(names))
	for range max(b.o.Rounds, 1) {
		for i, name := range names {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r, err := b.measure(ctx, name, n)
			if err != nil {
				return nil, err
			}
			b.say("%-10s %3d connections  %9.0f/s  p50 %8.0f us  p99 %8.0f us", name, n, r.Rate, r.P50, r.P99)
			all[i] = append(all[i], r)
		}
	}
	out := make([]Result, len(names))
	for i := range names {
		out[i] = median(all[i])
	}
	return out, nil
}

func median(results []Result) Result {
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(a.Rate, b.Rate) })
	return results[len(results)/2]
}

func (b *Bench) measure(ctx context.Context, name string, n int) (Result, error) {
	switch name {
	case RawBbolt:
		return b.rawBbolt(n)
	case BareHTTP:
		return b.load(b.bare, name, n, b.o.Duration)
	}
	if err := b.renew(ctx); err != nil {
		return Result{}, err
	}
	return b.load(b.target, name, n, b.o.Duration)
}

// rawBbolt puts values as long as a record's fields.
func (b *Bench) rawBbolt(n int) (Result, error) {
	histograms := make([]histogram, n)
	r, err := floor.Writes(floor.Options{
		Path: filepath.Join(b.o.Floor.Dir, fmt.Sprintf("floor-%d.db", os.Getpid())), Writers: n,
		Duration: b.o.Duration, Value: newMaker(1).fields(nil, 1),
		Observe: func(w int, took time.Duration) { histograms[w].record(took) },
	})
	var all histogram
	for i := range histograms {
		all.merge(&histograms[i])
	}
	return newResult(RawBbolt, n, r.Puts, r.Elapsed, &all), err
}

func ratios(results []Result) []Ratio {
	var out []Ratio
	for _, r := range results {
		for _, f := range results {
			if f.Workload == floors[r.Workload] && f.Connections == r.Connections && f.Rate > 0 {
				out = append(out, Ratio{r.Workload, f.Workload, r.Connections, r.Rate / f.Rate})
			}
		}
	}
	return out
}
