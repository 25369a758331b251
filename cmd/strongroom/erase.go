package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/client"
	"strongroom/rotate"
)

func (c *cli) eraseCommand() *cobra.Command {
	var r client.ErasureRequest
	var labels []string
	var detach bool
	cmd := &cobra.Command{
		Use: "erase INTEGRATION[/COLLECTION[/RECORD]]", Short: "Erase a record, all records with labels, or an integration, for good",
		Long: `Erase for good. --level says how far: E1 takes it out of the live store, E2 out of
the data file too, and E3 destroys every key that ever covered it, so that no
copy and no backup can be opened any more. E3 waits for a backup that was made
since: strongroom backup. The server does it; the command shows how far it is.`,
		Example: `  strongroom erase billing/customers/ada --level E3
  strongroom erase billing --label subject=cust-42 --level E2
  strongroom erase billing --confirm billing --level E3`,
		Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := eraseTarget(&r, args[0], labels); err != nil {
				return err
			}
			made, err := api.CreateErasure(cmd.Context(), r)
			if err != nil {
				return err
			}
			if detach {
				return c.say(made, "%s", made.ID)
			}
			return c.watchErasure(cmd.Context(), api, made.ID)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&labels, "label", nil, "NAME=VALUE: all records with this label; may be given again")
	flags.StringVar(&r.Level, "level", "E1", "how far: E1, E2 or E3")
	flags.StringVar(&r.Reason, "reason", "", "a sentence for the certificate")
	flags.StringVar(&r.Confirm, "confirm", "", "the name of the integration once more, when all of it is to go")
	flags.BoolVar(&detach, "detach", false, "begin it, print its id, and do not watch")
	return cmd
}

// eraseTarget reads what is to go.
func eraseTarget(r *client.ErasureRequest, arg string, labels []string) (err error) {
	parts := strings.Split(arg, "/")
	if len(parts) > 3 || strings.Contains("/"+arg+"/", "//") {
		return usagef("what is erased goes INTEGRATION, INTEGRATION/COLLECTION or INTEGRATION/COLLECTION/RECORD")
	}
	parts = append(parts, "", "")
	r.Integration, r.Collection, r.Record = parts[0], parts[1], parts[2]
	if r.Labels, err = labelsOf(labels); err != nil {
		return err
	}
	switch whole := r.Collection == "" && len(r.Labels) == 0; {
	case whole && r.Confirm != r.Integration:
		return usagef("all of an integration takes its name twice: --confirm %s; or name a record, or --label", r.Integration)
	case !whole && r.Confirm != "":
		return usagef("--confirm goes with a whole integration")
	case r.Record != "" && len(r.Labels) > 0:
		return usagef("a record, or --label, not both")
	case r.Collection != "" && r.Record == "" && len(r.Labels) == 0:
		return usagef("of a collection say which records: --label NAME=VALUE; `strongroom collection delete` deletes all of it")
	}
	return nil
}

func (c *cli) erasureCommand() *cobra.Command {
	return newGroup("erasure", "Erasures: how far they have come, and their certificates",
		c.erasureList(),
		c.onErasure("get", "Show how far an erasure has come", (*client.Client).GetErasure),
		c.onErasure("resume", "Go on with an erasure that failed", (*client.Client).ResumeErasure),
		c.erasureWatch(), c.erasureCertificate(), c.erasureVerify())
}

func erasureTable(list ...client.Erasure) func() *table {
	return func() *table {
		t := &table{head: []string{"ERASURE", "OF", "LEVEL", "STATE", "RECORDS", "BY", "CREATED", "DETAIL"}}
		for _, e := range list {
			t.add(e.ID, erased(&e), e.Level, erasureState(&e), fmt.Sprint(e.Records), e.By, when(&e.CreatedAt), orDash(e.Detail))
		}
		return t
	}
}

// erased says in a few words what an erasure is of.
func erased(e *client.Erasure) string {
	at := e.Integration
	for _, part := range []string{e.Collection, e.Record} {
		if part != "" {
			at += "/" + part
		}
	}
	if len(e.Labels) > 0 {
		at += " " + pairs(e.Labels)
	}
	return at
}

func erasureState(e *client.Erasure) string {
	switch {
	case e.Failed:
		return e.State + ", failed"
	case e.Done:
		return e.State + ", done"
	}
	return e.State
}

func (c *cli) erasureList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the erasures", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListErasures(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), erasureTable(list...))
		}),
	}
}

func (c *cli) onErasure(verb, short string, do func(*client.Client, context.Context, string) (*client.Erasure, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ERASURE", Short: short, Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			e, err := do(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(e, erasureTable(*e))
		}),
	}
}

func (c *cli) erasureWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch ERASURE", Short: "Show how far an erasure has come, until it is done", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			return c.watchErasure(cmd.Context(), api, args[0])
		}),
	}
}

func (c *cli) watchErasure(ctx context.Context, api *client.Client, id string) error {
	var last *client.Erasure
	view := c.newJobView()
	for e, err := range api.WatchErasure(ctx, id) {
		if err != nil {
			view.close()
			return fmt.Errorf("%w; the erasure goes on: strongroom erasure watch %s", err, id)
		}
		last = e
		if err := view.show(erasureNews(e), e); err != nil {
			return err
		}
	}
	view.close()
	if last != nil && last.Failed {
		return fmt.Errorf("the erasure %s has failed%s", id, because(last.Detail))
	}
	return nil
}

// erasureNews is what is shown of an erasure under way: the levels are its bar.
func erasureNews(e *client.Erasure) jobNews {
	return jobNews{name: "erasure " + e.ID, state: erasureState(e), detail: e.Detail,
		steps: []string{fmt.Sprintf("%d records", e.Records)}, done: levelOf(e.State), total: levelOf(e.Level), unit: "levels"}
}

// levelOf is the number in E0 to E3.
func levelOf(level string) uint64 {
	if len(level) == 2 && level[0] == 'E' && level[1] >= '0' && level[1] <= '9' {
		return uint64(level[1] - '0')
	}
	return 0
}

func (c *cli) erasureCertificate() *cobra.Command {
	return &cobra.Command{
		Use: "certificate ERASURE", Short: "Print the signed certificate of an erasure that is done", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			text, err := api.ErasureCertificate(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showStatement(text)
		}),
	}
}

// erasureVerify checks a certificate without any server.
func (c *cli) erasureVerify() *cobra.Command {
	var keys string
	cmd := &cobra.Command{
		Use: "verify CERTIFICATE --keys FILE", Short: "Check the certificate of an erasure, without a server", Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, known, err := readStatement(args[0], keys)
			if err != nil {
				return err
			}
			certificate, err := rotate.VerifyCertificate(text, known)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(certificate)
			if err != nil {
				return err
			}
			if err := c.showJSON(json.RawMessage(raw)); err != nil || c.output == "json" {
				return err
			}
			_, err = fmt.Fprintln(c.out, "the signature is right")
			return err
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "a file of public keys, one a line: `strongroom keys attest`")
	return cmd
}
