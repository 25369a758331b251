package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) roleCommand() *cobra.Command {
	return newGroup("role", "Roles: who may do what", c.rolePut(), c.roleGet(), c.roleList(), c.roleDelete())
}

func roleTable(list ...client.Role) func() *table {
	return func() *table {
		t := &table{head: []string{"ROLE", "RULES", "VERSION", "UPDATED"}}
		for _, r := range list {
			var rules []json.RawMessage
			_ = json.Unmarshal(r.Rules, &rules)
			t.add(r.Name, fmt.Sprint(len(rules)), fmt.Sprint(r.Version), when(&r.UpdatedAt))
		}
		return t
	}
}

func (c *cli) rolePut() *cobra.Command {
	return &cobra.Command{
		Use: "put NAME [@FILE|-]", Short: "Create or replace a role, by its rules in JSON", Args: between(1, 2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			document, err := c.readJSON(inputArg(args, 1))
			if err != nil {
				return err
			}
			r, err := api.PutRole(cmd.Context(), args[0], document, client.WriteOptions{})
			if err != nil {
				return err
			}
			c.warn(r.Warnings)
			return c.show(r, roleTable(*r))
		}),
	}
}

func (c *cli) roleGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show a role with its rules", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			r, err := api.GetRole(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.show(r, roleTable(*r)); err != nil || c.output == "json" {
				return err
			}
			var rules bytes.Buffer
			if err := json.Indent(&rules, r.Rules, "", "  "); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "%s\n", printableJSON(rules.Bytes()))
			return err
		}),
	}
}

func (c *cli) roleList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the stored roles", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListRoles(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), roleTable(list...))
		}),
	}
}

func (c *cli) roleDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a role: what it granted ends at once", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteRole(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "the role %s is deleted", args[0])
		}),
	}
}
