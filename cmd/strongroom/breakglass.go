package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
)

func (c *cli) breakGlassCommand() *cobra.Command {
	var f storeFlags
	var admin string
	cmd := &cobra.Command{
		Use: "break-glass --config FILE --admin-client NAME", Args: exactly(0),
		Short: "Restore an administrator of a store that nothing serves, audited; its new secret is printed once",
		Long: `Restore an administrator of a store that nothing serves. It takes the machine and
what opens the store's keys: the keyring's passphrase, or the login to Vault.

A client of that name is made, or made anew: it is an administrator, keeps the
built-in roles that it had and no other, and its earlier secrets and tokens end.
The audit log gets an event of its own, and /readyz tells of it for a day.`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if admin == "" {
			return usagef("name the administrator: --admin-client NAME")
		}
		return c.withStore(&f, func(ctx context.Context, base *app.Base) error {
			made, err := base.Store.BreakGlass(ctx, admin)
			if err != nil {
				return err
			}
			if c.output == "text" {
				fmt.Fprintf(c.err, "The glass is broken, and the audit log says so. The secret of the administrator %s, shown this once:\n", admin)
			}
			return c.say(map[string]string{"client_id": admin, "client_secret": made.Secret.Reveal()}, "%s", made.Secret.Reveal())
		})(cmd, args)
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&admin, "admin-client", "", "name of the administrator")
	return cmd
}
