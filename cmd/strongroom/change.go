package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) changeCommand() *cobra.Command {
	return newGroup("change", "Changes that widen access and wait for a second person",
		c.changeList(), c.changeShow(),
		c.decideChange("approve", "Carry out a change that somebody else asked for", (*client.Client).ApproveChange),
		c.decideChange("reject", "Refuse a change", (*client.Client).RejectChange),
		c.decideChange("withdraw", "Take back a change that you asked for", (*client.Client).WithdrawChange),
		c.twoPerson())
}

func changeTable(list ...client.Change) func() *table {
	return func() *table {
		t := &table{head: []string{"CHANGE", "KIND", "TARGET", "STATE", "REQUESTER", "DECIDER", "EXPIRES"}}
		for _, ch := range list {
			t.add(ch.ID, ch.Kind, ch.Target, ch.State, ch.Requester, orDash(ch.Decider), when(&ch.ExpiresAt))
		}
		return t
	}
}

func (c *cli) changeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the changes that wait, and those decided about lately", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListChanges(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), changeTable(list...))
		}),
	}
}

func (c *cli) changeShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CHANGE", Short: "Show a change: what is, what it is to become, and whom it gives that to", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ch, err := api.GetChange(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.show(ch, changeTable(*ch)); err != nil || c.output == "json" {
				return err
			}
			fmt.Fprintf(c.out, "affects: %s\n", orDash(strings.Join(ch.Affects, ", ")))
			return errors.Join(c.document("is", ch.Current), c.document("is to become", ch.Document))
		}),
	}
}

// document prints a JSON document under a heading.
func (c *cli) document(heading string, raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "%s:\n%s\n", heading, out.String())
	return err
}

func (c *cli) decideChange(verb, short string, decide func(*client.Client, context.Context, string) (*client.Change, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " CHANGE", Short: short, Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ch, err := decide(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(ch, changeTable(*ch))
		}),
	}
}

// twoPerson tells and sets whether changes wait.
func (c *cli) twoPerson() *cobra.Command {
	return &cobra.Command{
		Use: "two-person [on|off]", Short: "Tell whether changes that widen access wait, or have them wait or not", Args: between(0, 1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			g, err := c.setTwoPerson(cmd.Context(), args, api)
			if err != nil {
				return err
			}
			return c.say(g, "two_person is %s", map[bool]string{true: "on", false: "off"}[g.TwoPerson])
		}),
	}
}

func (c *cli) setTwoPerson(ctx context.Context, args []string, api *client.Client) (*client.Governance, error) {
	switch {
	case len(args) == 0:
		return api.GetGovernance(ctx)
	case args[0] == "on" || args[0] == "off":
		return api.PutGovernance(ctx, args[0] == "on")
	}
	return nil, usagef("say on or off")
}

// waits tells of a change that waits instead of having been made. That is no
// failure, and no success either: the exit code says so.
func (c *cli) waits(p *client.Pending) error {
	fmt.Fprintf(c.err, "This widens access, so it waits for a second person: `strongroom change approve %s`\n", p.Change.ID)
	if p.SecretID != "" && c.output == "text" {
		fmt.Fprintf(c.err, "The secret %s counts once that is done, and is shown this once:\n", p.SecretID)
	}
	value := map[string]any{"change": p.Change}
	text := p.Change.ID
	if p.SecretID != "" {
		value["secret_id"], value["client_secret"] = p.SecretID, p.Secret.Reveal()
		text = p.Secret.Reveal()
	}
	if err := c.say(value, "%s", text); err != nil {
		return err
	}
	return silent(exitPending)
}
