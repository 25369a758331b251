package main

import (
	"context"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
)

func (c *cli) compactCommand() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Rewrite the file of a store that nothing serves without its free pages",
		Long: `Rewrite the file of a store that nothing serves without its free pages, in which
erased values still stand. A server does so by itself while it runs: see
compact_every in its configuration.`,
		Args: exactly(0),
		RunE: c.withStore(&f, func(ctx context.Context, base *app.Base) error {
			stats, err := base.Engine.Compact(ctx)
			if err != nil {
				return err
			}
			return c.say(map[string]any{"before_bytes": stats.Before, "after_bytes": stats.After, "entries": stats.Entries, "seconds": stats.Took.Seconds()},
				"%d bytes became %d", stats.Before, stats.After)
		}),
	}
	f.bind(cmd)
	return cmd
}
