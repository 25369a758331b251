package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
)

func (c *cli) initCommand() *cobra.Command {
	var path, admin string
	cmd := &cobra.Command{
		Use: "init --config FILE --admin-client NAME", Short: "Make a store and its first client, whose secret is printed once", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if admin == "" {
				return usagef("name the first client: --admin-client NAME")
			}
			conf, err := loadConfig(path)
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			first, err := app.Create(cmd.Context(), conf, c.logger(), admin, false)
			if err != nil {
				return err
			}
			if c.output == "text" {
				fmt.Fprintf(c.err, "The store is made in %s. The secret of the client %s, shown this once:\n", conf.DataDir, admin)
			}
			return c.say(map[string]string{"client_id": admin, "client_secret": first.Reveal()}, "%s", first.Reveal())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration, a YAML file")
	cmd.Flags().StringVar(&admin, "admin-client", "", "name of the first client: administrator, operator and auditor")
	return cmd
}

// loadConfig reads and checks a configuration.
func loadConfig(path string) (config.Config, error) {
	conf, err := config.Load(path, os.Environ())
	if bad := (*config.Invalid)(nil); errors.As(err, &bad) {
		err = fmt.Errorf("the configuration is not right:\n%w", bad)
	}
	if err != nil {
		return config.Config{}, err
	}
	return *conf, nil
}

// logger is for commands that work on a store without serving it: they speak up
// when something is amiss.
func (c *cli) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
