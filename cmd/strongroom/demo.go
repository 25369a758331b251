package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"strongroom/client"
	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/config"
	"strongroom/internal/demo"
)

func (c *cli) demoCommand() *cobra.Command {
	var keep bool
	var home string
	cmd := &cobra.Command{
		Use: "demo", Short: "Run the main job from end to end and show what each side sees", Args: exactly(0),
		Long: `Run the main job from end to end, through the public API of a development server
of its own: webhook events and a credential are stored, services fetch what their
roles let them, a stranger is refused, and the disk is searched byte by byte for
everything that must be sealed. Nothing is left behind unless --keep --home DIR.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if keep != (home != "") {
				return usagef("--keep and --home DIR go together")
			}
			if !keep {
				if home, err = os.MkdirTemp("", "strongroom-demo-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
			}
			return c.demo(cmd.Context(), home)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the home for a look")
	cmd.Flags().StringVar(&home, "home", "", "with --keep: the folder, which must not exist or be empty")
	return cmd
}

func (c *cli) demo(ctx context.Context, home string) error {
	if left, err := os.ReadDir(home); err == nil && len(left) > 0 {
		return fmt.Errorf("%s is not empty", home)
	}
	n := 0
	print := func(s demo.Step) {
		n++
		fmt.Fprintf(c.out, "%d. %s\n", n, s.Title)
		for _, seen := range s.Seen {
			fmt.Fprintf(c.out, "   %-11s  %s\n", seen.Who, printable(seen.What))
		}
		fmt.Fprintln(c.out)
	}
	if c.output == "json" {
		print = nil
	}
	report, err := demo.Run(ctx, demo.Options{Home: home, Start: startDevServer, Print: print})
	if err != nil {
		return err
	}
	return c.say(report, "Nothing that is sealed was found. What lies in plaintext: names, record ids and labels; sizes and counts show too.")
}

// devServer is a development server in this process.
type devServer struct {
	app    *app.App
	client client.Config
	stop   context.CancelFunc
	ended  chan error
}

func startDevServer(ctx context.Context, home string) (demo.Server, error) {
	conf := config.Default()
	conf.Listen, conf.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	o := app.Options{Config: conf, Logger: slog.New(slog.DiscardHandler), Version: version()}
	var err error
	dev, conf, first, err := prepareDev(ctx, home, o)
	if err != nil {
		return nil, err
	}
	o.Dev, o.Config = dev, conf
	s := &devServer{ended: make(chan error, 1)}
	if s.app, err = app.Open(ctx, o); err != nil {
		return nil, err
	}
	if s.client, err = dev.WriteEnv(ctx, s.app, first); err != nil {
		return nil, closeWith(s.app, err)
	}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.app.Run(run) }()
	return s, nil
}

// Client says how the dev client connects.
func (s *devServer) Client() client.Config { return s.client }

// Stop drains and closes.
func (s *devServer) Stop() error {
	s.stop()
	return closeWith(s.app, <-s.ended)
}
