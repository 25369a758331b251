package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"strongroom/api"
	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/access"
	"strongroom/internal/bench"
	"strongroom/internal/config"
	"strongroom/internal/identity"
)

func (c *cli) doorCommand() *cobra.Command {
	var d bench.Door
	cmd := &cobra.Command{
		Use: "door", Short: "Measure what authentication and limits cost a read", Args: exactly(0),
		Long: `Measure what authentication by a token that was verified before, and limits,
cost a read: reads of a record of eight fields from a store of its own, audit entry
included and without a network, are held against the same reads without them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := d.Check(); err != nil {
				return usagef("%v", err)
			}
			return c.door(cmd.Context(), &d)
		},
	}
	cmd.Flags().IntVar(&d.Rounds, "rounds", 300, "measurements of each; the median counts")
	cmd.Flags().IntVar(&d.Reads, "reads", 500, "of a measurement: short ones, taken in turn, meet the same machine")
	return cmd
}

func (c *cli) door(ctx context.Context, d *bench.Door) (err error) {
	home, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	o := app.Options{Config: config.Default(), Logger: slog.New(slog.DiscardHandler)}
	o.Config.Listen, o.Config.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	a, err := openDoors(ctx, d, home, o)
	if err != nil {
		return err
	}
	spareCollector()
	cost, err := d.Measure()
	if err = closeWith(a, err); err != nil {
		return err
	}
	return c.show(cost, doorTable(cost))
}

// openDoors opens a development server that nobody reaches, and both its doors.
func openDoors(ctx context.Context, d *bench.Door, home string, o app.Options) (*app.App, error) {
	dev, conf, first, err := prepareDev(ctx, home, o)
	if err != nil {
		return nil, err
	}
	o.Dev, o.Config = dev, conf
	a, err := app.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"dev"}, "client_secret": {first.Reveal()}}
	token, err := a.Server.Tokens.Exchange(ctx, identity.Request{Form: form})
	if err != nil {
		return nil, closeWith(a, err)
	}
	d.Token = token.Value.Reveal()
	who, err := a.Server.Tokens.Authenticate(ctx, &identity.Presented{Token: d.Token})
	if err != nil {
		return nil, closeWith(a, err)
	}
	without := a.Server.Config
	without.Gate, without.Metrics, without.Tokens = nil, nil, oneCaller{without.Tokens, who}
	unguarded, err := api.New(without)
	if err != nil {
		return nil, closeWith(a, err)
	}
	d.Guarded, d.Open = a.Server.Handler(), unguarded.Handler()
	return a, nil
}

// oneCaller takes whoever comes for the same caller. It serves a benchmark in
// this process, never a listener.
type oneCaller struct {
	api.Tokens
	who *access.Principal
}

func (o oneCaller) Recall(*identity.Presented) (*access.Principal, error) { return o.who, nil }

func doorTable(cost bench.DoorCost) func() *table {
	return func() *table {
		t := &table{head: []string{"", "US", "ALLOCATIONS"}}
		two := func(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
		t.add("read", two(cost.Read), two(cost.ReadAllocs))
		t.add("of it authentication and limits", two(cost.Door), two(cost.DoorAllocs))
		return t
	}
}
