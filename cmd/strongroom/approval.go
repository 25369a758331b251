package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) approvalCommand() *cobra.Command {
	return newGroup("approval", "Approvals by a second person to read fields that need one",
		c.approvalRequest(), c.approvalList(), c.approvalShow(),
		c.decideApproval("approve", "Let a client read what an approval was asked for", (*client.Client).ApproveRead),
		c.decideApproval("reject", "Refuse an approval", (*client.Client).RejectRead),
		c.decideApproval("revoke", "End an approval", (*client.Client).RevokeRead))
}

func approvalTable(list ...client.Approval) func() *table {
	return func() *table {
		t := &table{head: []string{"APPROVAL", "CLIENT", "PURPOSE", "RECORDS", "FIELDS", "STATE", "LEFT", "REQUESTER", "DECIDER", "EXPIRES"}}
		for _, a := range list {
			t.add(a.ID, a.Client, a.Purpose, a.Integration+"/"+a.Collection+"/"+strings.Join(a.Records, ","), strings.Join(a.Fields, ","),
				a.State, fmt.Sprint(a.UsesLeft), a.Requester, orDash(a.Decider), when(&a.ExpiresAt))
		}
		return t
	}
}

func (c *cli) approvalRequest() *cobra.Command {
	var spec client.ApprovalSpec
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "request INTEGRATION/COLLECTION --purpose PURPOSE --record ID --field FIELD", Short: "Ask for an approval", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ref, err := collectionRef(args[0])
			if err != nil {
				return err
			}
			spec.Integration, spec.Collection = ref.Integration, ref.Collection
			if ttl != 0 {
				spec.TTL = ttl.String()
			}
			a, err := api.RequestApproval(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return c.show(a, approvalTable(*a))
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&spec.Client, "for", "", "the client that is to read; without it, this one")
	flags.StringVar(&spec.Purpose, "purpose", "", "what for: a word of lower-case letters, digits and hyphens")
	flags.StringSliceVar(&spec.Records, "record", nil, "id of a record; may be given again")
	flags.StringSliceVar(&spec.Fields, "field", nil, "path of a field; may be given again")
	flags.IntVar(&spec.Uses, "uses", 1, "how many reads it is good for")
	flags.DurationVar(&ttl, "ttl", 0, "how long it is good for once it is given, 1m to 1h (default 15m)")
	flags.StringVar(&spec.Reason, "reason", "", "a sentence for whoever decides")
	return cmd
}

func (c *cli) approvalList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the approvals that concern this client", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListApprovals(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), approvalTable(list...))
		}),
	}
}

func (c *cli) approvalShow() *cobra.Command {
	return c.decideApproval("show", "Show an approval", (*client.Client).GetApproval)
}

func (c *cli) decideApproval(verb, short string, decide func(*client.Client, context.Context, string) (*client.Approval, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " APPROVAL", Short: short, Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			a, err := decide(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(a, approvalTable(*a))
		}),
	}
}
