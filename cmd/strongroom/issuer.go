package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func issuerTable(list ...client.Issuer) func() *table {
	return func() *table {
		t := &table{head: []string{"ISSUER", "URL", "AUDIENCES", "CLIENTS", "UPDATED"}}
		for _, i := range list {
			var clients []string
			for _, r := range i.Rules {
				clients = append(clients, r.Client)
			}
			t.add(i.Name, i.URL, strings.Join(i.Audiences, " "), strings.Join(clients, " "), when(&i.UpdatedAt))
		}
		return t
	}
}

func (c *cli) issuerPut() *cobra.Command {
	return &cobra.Command{
		Use: "put NAME [@FILE|-]", Short: "Create or replace an issuer, by its URL, audiences and rules in JSON", Args: between(1, 2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			text, err := c.readJSON(inputArg(args, 1))
			if err != nil {
				return err
			}
			var spec client.IssuerSpec
			decoder := json.NewDecoder(strings.NewReader(string(text)))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&spec); err != nil {
				return errors.New("the input is not an issuer: want issuer, audiences, rules, and perhaps jwks_uri and reuse")
			}
			i, err := api.PutIssuer(cmd.Context(), args[0], spec, client.WriteOptions{})
			if err != nil {
				return err
			}
			return c.show(i, issuerTable(*i))
		}),
	}
}

func (c *cli) issuerGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show an issuer", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			i, err := api.GetIssuer(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(i, issuerTable(*i))
		}),
	}
}

func (c *cli) issuerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List issuers", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListIssuers(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), issuerTable(list...))
		}),
	}
}

func (c *cli) issuerDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete an issuer: tokens that were got by its word end at once", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteIssuer(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "the issuer %s is deleted", args[0])
		}),
	}
}

// clientKeygen makes a key pair. It asks no server anything: the private key
// never leaves the machine that it is made on.
func (c *cli) clientKeygen() *cobra.Command {
	return &cobra.Command{
		Use: "keygen FILE", Short: "Make a key pair for private_key_jwt: the private key in FILE, the public one printed for --jwks", Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			private, set, err := client.NewKeyPair()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("the private key: %w", err)
			}
			_, err = f.WriteString(private.Reveal())
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("the private key: %w", err)
			}
			_, err = fmt.Fprintln(c.out, string(set))
			return err
		},
	}
}
