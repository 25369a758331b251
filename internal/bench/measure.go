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

// floors says which floors a workload is held against.
var floors = map[string][]string{Read: {BareHTTP}, Write: {RawBbolt, BareWrite}}

// measureAll measures each workload at each number of connections, its floors
// right after it, round by round: what the machine does in between hits all.
func (b *Bench) measureAll(ctx context.Context, report *Report) error {
	for _, n := range b.o.Connections {
		for _, workload := range b.o.Workloads {
			names := []string{workload}
			if b.o.Floor != nil {
				names = append(names, floors[workload]...)
			}
			rounds, err := b.rounds(ctx, names, n)
			if err != nil {
				return err
			}
			report.add(rounds)
		}
	}
	return nil
}

// rounds measures the names in turn; a round has a result for each.
func (b *Bench) rounds(ctx context.Context, names []string, n int) (rounds [][]Result, err error) {
	for range max(b.o.Rounds, 1) {
		round := make([]Result, len(names))
		for i, name := range names {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r, err := b.measure(ctx, name, n)
			if err != nil {
				return nil, err
			}
			b.say("%-10s %3d connections  %9.0f/s  p50 %8.0f us  p99 %8.0f us", name, n, r.Rate, r.P50, r.P99)
			round[i] = r
		}
		rounds = append(rounds, round)
	}
	return rounds, nil
}

// add reports the rounds of a workload, which comes first in each, and its
// floors: the median of each, and the median of the ratios within a round.
func (r *Report) add(rounds [][]Result) {
	for i := range rounds[0] {
		all := make([]Result, len(rounds))
		ratios := make([]float64, len(rounds))
		for j, round := range rounds {
			all[j], ratios[j] = round[i], round[0].Rate/round[i].Rate
		}
		r.Results = append(r.Results, median(all))
		if i > 0 {
			slices.Sort(ratios)
			r.Ratios = append(r.Ratios, Ratio{rounds[0][0].Workload, rounds[0][i].Workload, rounds[0][0].Connections, ratios[len(ratios)/2]})
		}
	}
}

func median(results []Result) Result {
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(a.Rate, b.Rate) })
	return results[len(results)/2]
}

func (b *Bench) measure(ctx context.Context, name string, n int) (Result, error) {
	switch name {
	case RawBbolt:
		return b.rawBbolt(n)
	case BareHTTP, BareWrite:
		return b.load(b.bare, name, n, b.o.Duration)
	}
	if err := b.renew(ctx); err != nil {
		return Result{}, err
	}
	return b.load(b.target, name, n, b.o.Duration)
}

// rawBbolt puts values as long as all that the store stores for a record.
func (b *Bench) rawBbolt(n int) (Result, error) {
	histograms := make([]histogram, n)
	r, err := floor.Writes(floor.Options{
		Path: filepath.Join(b.o.Floor.Dir, fmt.Sprintf("floor-%d.db", os.Getpid())), Writers: n,
		Duration: b.o.Duration, Value: newMaker(1).text(nil, b.floor.Stored),
		Observe: func(w int, took time.Duration) { histograms[w].record(took) },
	})
	var all histogram
	for i := range histograms {
		all.merge(&histograms[i])
	}
	return newResult(RawBbolt, n, r.Puts, r.Elapsed, &all), err
}
