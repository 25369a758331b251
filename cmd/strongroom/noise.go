package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"strongroom/internal/bench"
)

func (c *cli) noiseCommand() *cobra.Command {
	var o bench.Options
	var n bench.NoiseOptions
	var nice int
	cmd := &cobra.Command{
		Use: "noise", Short: "Measure a client beside noise that nobody has paid for", Args: exactly(0),
		Long: `Measure a client that reads at a steady pace, first in quiet and then beside
each kind of noise, on a server of its own. The noise comes from this machine
too and takes processors that an attacker would bring along: --nice 19 has it
make do with what the server and the client leave.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, kind := range n.Kinds {
				if !slices.Contains(bench.Noises(), kind) {
					return usagef("there is no noise %q; there are %v", kind, bench.Noises())
				}
			}
			if n.Rate < 1 || n.Rate > 1_000_000 || n.Paid < 1 || n.Paid > 100_000 {
				return usagef("--rate is from 1 to 1,000,000 and --paid from 1 to 100,000")
			}
			if nice < 0 || nice > 19 {
				return usagef("--nice is from 0 to 19")
			}
			n.Crowd = func(ctx context.Context, n bench.Noise) (bench.NoiseCount, error) { return crowd(ctx, n, nice) }
			return c.noise(cmd.Context(), o, n)
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "make", Hidden: true, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.makeNoise(cmd.Context()) },
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&n.Kinds, "kinds", bench.Noises(), "which, and in what order")
	flags.IntVar(&n.Rate, "rate", 10_000, "of the noise, requests a second")
	flags.IntVar(&n.Paid, "paid", 200, "of the client, requests a second")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "of each measurement")
	flags.IntVar(&nice, "nice", 0, "nice value of the process that makes the noise")
	flags.IntVar(&o.Records, "stored", 1000, "records that are there")
	return cmd
}

func (c *cli) noise(ctx context.Context, o bench.Options, n bench.NoiseOptions) error {
	return c.onOwnServer(ctx, o, func(o bench.Options) error {
		results, err := bench.RunNoise(ctx, o, n)
		if err != nil {
			return err
		}
		return c.show(results, noiseTable(results))
	})
}

// crowd makes noise in a process of its own, which yields to others as its nice
// value says.
func crowd(ctx context.Context, n bench.Noise, nice int) (count bench.NoiseCount, err error) {
	self, err := os.Executable()
	if err != nil {
		return count, err
	}
	in, err := json.Marshal(n)
	if err != nil {
		return count, err
	}
	var out, problem bytes.Buffer
	command := exec.CommandContext(context.WithoutCancel(ctx), self, "bench", "noise", "make")
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(in), &out, &problem
	if err := command.Start(); err != nil {
		return count, fmt.Errorf("the noise: %w", err)
	}
	err = syscall.Setpriority(syscall.PRIO_PROCESS, command.Process.Pid, nice)
	if err := errors.Join(err, command.Wait()); err != nil {
		return count, fmt.Errorf("the noise: %w: %s", err, &problem)
	}
	return count, json.Unmarshal(out.Bytes(), &count)
}

func (c *cli) makeNoise(ctx context.Context) error {
	var n bench.Noise
	if err := json.NewDecoder(c.in).Decode(&n); err != nil {
		return err
	}
	count, err := bench.MakeNoise(ctx, n)
	if err != nil {
		return err
	}
	return json.NewEncoder(c.out).Encode(count)
}

func noiseTable(results []bench.NoiseResult) func() *table {
	return func() *table {
		t := &table{head: []string{"NOISE", "OFFERED/s", "ANSWERED/s", "CLIENT/s", "FAILED", "P50 us", "P99 us", "MAX us", "P99 RATIO", "RESIDENT MiB", "SERVER CORES"}}
		for _, r := range results {
			t.add(r.Kind, whole(r.Offered), whole(r.Answered), whole(r.Paid), strconv.FormatUint(r.Failed, 10), whole(r.P50), whole(r.P99), whole(r.Max),
				strconv.FormatFloat(r.Ratio, 'f', 1, 64), whole(float64(r.Resident>>20)),
				strconv.FormatFloat(r.Cores, 'f', 2, 64))
		}
		return t
	}
}
