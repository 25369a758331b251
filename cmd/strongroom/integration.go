package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) integrationCommand() *cobra.Command {
	return newGroup("integration", "Integrations: namespaces, each with a key of its own",
		c.integrationPut(), c.integrationGet(), c.integrationList(), c.integrationDelete(), c.integrationUndelete())
}

func integrationTable(list ...client.Integration) func() *table {
	return func() *table {
		t := &table{head: []string{"NAME", "CREATED", "DESCRIPTION", "STATE"}}
		for _, i := range list {
			state := "active"
			if i.DestroyAt != nil {
				state = "deleted, keys destroyed at " + when(i.DestroyAt)
			}
			t.add(i.Name, when(&i.CreatedAt), i.Description, state)
		}
		return t
	}
}

func (c *cli) integrationPut() *cobra.Command {
	var spec client.IntegrationSpec
	cmd := &cobra.Command{
		Use: "put NAME", Short: "Create an integration, or change its description", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			i, err := api.PutIntegration(cmd.Context(), args[0], spec, client.WriteOptions{})
			if err != nil {
				return err
			}
			return c.show(i, integrationTable(*i))
		}),
	}
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for; not sealed")
	return cmd
}

func (c *cli) integrationGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show an integration", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			i, err := api.GetIntegration(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(i, integrationTable(*i))
		}),
	}
}

func (c *cli) integrationList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List integrations", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListIntegrations(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), integrationTable(list...))
		}),
	}
}

func (c *cli) integrationDelete() *cobra.Command {
	var confirm string
	var now bool
	cmd := &cobra.Command{
		Use: "delete NAME --confirm NAME", Short: "Disable an integration and destroy its keys after seven days", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if confirm != args[0] {
				return usagef("say the name twice: --confirm %s", args[0])
			}
			i, err := api.DeleteIntegration(cmd.Context(), args[0], now)
			if err != nil {
				return err
			}
			if i == nil || now {
				return c.say(i, "%s is gone: its keys are destroyed", args[0])
			}
			return c.say(i, "%s is disabled; its keys are destroyed at %s unless it is undeleted", args[0], when(i.DestroyAt))
		}),
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "the name once more")
	cmd.Flags().BoolVar(&now, "now", false, "destroy the keys at once: nothing brings the data back")
	return cmd
}

func (c *cli) integrationUndelete() *cobra.Command {
	return &cobra.Command{
		Use: "undelete NAME", Short: "Take a delete back while the keys are still there", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			i, err := api.UndeleteIntegration(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(i, integrationTable(*i))
		}),
	}
}

// withClient runs a command that speaks to a server.
func (c *cli) withClient(run func(*cobra.Command, []string, *client.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		api, err := c.connect()
		if err != nil {
			return err
		}
		defer api.CloseIdleConnections()
		c.sayPurpose(cmd)
		return run(cmd, args, api)
	}
}

// sayPurpose has the command's requests say what they read for.
func (c *cli) sayPurpose(cmd *cobra.Command) {
	if c.purpose != "" {
		cmd.SetContext(client.WithPurpose(cmd.Context(), c.purpose))
	}
	if c.approval != "" {
		cmd.SetContext(client.WithApproval(cmd.Context(), c.approval))
	}
}

// items is a list as the API shows one.
func items[T any](list []T) map[string]any {
	if list == nil {
		list = []T{}
	}
	return map[string]any{"items": list}
}

func count(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
