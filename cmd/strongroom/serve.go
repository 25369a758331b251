package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
	"strongroom/internal/secret"
)

const devHome = "./.strongroom"

// serveFlags override the configuration.
type serveFlags struct {
	dev, check        bool
	home, config      string
	listen, opsListen string
	drainDelay        time.Duration
}

func (f *serveFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.dev, "dev", false, "serve a store for development, made on the first start: nothing to install")
	flags.StringVar(&f.home, "home", devHome, "with --dev: the folder of everything")
	flags.StringVar(&f.config, "config", "", "the configuration, a YAML file")
	flags.BoolVar(&f.check, "check", false, "tell what is wrong with the configuration and start nothing")
	flags.StringVar(&f.listen, "listen", "", "address of the API (default 127.0.0.1:8443)")
	flags.StringVar(&f.opsListen, "ops-listen", "", "address of health and metrics (default 127.0.0.1:8444)")
	flags.DurationVar(&f.drainDelay, "drain-delay", 0, "how long to say `not ready` before closing")
}

// read returns the configuration with the flags in place.
func (f *serveFlags) read(cmd *cobra.Command) (config.Config, error) {
	c, err := config.Read(f.config, os.Environ())
	if err != nil {
		return config.Config{}, fmt.Errorf("the configuration is not right:\n%w", err)
	}
	if f.listen != "" {
		c.Listen = f.listen
	}
	if f.opsListen != "" {
		c.OpsListen = f.opsListen
	}
	if cmd.Flags().Changed("drain-delay") {
		c.DrainDelay = config.Duration(f.drainDelay)
	}
	return *c, nil
}

func (f *serveFlags) usage(cmd *cobra.Command) error {
	switch {
	case f.dev && f.config != "":
		return usagef("--dev takes no --config: its store, keys and certificate are its own")
	case !f.dev && cmd.Flags().Changed("home"):
		return usagef("--home goes with --dev")
	}
	return nil
}

func (c *cli) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve a store over HTTPS", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.usage(cmd); err != nil {
				return err
			}
			conf, err := f.read(cmd)
			if err != nil {
				return err
			}
			if f.check {
				return c.check(conf, f.dev)
			}
			return c.serve(cmd.Context(), &f, conf)
		},
	}
	f.bind(cmd)
	return cmd
}

func (c *cli) check(conf config.Config, dev bool) error {
	if !dev {
		if err := conf.Check(); err != nil {
			return fmt.Errorf("the configuration is not right:\n%w", err)
		}
	}
	return c.say(map[string]bool{"valid": true}, "the configuration is right")
}

func (c *cli) serve(ctx context.Context, f *serveFlags, conf config.Config) error {
	if err := app.NoCoreDumps(); err != nil {
		return err
	}
	spareCollector()
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(conf.Log.Level))
	logger := slog.New(slog.NewJSONHandler(c.err, &slog.HandlerOptions{Level: level}))
	o := app.Options{Config: conf, Logger: logger, Version: version()}
	if f.dev {
		return c.serveDev(ctx, f, o, level)
	}
	if err := conf.Check(); err != nil {
		return fmt.Errorf("the configuration is not right:\n%w", err)
	}
	a, err := app.Open(ctx, o)
	if err != nil {
		return err
	}
	return c.runApp(ctx, a, f, level)
}

// serveDev makes what is not there yet, and tells the owner how to begin.
func (c *cli) serveDev(ctx context.Context, f *serveFlags, o app.Options, level *slog.LevelVar) (err error) {
	var first secret.Text
	if o.Dev, o.Config, first, err = prepareDev(ctx, f.home, o); err != nil {
		return err
	}
	a, err := app.Open(ctx, o)
	if err != nil {
		return err
	}
	if _, err := o.Dev.WriteEnv(ctx, a, first); err != nil {
		return closeWith(a, err)
	}
	c.devNotice(a, o.Dev)
	return c.runApp(ctx, a, f, level)
}

func prepareDev(ctx context.Context, home string, o app.Options) (*app.Dev, config.Config, secret.Text, error) {
	dev, conf, err := app.OpenDev(home, o.Config)
	if err != nil {
		return nil, conf, secret.Text{}, err
	}
	first, err := dev.EnsureStore(ctx, conf, o.Logger)
	return dev, conf, first, err
}

// devNotice is loud on purpose: a keyring that is not sealed protects nothing
// from whoever reads the folder.
func (c *cli) devNotice(a *app.App, dev *app.Dev) {
	env := dev.EnvFile()
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, env); err == nil && len(rel) < len(env) {
			env = rel
		}
	}
	fmt.Fprintf(c.err, `
  ******************************************************************
  *  DEVELOPMENT MODE. The keys in this home are NOT sealed:       *
  *  whoever can read the folder can read every record.            *
  *  Don't put real data in it.                                    *
  ******************************************************************

  API         %s
  Operations  https://%s/readyz
  Home        %s
  In a second terminal:  source %s

`, a.URL(), a.Server.OpsAddr(), dev.Home, env)
}

// runApp serves until a signal, and listens to SIGHUP meanwhile.
func (c *cli) runApp(ctx context.Context, a *app.App, f *serveFlags, level *slog.LevelVar) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-hangup:
				reload(a, f, level)
			case <-ended:
				return
			}
		}
	}()
	a.Log().Info("serving", "url", a.URL(), "operations", a.Server.OpsAddr(), "version", version(),
		"store", a.Store.UID().String(), "keys", a.Keys.Name())
	return closeWith(a, a.Run(ctx))
}

// reload reads what can change without a restart: the log level and the
// certificate.
func reload(a *app.App, f *serveFlags, level *slog.LevelVar) {
	conf, err := config.Read(f.config, os.Environ())
	if err == nil {
		err = level.UnmarshalText([]byte(conf.Log.Level))
	}
	if err == nil {
		err = a.ReloadCertificate()
	}
	if err != nil {
		a.Log().Error("the configuration was not reloaded", "error", err)
		return
	}
	a.Log().Info("the configuration was reloaded", "log_level", level.String())
}
