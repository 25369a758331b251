package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
	"strongroom/envelope"
	"strongroom/rotate"
)

func (c *cli) rotateCommand() *cobra.Command {
	var f rotateFlags
	cmd := &cobra.Command{
		Use: "rotate [INTEGRATION...] --depth kek|keyset|data", Short: "Rotate keys, and show how far it is",
		Long: `Rotate the keys of integrations, named or matched by * (quote it), and of the
system domain. The server does it, while requests go on and after a restart too;
the command shows how far it is. Ctrl-C ends the command and not the rotation:
strongroom rotation watch ID looks again.`,
		Example: `  strongroom rotate billing --depth keyset
  strongroom rotate --all --system --depth kek --retire
  strongroom rotate --compromised 0a1b2c3d --reason "found in a ticket"
  strongroom rotate verify report.txt --keys attest-keys.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			request, err := f.request(cmd, args)
			if err != nil {
				return err
			}
			return c.rotate(cmd.Context(), api, request, f.detach)
		}),
	}
	f.bind(cmd)
	cmd.AddCommand(c.rotateVerify())
	return cmd
}

// rotateFlags make the request of a rotation.
type rotateFlags struct {
	client.RotationRequest
	all, detach bool
	grace       time.Duration
}

func (f *rotateFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Depth, "depth", "", "kek, keyset or data: how deep; docs/rotation.md tells them apart")
	flags.BoolVar(&f.all, "all", false, "every integration")
	flags.BoolVar(&f.System, "system", false, "the keys of the control plane too")
	flags.BoolVar(&f.Reindex, "reindex", false, "with keyset: new index keys too")
	flags.DurationVar(&f.grace, "grace", 0, "how long an old key stays disabled before it is destroyed (default: the server's)")
	flags.BoolVar(&f.Retire, "retire", false, "have the key service refuse the old versions of the key-encryption key")
	flags.BoolVar(&f.Trim, "trim", false, "have it destroy them: backups from before can never be opened again")
	flags.StringVar(&f.Compromised, "compromised", "", "id of a key that others may know: all that it protects is sealed anew, at once")
	flags.Uint64Var(&f.Rate, "rate", 0, "values a second at most (default: as many as leave requests unharmed)")
	flags.StringVar(&f.Reason, "reason", "", "a sentence for the report")
	flags.BoolVar(&f.detach, "detach", false, "begin it, print its id, and do not watch")
}

// request checks what would be a slip of the hand.
func (f *rotateFlags) request(cmd *cobra.Command, args []string) (client.RotationRequest, error) {
	r := f.RotationRequest
	r.Integrations = args
	switch {
	case f.all && len(args) > 0:
		return r, usagef("name integrations, or say --all")
	case f.all:
		r.Integrations = []string{"*"}
	}
	nothing := len(r.Integrations) == 0 && !r.System
	switch {
	case r.Compromised != "" && (!nothing || r.Depth != ""):
		return r, usagef("--compromised finds the integration by the key, and its depth is data")
	case r.Compromised == "" && nothing:
		return r, usagef("say what to rotate: integrations, --all, --system, or --compromised KEYID")
	case r.Compromised == "" && r.Depth == "":
		return r, usagef("say how deep: --depth kek, keyset or data")
	}
	if cmd.Flags().Changed("grace") {
		r.Grace = f.grace.String()
	}
	return r, nil
}

func (c *cli) rotate(ctx context.Context, api *client.Client, request client.RotationRequest, detach bool) error {
	made, err := api.CreateRotation(ctx, request)
	if err != nil {
		return err
	}
	if detach {
		return c.say(made, "%s", made.ID)
	}
	if err := c.watchRotation(ctx, api, made.ID); err != nil || request.Compromised == "" || c.output == "json" {
		return err
	}
	fmt.Fprintf(c.err, "what the key has covered: strongroom keys records %s\n", printable(request.Compromised))
	return nil
}

// rotateVerify checks a report without any server.
func (c *cli) rotateVerify() *cobra.Command {
	var keys string
	cmd := &cobra.Command{
		Use: "verify REPORT --keys FILE", Short: "Check the report of a rotation, without a server", Args: exactly(1),
		Long: `Check the signed report of a rotation: its signature, by the keys of a file, and
that what it says adds up. No server is asked. The keys are those that
"strongroom keys attest" printed when there was no reason to doubt the server.`,
		RunE: func(_ *cobra.Command, args []string) error {
			text, known, err := readStatement(args[0], keys)
			if err != nil {
				return err
			}
			report, err := rotate.VerifyReport(text, known)
			if err != nil {
				return err
			}
			if err := c.show(report, func() *table { return reportTable(&report) }); err != nil {
				return err
			}
			return c.judge(&report)
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "a file of public keys, one a line")
	return cmd
}

// judge says what a report that was signed amounts to.
func (c *cli) judge(r *rotate.Report) error {
	switch {
	case r.Rotation.State != rotate.StateDone:
		return fmt.Errorf("the signature is right, and the rotation did not finish: it is %s", r.Rotation.State)
	case !r.Proven:
		return fmt.Errorf("the signature is right, and the report does not claim that nothing is left under the old keys")
	}
	if c.output != "json" {
		fmt.Fprintf(c.out, "the signature is right: nothing was left under the old keys of rotation %s\n", printable(r.Rotation.ID))
	}
	return nil
}

func reportTable(r *rotate.Report) *table {
	t := &table{head: []string{"INTEGRATION", "STEP", "OLD KEYS", "NEW KEYS", "BEFORE", "AFTER", "SCANNED", "KEK"}}
	for _, p := range r.Rotation.Parts {
		scanned := "-"
		if p.Scan != nil {
			scanned = fmt.Sprintf("%d, %d left", p.Scan.Values, p.Scan.Left)
		}
		t.add(domainName(p.Integration), string(p.Step), keyNames(p.Old), keyNames(p.New), under(p.Counts.Before, p.Old), under(p.Counts.After, p.Old),
			scanned, versions(p.KEKFrom, p.KEKTo))
	}
	return t
}

func domainName(integration string) string { return orText(integration, "(system)") }

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func keyNames(keys []rotate.Key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Purpose.String() + " " + envelope.FormatKeyID(k.KeyID)
	}
	return orDash(strings.Join(names, ", "))
}

// under sums the values that lay under keys.
func under(counts map[string]uint64, keys []rotate.Key) string {
	if counts == nil {
		return "-"
	}
	sum := uint64(0)
	for _, k := range keys {
		sum += counts[envelope.FormatKeyID(k.KeyID)]
	}
	return fmt.Sprint(sum)
}

func versions(from, to int) string {
	if to == 0 {
		return "-"
	}
	return fmt.Sprintf("%d to %d", from, to)
}

// readStatement reads something signed, and the keys to check it with. Lines of
// the keys' file that begin with # are comments.
func readStatement(path, keys string) (text []byte, known []string, err error) {
	if keys == "" {
		return nil, nil, usagef("say whose signature counts: --keys FILE, as `strongroom keys attest` printed it")
	}
	if text, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	list, err := os.ReadFile(keys)
	if err != nil {
		return nil, nil, err
	}
	if json.Valid(list) {
		return nil, nil, fmt.Errorf("%s is JSON: a file of keys has one a line", keys)
	}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			known = append(known, line)
		}
	}
	return text, known, nil
}
