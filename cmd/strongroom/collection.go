package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) collectionCommand() *cobra.Command {
	return newGroup("collection", "Collections: records of one shape",
		c.collectionPut(), c.collectionGet(), c.collectionList(), c.collectionDelete())
}

func collectionTable(list ...client.Collection) func() *table {
	return func() *table {
		t := &table{head: []string{"COLLECTION", "SCHEMA", "VERSION", "RECORDS", "UPDATED"}}
		for _, x := range list {
			shape := x.Preset
			if shape == "" {
				shape = "own"
			}
			t.add(x.Integration+"/"+x.Name, shape, fmt.Sprint(x.SchemaVersion), count(x.Records), when(&x.UpdatedAt))
		}
		return t
	}
}

func (c *cli) collectionPut() *cobra.Command {
	var spec client.CollectionSpec
	var revisions int
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "put INTEGRATION/COLLECTION [@SCHEMA|-]",
		Short: "Create a collection by a JSON Schema or a preset, or change it",
		Args:  between(1, 2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) (err error) {
			ref, err := collectionRef(args[0])
			if err != nil {
				return err
			}
			if revisions > 0 {
				spec.Retention = &client.Retention{Revisions: revisions}
			}
			if spec.Preset != "" && len(args) > 1 {
				return usagef("a collection has a schema or a preset, not both")
			}
			if spec.Preset == "" {
				if spec.Schema, err = c.readJSON(inputArg(args, 1)); err != nil {
					return err
				}
			}
			if dryRun {
				return c.validate(cmd, api, ref, spec)
			}
			x, err := api.PutCollection(cmd.Context(), ref, spec, client.WriteOptions{})
			if err != nil {
				return err
			}
			c.warn(x.Warnings)
			return c.show(x, collectionTable(*x))
		}),
	}
	f := cmd.Flags()
	f.StringVar(&spec.Preset, "preset", "", "api_key, basic_auth, oauth2, tls_keypair, ssh_key, webhook_secret or webhook_event")
	f.IntVar(&revisions, "revisions", 0, "how many revisions of a record are kept")
	f.StringVar(&spec.TTL, "ttl", "", "how long after its last write a record is erased, like 720h")
	f.StringVar(&spec.UndeleteFor, "undelete-for", "", "how long a deleted record can be brought back, like 168h")
	f.Uint64Var(&spec.ExpectedRecords, "expected-records", 0, "how many records it will hold: sizes the blind index")
	f.BoolVar(&dryRun, "dry-run", false, "tell what it would do and change nothing")
	return cmd
}

func (c *cli) validate(cmd *cobra.Command, api *client.Client, ref client.CollectionRef, spec client.CollectionSpec) error {
	warnings, err := api.ValidateCollection(cmd.Context(), ref, spec)
	if err != nil {
		return err
	}
	c.warn(warnings)
	return c.say(map[string]any{"warnings": append([]string{}, warnings...)}, "the definition is valid; nothing was changed")
}

func (c *cli) collectionGet() *cobra.Command {
	return &cobra.Command{
		Use: "get INTEGRATION/COLLECTION", Short: "Show a collection", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ref, err := collectionRef(args[0])
			if err != nil {
				return err
			}
			x, err := api.GetCollection(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return c.show(x, collectionTable(*x))
		}),
	}
}

func (c *cli) collectionList() *cobra.Command {
	return &cobra.Command{
		Use: "list INTEGRATION", Short: "List the collections of an integration", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			list, err := api.ListCollections(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(items(list), collectionTable(list...))
		}),
	}
}

func (c *cli) collectionDelete() *cobra.Command {
	var confirm string
	cmd := &cobra.Command{
		Use: "delete INTEGRATION/COLLECTION --confirm COLLECTION", Short: "Delete a collection with its records", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ref, err := collectionRef(args[0])
			if err != nil {
				return err
			}
			if confirm != ref.Collection {
				return usagef("say the name twice: --confirm %s", ref.Collection)
			}
			if err := api.DeleteCollection(cmd.Context(), ref); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "%s is deleted", args[0])
		}),
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "the collection's name once more")
	return cmd
}
