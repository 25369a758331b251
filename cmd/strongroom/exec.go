package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"strongroom/client"
)

// variableName is a name that every shell takes.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *cli) execCommand() *cobra.Command {
	var variables []string
	var keep bool
	cmd := &cobra.Command{
		Use:   "exec --env NAME=INTEGRATION/COLLECTION/RECORD#FIELD ... -- COMMAND [ARGUMENT ...]",
		Short: "Run a command with stored values in its environment",
		Long: `Run a command with stored values in its environment, and nowhere else: no file,
no argument. The command takes this process's place, so that signals reach it
and its exit code is what remains. The variables by which this client proves
itself to the server are taken out, unless --keep-client.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say which command to run, behind --")
			}
			return nil
		},
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			values, err := fetchVariables(cmd.Context(), api, variables)
			if err != nil {
				return err
			}
			return replaceProcess(args, environment(os.Environ(), values, keep))
		}),
	}
	cmd.Flags().StringArrayVar(&variables, "env", nil, "NAME=INTEGRATION/COLLECTION/RECORD#FIELD; may be given again")
	cmd.Flags().BoolVar(&keep, "keep-client", false, "leave in the environment what this client is known by")
	return cmd
}

// fetchVariables fetches each value, all before anything runs.
func fetchVariables(ctx context.Context, api *client.Client, variables []string) (map[string]string, error) {
	values := map[string]string{}
	for _, v := range variables {
		name, source, ok := strings.Cut(v, "=")
		if !ok || !variableName.MatchString(name) {
			return nil, usagef("--env goes NAME=INTEGRATION/COLLECTION/RECORD#FIELD")
		}
		ref, field, err := fieldRef(source)
		if err != nil {
			return nil, err
		}
		value, err := api.GetField(ctx, ref, field)
		if err != nil {
			return nil, fmt.Errorf("the value of %s: %w", name, err)
		}
		if value.Masked {
			return nil, fmt.Errorf("the value of %s: this client may see it masked only", name)
		}
		if bytes.IndexByte(value.Value, 0) >= 0 {
			return nil, fmt.Errorf("the value of %s has a zero byte, which no environment can hold", name)
		}
		values[name] = string(value.Value)
	}
	return values, nil
}

// proofs are the variables by which this client is known.
var proofs = []string{client.EnvClientSecret, client.EnvClientKeyFile, client.EnvAssertionFile, client.EnvClientKey}

// environment is what the command gets.
func environment(own []string, values map[string]string, keepClient bool) []string {
	var env []string
	for _, pair := range own {
		name, _, _ := strings.Cut(pair, "=")
		if _, replaced := values[name]; replaced || !keepClient && slices.Contains(proofs, name) {
			continue
		}
		env = append(env, pair)
	}
	for _, name := range sortedKeys(values) {
		env = append(env, name+"="+values[name])
	}
	return env
}

// The exit codes of a shell for a command that can't be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// replaceProcess does not return when it succeeds.
func replaceProcess(args, env []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "strongroom: there is no command %q\n", args[0])
		if errors.Is(err, os.ErrPermission) {
			return silent(exitNotExecutable)
		}
		return silent(exitNotFound)
	}
	if err := syscall.Exec(path, args, env); err != nil {
		fmt.Fprintf(os.Stderr, "strongroom: run %q: %v\n", args[0], err)
	}
	return silent(exitNotExecutable)
}
