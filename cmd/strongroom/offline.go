package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
)

// storeFlags name a store that no server has open.
type storeFlags struct {
	dev          bool
	home, config string
}

func (f *storeFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dev, "dev", false, "the store of a development server")
	cmd.Flags().StringVar(&f.home, "home", devHome, "with --dev: the folder of everything")
	cmd.Flags().StringVar(&f.config, "config", "", "the configuration, a YAML file")
}

// read returns the configuration of the store that is named.
func (f *storeFlags) read() (config.Config, error) {
	if !f.dev {
		return loadConfig(f.config)
	}
	base, err := config.Read("", os.Environ())
	if err != nil {
		return config.Config{}, err
	}
	if _, err := os.Stat(f.home); err != nil {
		return config.Config{}, fmt.Errorf("there is no store in %s", f.home)
	}
	_, conf, err := app.OpenDev(f.home, *base)
	return conf, err
}

// withStore runs a command on a store that nothing serves.
func (c *cli) withStore(f *storeFlags, run func(context.Context, *app.Base) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		conf, err := f.read()
		if err != nil {
			return err
		}
		if err := app.NoCoreDumps(); err != nil {
			return err
		}
		base, err := app.OpenBase(cmd.Context(), conf, c.logger(), f.dev)
		if err != nil {
			return err
		}
		return closeWith(base, run(cmd.Context(), base))
	}
}

func closeWith(closer interface{ Close() error }, err error) error {
	return errors.Join(err, closer.Close())
}
