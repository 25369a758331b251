package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
	"strongroom/internal/bench"
)

// benchFlags say what to measure and on what.
type benchFlags struct {
	url     string
	home    string
	floor   bool
	records uint64
	o       bench.Options
}

func (f *benchFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.o.Workloads, "workloads", bench.Workloads(), "which, and in what order")
	flags.IntSliceVar(&f.o.Connections, "connections", []int{1, 16, 64}, "how many at a time")
	flags.DurationVar(&f.o.Duration, "duration", 5*time.Second, "of each measurement")
	flags.IntVar(&f.o.Rounds, "rounds", 3, "measurements of each; the median counts")
	flags.IntVar(&f.o.Records, "stored", 10_000, "records that are there when reads are measured")
	flags.BoolVar(&f.floor, "floor", false, "measure the floors too, in the same run: a bare HTTPS server and raw bbolt")
	flags.Uint64Var(&f.records, "records", 0, "import so many records instead, and measure reads on the way")
	flags.StringVar(&f.url, "url", "", "measure this server, as the client that the environment names, in place of one of its own")
	flags.StringVar(&f.home, "home", "", "where its own server keeps its data (default: a temporary folder, removed afterwards)")
}

func (c *cli) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure a server over its public API", Args: exactly(0),
		Long: `Measure a server over its public API: TLS 1.3, persistent connections, latency
percentiles. Without --url it starts a server of its own, a process like any
other, on a folder that is removed afterwards. With --floor it measures in turn
what the machine gives at most, and prints the ratios: for reads a bare net/http
server that answers with the same bytes, for writes raw bbolt with group commits
of as many bytes as the store stores, fsync included, and the two together: a
bare server with raw bbolt behind it.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.bench(cmd.Context(), &f) },
	}
	f.bind(cmd)
	bare := &cobra.Command{
		Use: "serve-bare", Hidden: true, Args: exactly(3),
		RunE: func(_ *cobra.Command, args []string) error { return c.serveBare(args[0], args[1], args[2]) },
	}
	cmd.AddCommand(bare, c.noiseCommand(), c.doorCommand(), c.rotationBenchCommand())
	return cmd
}

func (f *benchFlags) check() error {
	for _, w := range f.o.Workloads {
		if !slices.Contains(bench.Workloads(), w) {
			return usagef("there is no workload %q; there are %v", w, bench.Workloads())
		}
	}
	if len(f.o.Connections) == 0 || slices.Min(f.o.Connections) < 1 || slices.Max(f.o.Connections) > 4096 {
		return usagef("--connections are from 1 to 4096")
	}
	if f.url != "" && f.floor {
		return usagef("--floor needs a server of its own: the floors lie on this machine")
	}
	return nil
}

func (c *cli) bench(ctx context.Context, f *benchFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	f.o.Progress = func(text string) { fmt.Fprintln(c.err, text) }
	if f.url != "" {
		if f.o.Server, err = client.FromEnv(); err != nil {
			return err
		}
		if f.o.Server.DPoP {
			return fmt.Errorf("the benchmark sends bearer tokens: measure without %s", client.EnvDPoP)
		}
		f.o.Server.URL = f.url
		return c.measure(ctx, f)
	}
	own, err := startOwnServer(ctx, f.home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.stop()) }()
	f.o.Server, f.o.Process, f.o.DataFile = own.client, own.pid(), own.dataFile
	if f.floor {
		f.o.Floor = &bench.Floor{Dir: own.home, Bare: own.startBare}
	}
	return c.measure(ctx, f)
}

func (c *cli) measure(ctx context.Context, f *benchFlags) error {
	if f.records > 0 {
		scale, err := bench.RunScale(ctx, f.o, f.records)
		if err != nil {
			return err
		}
		return c.show(scale, scaleTable(scale))
	}
	report, err := bench.Run(ctx, f.o)
	if err != nil {
		return err
	}
	if err := c.show(report, resultTable(report.Results)); err != nil || c.output == "json" || len(report.Ratios) == 0 {
		return err
	}
	fmt.Fprintln(c.out)
	return ratioTable(report.Ratios).write(c.out)
}

func resultTable(results []bench.Result) func() *table {
	return func() *table {
		t := &table{head: []string{"WORKLOAD", "CONNECTIONS", "PER SECOND", "P50 us", "P90 us", "P99 us", "MAX us", "SERVER CPU us"}}
		for _, r := range results {
			t.add(r.Workload, strconv.Itoa(r.Connections), whole(r.Rate), whole(r.P50), whole(r.P90), whole(r.P99), whole(r.Max), whole(r.ServerCPU))
		}
		return t
	}
}

func ratioTable(ratios []bench.Ratio) *table {
	t := &table{head: []string{"WORKLOAD", "FLOOR", "CONNECTIONS", "RATIO"}}
	for _, r := range ratios {
		t.add(r.Workload, r.Floor, strconv.Itoa(r.Connections), strconv.FormatFloat(100*r.Ratio, 'f', 0, 64)+" %")
	}
	return t
}

func scaleTable(s *bench.Scale) func() *table {
	return func() *table {
		t := &table{head: []string{"RECORDS", "IMPORTED PER SECOND", "FILE MiB", "RESIDENT MiB", "OF THAT ITS OWN", "CONNECTIONS", "READS PER SECOND", "P50 us", "P99 us"}}
		for _, p := range s.Points {
			for _, r := range p.Reads {
				t.add(strconv.FormatUint(p.Records, 10), whole(p.Rate), whole(float64(p.FileBytes>>20)), whole(float64(p.Memory.Resident>>20)), whole(float64(p.Memory.Anonymous>>20)),
					strconv.Itoa(r.Connections), whole(r.Rate), whole(r.P50), whole(r.P99))
			}
		}
		t.add("all", whole(s.Rate), whole(float64(s.FileBytes>>20)), whole(float64(s.Memory.Peak>>20))+" at most", whole(float64(s.Memory.Anonymous>>20)),
			"", "", "", fmt.Sprintf("file/plaintext %.2f", s.Overhead))
		return t
	}
}

func whole(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }
