package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
	"strongroom/internal/secret"
)

func (c *cli) initCommand() *cobra.Command {
	var path string
	var admins []string
	cmd := &cobra.Command{
		Use: "init --config FILE --admin-client NAME", Short: "Make a store and its first client, whose secret is printed once", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(admins) == 0 {
				return usagef("name the first client: --admin-client NAME")
			}
			conf, err := loadConfig(path)
			if err != nil {
				return err
			}
			if err := app.NoCoreDumps(); err != nil {
				return err
			}
			secrets, err := app.Create(cmd.Context(), conf, c.logger(), admins, false)
			if err != nil {
				return err
			}
			return c.showFounders(conf, admins, secrets)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration, a YAML file")
	cmd.Flags().StringSliceVar(&admins, "admin-client", nil, "name of the first client: administrator, operator and auditor; give a second one for a store with two_person")
	return cmd
}

// founder is a first client with its secret, as it is printed this once.
type founder struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// showFounders prints a secret a line, in the order in which the clients were
// named. The JSON of a single one is not in a list.
func (c *cli) showFounders(conf config.Config, names []string, secrets []secret.Text) error {
	founders := make([]founder, len(names))
	lines := make([]string, len(names))
	for i, name := range names {
		founders[i], lines[i] = founder{name, secrets[i].Reveal()}, secrets[i].Reveal()
	}
	if c.output == "text" {
		fmt.Fprintf(c.err, "The store is made in %s. The secret of the client %s, shown this once:\n", conf.DataDir, strings.Join(names, ", then that of "))
	}
	var value any = founders[0]
	if len(founders) > 1 {
		value = items(founders)
	}
	return c.say(value, "%s", strings.Join(lines, "\n"))
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
