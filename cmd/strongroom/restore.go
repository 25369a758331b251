package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
	"strongroom/store"
)

func (c *cli) restoreCommand() *cobra.Command {
	var f storeFlags
	var identity, accept string
	var check bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a store of a backup where there is none; or --check that it could be done", Args: exactly(1),
		Long: `Make a store of a backup where there is none. The keys must be there already: the
keyring, or Vault. With --check nothing is changed: the backup is restored into a
folder that is thrown away, a record of each collection is opened, and, unless a
server holds the store there is, the two are compared: what would be lost.

What the ledger of erasures tells of after the backup is done again: a restore
brings back no record that was erased, no secret that was revoked. Where the
ledger shows that the store went on after the backup, or the ledger is not there,
say with --accept-rollback why the store is set back; the audit log has it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := f.forRestore(check)
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			return c.withBackup(args[0], identity, func(b app.Backup) error {
				b.AcceptRollback = accept
				if check {
					return c.checkBackup(cmd.Context(), conf, f.dev, b)
				}
				return c.restore(cmd.Context(), conf, f.dev, b)
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "a file of age identities, for a backup that is sealed for one")
	cmd.Flags().StringVar(&accept, "accept-rollback", "", "why a store is set back behind what its ledger of erasures tells")
	cmd.Flags().BoolVar(&check, "check", false, "only try, and tell what would be lost")
	return cmd
}

// forRestore returns the configuration of a store that need not be there.
func (f *storeFlags) forRestore(check bool) (config.Config, error) {
	if !f.dev || check {
		return f.read()
	}
	base, err := config.Read("", os.Environ())
	if err != nil {
		return config.Config{}, err
	}
	_, conf, err := app.OpenDev(f.home, *base)
	return conf, err
}

// withBackup opens a backup and the identities that it may need.
func (c *cli) withBackup(path, identity string, run func(app.Backup) error) error {
	var b app.Backup
	if identity != "" {
		f, err := os.Open(identity)
		if err != nil {
			return fmt.Errorf("the identity: %w", err)
		}
		defer f.Close()
		if b.Identities, err = age.ParseIdentities(f); err != nil {
			return fmt.Errorf("the identity file %s is not one of age's", identity)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	defer f.Close()
	b.From = f
	return run(b)
}

func (c *cli) restore(ctx context.Context, conf config.Config, dev bool, b app.Backup) error {
	done, err := app.Restore(ctx, conf, c.logger(), dev, b)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("restored into %s: the backup of %s, %d entries", conf.DataDir, done.CreatedAt.Format(time.RFC3339), done.Entries)
	if done.Reapplied != (store.Reapplied{}) {
		text += "\nerased or revoked again, as the ledger tells: " + done.Reapplied.String()
	}
	for _, in := range done.Keyless {
		text += fmt.Sprintf("\nintegration %s cannot be opened: %s", in.Integration, in.Reason)
	}
	return c.say(done, "%s", text)
}

func (c *cli) checkBackup(ctx context.Context, conf config.Config, dev bool, b app.Backup) error {
	report, err := app.CheckBackup(ctx, conf, c.logger(), dev, b)
	if err != nil {
		return err
	}
	if err := c.show(report, checkTable(&report)); err != nil {
		return err
	}
	if c.output == "text" {
		fmt.Fprintln(c.out, lossOf(&report))
	}
	if !report.OK() {
		return silent(exitFailed)
	}
	return nil
}

func checkTable(r *store.CheckReport) func() *table {
	return func() *table {
		t := &table{head: []string{"INTEGRATION", "RECORDS", "OPENED", "FIELDS", "PROBLEM"}}
		for _, in := range r.Integrations {
			t.add(in.Integration, strconv.FormatUint(in.Records, 10), strconv.FormatUint(in.Opened, 10),
				strconv.FormatUint(in.Fields, 10), in.Problem)
		}
		return t
	}
}

// lossOf says what a restore of the backup would lose.
func lossOf(r *store.CheckReport) string {
	age := (time.Duration(r.AgeSeconds) * time.Second).String()
	switch {
	case r.Lost == nil:
		return "The backup is " + age + " old. There was no store to compare it with, or a server holds it."
	case r.Lost.Behind:
		return "The backup is newer than the store there is."
	}
	return fmt.Sprintf("The backup is %s old. Restoring it would lose %d changes of records and %d of definitions, and bring %d erased records back.",
		age, r.Lost.Changed, r.Lost.Definitions, r.Lost.Erased)
}
