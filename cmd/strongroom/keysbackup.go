package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
)

// keysBackupCommands are `keys backup` and `keys restore`.
func (c *cli) keysBackupCommands() []*cobra.Command {
	return []*cobra.Command{c.keysBackup(), c.keysRestore()}
}

func (c *cli) keysBackup() *cobra.Command {
	var f storeFlags
	var recipient string
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the keyring to a file, sealed for a recipient, that expires", Args: exactly(1),
		Long: `Copy the keyring to a file, mode 0600, sealed for an age recipient. Keep it apart
from backups of the data: who has both, and the recipient's identity, has it all.

A copy keeps keys that the keyring destroys afterwards, and with them what was
erased. It therefore expires after erasure.promise: then no program restores it;
destroy it by then and make another one. A running server is not disturbed.

Keys in Vault are not copied by this: Vault's own snapshots are their backup.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if recipient == "" {
				return usagef("say for whom: --recipient age1...")
			}
			to, err := age.ParseX25519Recipient(recipient)
			if err != nil {
				return usagef("--recipient: want an age recipient, age1 and 58 more characters")
			}
			expires, err := c.backupKeys(&f, args[0], to)
			if err != nil {
				return err
			}
			out := struct {
				File      string    `json:"file"`
				ExpiresAt time.Time `json:"expires_at"`
			}{args[0], expires}
			return c.say(out, "%s: a copy of the keyring; it expires on %s", args[0], expires.Format(time.RFC3339))
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&recipient, "recipient", "", "the age recipient (age1...) that the copy is sealed for")
	return cmd
}

func (c *cli) backupKeys(f *storeFlags, out string, to age.Recipient) (expires time.Time, err error) {
	conf, err := f.read()
	if err != nil {
		return expires, err
	}
	if err := app.NoCoreDumps(); err != nil {
		return expires, err
	}
	file, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+"-*") // mode 0600
	if err != nil {
		return expires, fmt.Errorf("the copy of the keyring: %w", err)
	}
	defer os.Remove(file.Name())
	expires, err = app.BackupKeys(conf, c.logger(), f.dev, file, to)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return expires, err
	}
	return expires, putInPlace(file.Name(), out)
}

func (c *cli) keysRestore() *cobra.Command {
	var f storeFlags
	var identity string
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a keyring of a copy, where there is none", Args: exactly(1),
		Long: `Make a keyring of a copy, where there is none. A copy that has expired is refused.
Keys, and versions of keys, that the ledger of erasures tells are destroyed are
left out.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if identity == "" {
				return usagef("say what opens it: --identity FILE")
			}
			conf, err := f.forRestore(false)
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			return c.withBackup(args[0], identity, func(b app.Backup) error {
				out, err := app.RestoreKeys(conf, c.logger(), f.dev, b.From, b.Identities)
				if err != nil {
					return err
				}
				return c.say(out, "a keyring of %d keys, as of %s; left out: %d keys, and older versions of %d",
					out.Keys, out.CreatedAt.Format(time.RFC3339), len(out.Dropped), len(out.Trimmed))
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "a file of age identities")
	return cmd
}
