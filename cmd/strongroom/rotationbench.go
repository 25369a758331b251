package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom/internal/bench"
)

func (c *cli) rotationBenchCommand() *cobra.Command {
	var o bench.Options
	var r bench.RotateOptions
	cmd := &cobra.Command{
		Use: "rotation", Short: "Measure rotations, idle and beside requests", Args: exactly(0),
		Long: `Import records into a server of its own and rotate their integration by each
depth, twice: with nothing else to do, and beside requests at half of what the
server answers at most.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, depth := range r.Depths {
				if !slices.Contains(bench.Depths(), depth) {
					return usagef("depth %q is not measured; %v are", depth, bench.Depths())
				}
			}
			if r.Records < 1 {
				return usagef("--records is at least 1")
			}
			return c.benchRotations(cmd.Context(), o, r)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&r.Records, "records", 100_000, "that are there, of eight fields")
	flags.StringSliceVar(&r.Depths, "depths", bench.Depths(), "which, and in what order")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "of the measurements without a rotation")
	return cmd
}

func (c *cli) benchRotations(ctx context.Context, o bench.Options, r bench.RotateOptions) error {
	return c.onOwnServer(ctx, o, func(o bench.Options) error {
		results, err := bench.RunRotate(ctx, o, r)
		if err != nil {
			return err
		}
		return c.show(results, rotationBenchTable(results))
	})
}

func rotationBenchTable(results []bench.RotateResult) func() *table {
	return func() *table {
		t := &table{head: []string{"DEPTH", "VALUES", "IDLE/s", "WHOLE s", "REQUESTS/s", "FAILED", "BESIDE/s", "P99 REST us", "P99 us", "RATIO"}}
		for _, r := range results {
			t.add(r.Depth, strconv.FormatUint(r.Values, 10), whole(r.Rate), strconv.FormatFloat(r.Whole, 'f', 1, 64), whole(r.Request), strconv.FormatUint(r.Failed, 10),
				whole(r.Beside), whole(r.P99Rest), whole(r.P99), strconv.FormatFloat(r.Ratio, 'f', 1, 64))
		}
		return t
	}
}
