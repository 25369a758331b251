package main

import (
	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
)

func (c *cli) ledgerCommand() *cobra.Command {
	return newGroup("ledger", "The ledger of erasures and revocations: verify it, or go on with one that lacks entries", c.ledgerVerify(), c.ledgerRenew())
}

func (c *cli) ledgerVerify() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify the ledger of a store that nothing serves", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := f.read()
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			entries, err := app.CheckLedger(cmd.Context(), conf, c.logger(), f.dev)
			if err != nil {
				return err
			}
			return c.say(map[string]uint64{"entries": entries}, "%s: %d entries, whole and written with the keys of this store", app.LedgerDir(conf), entries)
		},
	}
	f.bind(cmd)
	return cmd
}

func (c *cli) ledgerRenew() *cobra.Command {
	var f storeFlags
	var reason string
	cmd := &cobra.Command{
		Use: "renew", Short: "Go on with a ledger that lacks what the store has seen", Args: exactly(0),
		Long: `Go on with a ledger that lacks entries that the store has seen: its disk is lost,
or an older copy is all there is. A restore of a backup from before can bring back
what these entries told of. Move a file away first that was changed. Why stands in
the audit log and in the ledger.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reason == "" {
				return usagef("say why: --reason TEXT")
			}
			conf, err := f.read()
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			if err := app.RenewLedger(cmd.Context(), conf, c.logger(), f.dev, reason); err != nil {
				return err
			}
			return c.say(map[string]string{"ledger": app.LedgerDir(conf)}, "the store goes on with the ledger in %s", app.LedgerDir(conf))
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why the ledger lacks entries")
	return cmd
}
