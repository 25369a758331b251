package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) clientCommand() *cobra.Command {
	secrets := newGroup("secret", "The secrets of a client", c.secretCreate(), c.secretList(), c.secretDelete())
	issuers := newGroup("issuer", "Outside issuers, whose tokens are exchanged for those of clients",
		c.issuerPut(), c.issuerGet(), c.issuerList(), c.issuerDelete())
	return newGroup("client", "Clients: who may ask for access tokens",
		c.clientPut(), c.clientGet(), c.clientList(), c.clientDelete(), c.clientKeygen(), secrets, issuers)
}

func clientTable(list ...client.Principal) func() *table {
	return func() *table {
		t := &table{head: []string{"CLIENT", "ROLES", "LABELS", "METHOD", "STATE", "UPDATED"}}
		for _, p := range list {
			state := "active"
			if p.Disabled {
				state = "disabled"
			}
			method := p.Method
			if method == "" {
				method = "client_secret_basic"
			}
			t.add(p.Name, strings.Join(p.Roles, " "), pairs(p.Labels), method, state, when(&p.UpdatedAt))
		}
		return t
	}
}

func (c *cli) clientPut() *cobra.Command {
	var spec client.PrincipalSpec
	var labels []string
	var keys string
	cmd := &cobra.Command{
		Use: "put NAME --role ROLE ...", Short: "Create or replace a client", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) (err error) {
			if spec.Labels, err = labelsOf(labels); err != nil {
				return err
			}
			if spec.Roles == nil {
				spec.Roles = []string{}
			}
			if keys != "" {
				if spec.JWKS, err = c.readJSON(keys); err != nil {
					return err
				}
			}
			p, err := api.PutClient(cmd.Context(), args[0], spec, client.WriteOptions{})
			if err != nil {
				return err
			}
			c.warn(p.Warnings)
			return c.show(p, clientTable(*p))
		}),
	}
	cmd.Flags().StringSliceVar(&spec.Roles, "role", nil, "a role; may be given again")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "NAME=VALUE; may be given again")
	cmd.Flags().BoolVar(&spec.Disabled, "disabled", false, "refuse its secrets and tokens")
	cmd.Flags().StringVar(&keys, "jwks", "", "@FILE of its public keys, for private_key_jwt and self_signed_tls_client_auth")
	authFlags(cmd, &spec.PrincipalAuth)
	return cmd
}

// authFlags are the flags that say how a client authenticates.
func authFlags(cmd *cobra.Command, a *client.PrincipalAuth) {
	f := cmd.Flags()
	f.StringVar(&a.Method, "auth-method", "", "client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
	f.StringVar(&a.JWKSURI, "jwks-uri", "", "where its public keys are kept, instead of --jwks")
	f.StringVar(&a.TLSSubjectDN, "tls-subject-dn", "", "what its certificate must say, for tls_client_auth: the subject,")
	f.StringVar(&a.TLSSanDNS, "tls-san-dns", "", "or a DNS name,")
	f.StringVar(&a.TLSSanURI, "tls-san-uri", "", "or a URI,")
	f.StringVar(&a.TLSSanIP, "tls-san-ip", "", "or an IP address,")
	f.StringVar(&a.TLSSanEmail, "tls-san-email", "", "or a mail address")
	f.BoolVar(&a.TLSBound, "tls-bound", false, "its tokens must be bound to its certificate")
	f.BoolVar(&a.DPoPBound, "dpop-bound", false, "its tokens must be bound to a key of its own")
}

func (c *cli) clientGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show a client", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			p, err := api.GetClient(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(p, clientTable(*p))
		}),
	}
}

func (c *cli) clientList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List clients", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListClients(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), clientTable(list...))
		}),
	}
}

func (c *cli) clientDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a client: its tokens end at once", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteClient(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "the client %s is deleted", args[0])
		}),
	}
}

// shownSecret is a new secret as it is printed, the one time that it is.
type shownSecret struct {
	client.SecretInfo
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

func (c *cli) secretCreate() *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create CLIENT", Short: "Give a client a secret, shown this once", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			s, err := api.CreateSecret(cmd.Context(), args[0], ttl, client.WriteOptions{})
			if err != nil {
				return err
			}
			if c.output == "text" {
				fmt.Fprintf(c.err, "The secret %s of %s, shown this once:\n", s.ID, args[0])
			}
			return c.say(shownSecret{s.SecretInfo, args[0], s.Value.Reveal()}, "%s", s.Value.Reveal())
		}),
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is good for, like 720h; without it, 90 days")
	return cmd
}

func (c *cli) secretList() *cobra.Command {
	return &cobra.Command{
		Use: "list CLIENT", Short: "List the secrets of a client, without their values", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			list, err := api.ListSecrets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(items(list), func() *table {
				t := &table{head: []string{"SECRET", "CREATED", "EXPIRES", "LAST USED"}}
				for _, s := range list {
					t.add(s.ID, when(&s.CreatedAt), when(s.ExpiresAt), when(s.LastUsedAt))
				}
				return t
			})
		}),
	}
}

func (c *cli) secretDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete CLIENT SECRET", Short: "End a secret, and the tokens that it fetched", Args: exactly(2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteSecret(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[1]}, "the secret %s of %s is deleted", args[1], args[0])
		}),
	}
}
