package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) keysCommand() *cobra.Command {
	g := newGroup("keys", "Keys: which there are, how old they are and what is under them", append(c.keysBackupCommands(), c.keysList(), c.keysRecords(), c.keysAttest())...)
	list := c.keysList()
	g.Args, g.RunE = cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return group(cmd, args)
		}
		return list.RunE(cmd, args)
	}
	return g
}

func keyTable(list []client.KeyDomain) func() *table {
	return func() *table {
		t := &table{head: []string{"INTEGRATION", "KEY", "ID", "STATE", "AGE", "CRYPTOPERIOD LEFT", "VALUES", "NEXT ROTATION"}}
		for _, d := range list {
			name, next := domainName(d.Integration), when(d.NextRotation)
			t.add(name, "kek", "-", kekState(&d.KEK), span(d.KEK.AgeSeconds), span(d.KEK.LeftSeconds), "-", next)
			for _, k := range d.Keys {
				if k.State != "primary" {
					next = "-"
				}
				t.add(name, fmt.Sprintf("%s %d", k.Purpose, k.Generation), k.KeyID, k.State, span(k.AgeSeconds), span(k.LeftSeconds), fmt.Sprint(k.Values), next)
			}
		}
		return t
	}
}

func kekState(k *client.KEK) string {
	switch {
	case k.Unknown != "":
		return "unknown: " + k.Unknown
	case k.Latest == k.Available:
		return fmt.Sprintf("version %d", k.Latest)
	case k.Minimum > k.Available:
		return fmt.Sprintf("version %d, opens from %d, there from %d", k.Latest, k.Minimum, k.Available)
	}
	return fmt.Sprintf("version %d, opens from %d", k.Latest, k.Minimum)
}

// span writes seconds as days where there are some.
func span(seconds *int64) string {
	if seconds == nil {
		return "-"
	}
	d, sign := time.Duration(*seconds)*time.Second, ""
	if d < 0 {
		d, sign = -d, "-"
	}
	if d >= 48*time.Hour {
		return fmt.Sprintf("%s%dd", sign, d/(24*time.Hour))
	}
	return sign + d.String()
}

func (c *cli) keysList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all keys: state, age, cryptoperiod left, values under them, next rotation", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListKeys(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), keyTable(list))
		}),
	}
}

func (c *cli) keysRecords() *cobra.Command {
	return &cobra.Command{
		Use: "records KEYID", Short: "List everything that a key has ever covered", Args: exactly(1),
		Long: `List everything that a key has ever covered, whether it is under the key now or
not: what somebody who has the key, and an old copy of the data, may have read.
With --output json each is a line.`,
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			t := &table{head: []string{"RECORD", "REVISIONS", "SINCE", "NOW"}}
			for r, err := range api.KeyRecords(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				if c.output == "json" {
					if err := (jsonView{c}).show(jobNews{}, r); err != nil {
						return err
					}
					continue
				}
				t.add(coveredName(r), fmt.Sprint(r.Revisions), when(r.CreatedAt), coveredState(r))
			}
			if c.output == "json" {
				return nil
			}
			return t.write(c.out)
		}),
	}
}

func coveredName(r *client.CoveredRecord) string {
	if r.Control != "" {
		return r.Control
	}
	return r.Integration + "/" + r.Collection + "/" + r.Record
}

func coveredState(r *client.CoveredRecord) string {
	if r.Under {
		return "under the key"
	}
	return "under another key"
}

func (c *cli) keysAttest() *cobra.Command {
	return &cobra.Command{
		Use: "attest", Short: "Print the public keys of reports and certificates, one a line", Args: exactly(0),
		Long: `Print the public keys that reports of rotations and certificates of erasures are
signed with. Keep them apart from the server: whoever asks for a key when a
report is to be checked trusts the server instead of the key.`,
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			keys, err := api.AttestKeys(cmd.Context())
			if err != nil {
				return err
			}
			if c.output == "json" {
				return c.showJSON(map[string]any{"keys": keys})
			}
			for _, k := range keys {
				fmt.Fprintln(c.out, printable(k.Key))
			}
			return nil
		}),
	}
}
