package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"strongroom/client"
)

// The exit codes. A command that runs another passes that one's on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitPending says that nothing failed and nothing was changed yet: a
	// second person has to approve.
	exitPending = 3
)

// cli is what the subcommands share.
type cli struct {
	in       io.Reader
	out, err io.Writer
	output   string // text or json

	purpose, approval string // of reads
}

// usageError is a command that was not written right.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// silent is a failure that was told already: only its exit code is left.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// run is the whole program.
func run(args []string, in io.Reader, out, err io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
	}()
	c := &cli{in: in, out: out, err: err}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(err)
	return c.exitCode(root.ExecuteContext(ctx))
}

func (c *cli) exitCode(err error) int {
	var quiet silent
	var usage usageError
	var pending *client.Pending
	if errors.As(err, &pending) {
		err = c.waits(pending)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return int(quiet)
	}
	fmt.Fprintf(c.err, "strongroom: %s\n", printableLines(err.Error()))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "strongroom",
		Short:         "An encrypted store for integration data",
		SilenceErrors: true, SilenceUsage: true,
		RunE: group, Args: cobra.ArbitraryArgs,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&c.output, "output", "text", "how to print: text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.output != "text" && c.output != "json" {
			return usagef("--output must be text or json")
		}
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		c.serveCommand(), c.initCommand(), c.demoCommand(),
		c.integrationCommand(), c.collectionCommand(), c.recordCommand(), c.roleCommand(), c.clientCommand(), c.accessCommand(), c.limitCommand(),
		c.rotateCommand(), c.rotationCommand(), c.scheduleCommand(), c.keysCommand(), c.eraseCommand(), c.erasureCommand(),
		c.changeCommand(), c.approvalCommand(), c.breakGlassCommand(),
		c.execCommand(), c.backupCommand(), c.restoreCommand(), c.compactCommand(), c.fsckCommand(), c.ledgerCommand(), c.doctorCommand(),
		c.benchCommand(), c.versionCommand(),
	)
	return root
}

// group is the run of a command that only holds others.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("there is no command %q; see `%s --help`", args[0], cmd.CommandPath())
	}
	_ = cmd.Help()
	return silent(exitUsage)
}

func newGroup(use, short string, members ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, RunE: group, Args: cobra.ArbitraryArgs}
	g.AddCommand(members...)
	return g
}

// exactly makes a wrong number of arguments a usage error that says what is
// wanted.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usagef("this is not how it goes: `%s`", cmd.UseLine())
		}
		return nil
	}
}
