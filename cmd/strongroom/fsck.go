package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/store"
)

func (c *cli) fsckCommand() *cobra.Command {
	var f storeFlags
	var o store.FsckOptions
	cmd := &cobra.Command{
		Use: "fsck", Short: "Read a store that nothing serves, whole, and tell what is damaged", Args: exactly(0),
		RunE: c.withStore(&f, func(ctx context.Context, base *app.Base) error {
			o.Progress = func(done, all uint64) { c.progress("%d of %d read", done, all) }
			report, err := base.Store.Fsck(ctx, o)
			c.progressEnd()
			if err != nil {
				return err
			}
			return c.fsckReport(report)
		}),
	}
	f.bind(cmd)
	cmd.Flags().BoolVar(&o.Deep, "deep", false, "open every field and recompute every index token too")
	return cmd
}

func (c *cli) fsckReport(r store.FsckReport) error {
	text := func() *table {
		t := &table{head: []string{"KIND", "WHERE", "DETAIL"}}
		for _, d := range r.Damages {
			t.add(d.Kind, d.Where, d.Detail)
		}
		return t
	}
	if c.output == "json" || len(r.Damages) > 0 {
		if err := c.show(r, text); err != nil {
			return err
		}
	}
	if c.output == "text" {
		fmt.Fprintf(c.out, "%d integrations, %d collections, %d records, %d revisions, %d fields, %d index tokens: %d damages\n",
			r.Integrations, r.Collections, r.Records, r.Revisions, r.Fields, r.IndexTokens, len(r.Damages))
	}
	if len(r.Damages) > 0 {
		return silent(exitFailed)
	}
	return nil
}
