package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) limitCommand() *cobra.Command {
	return newGroup("limit", "Limits: how much one may have", c.limitPut(), c.limitGet(), c.limitList(), c.limitDelete())
}

func limitTable(list ...client.Limit) func() *table {
	return func() *table {
		t := &table{head: []string{"LIMIT", "PER", "ROUTES", "ALLOWS", "COUNTED", "REFUSED", "STATE"}}
		for _, l := range list {
			t.add(l.Name, l.Per, orAll(l.Routes), allows(&l), fmt.Sprint(l.Use.Counted), fmt.Sprint(l.Use.Refused), limitState(&l))
		}
		return t
	}
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return strings.Join(list, ",")
}

func limitState(l *client.Limit) string {
	switch {
	case l.Disabled:
		return "disabled"
	case l.Builtin:
		return "built in"
	}
	return "stored"
}

// allows puts what a limit allows into a few words.
func allows(l *client.Limit) string {
	var parts []string
	add := func(windows []client.LimitWindow, what string) {
		for _, w := range windows {
			parts = append(parts, fmt.Sprintf("%d%s/%s", w.Limit, what, w.Window))
		}
	}
	add(l.Requests, "")
	add(l.RequestBytes, " bytes in")
	add(l.ResponseBytes, " bytes out")
	if l.Concurrency > 0 {
		parts = append(parts, fmt.Sprintf("%d at once", l.Concurrency))
	}
	if e := l.Exposure; e != nil {
		add(e.Records, " records")
		add(e.Fields, " fields")
		parts = append(parts, "then "+e.WhenExhausted)
	}
	return strings.Join(parts, ", ")
}

// useTable shows who uses a limit most.
func useTable(l *client.Limit) *table {
	t := &table{head: []string{"WHO", "WHAT", "WINDOW", "USED", "LIMIT", "FIRST BACK IN s"}}
	for _, u := range l.Use.MostUsed {
		if u.UnderWay > 0 {
			t.add(u.Who, "under way", "-", fmt.Sprint(u.UnderWay), fmt.Sprint(l.Concurrency), "-")
		}
		for _, w := range u.Windows {
			t.add(u.Who, w.What, w.Window, fmt.Sprint(w.Used), fmt.Sprint(w.Limit), fmt.Sprint(w.ResetIn))
		}
	}
	for _, u := range l.Use.Exposure {
		t.add(u.Client, u.What, u.Window, fmt.Sprint(u.Used), fmt.Sprint(u.Limit), fmt.Sprint(u.ResetIn))
	}
	return t
}

func (c *cli) limitPut() *cobra.Command {
	return &cobra.Command{
		Use: "put NAME [@FILE|-]", Short: "Create or replace a limit, by its definition in JSON", Args: between(1, 2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			document, err := c.readJSON(inputArg(args, 1))
			if err != nil {
				return err
			}
			l, err := api.PutLimit(cmd.Context(), args[0], document, client.WriteOptions{})
			if err != nil {
				return err
			}
			return c.show(l, limitTable(*l))
		}),
	}
}

func (c *cli) limitGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show a limit and who uses it most", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			l, err := api.GetLimit(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.show(l, limitTable(*l)); err != nil || c.output == "json" {
				return err
			}
			if used := useTable(l); len(used.rows) > 0 {
				fmt.Fprintln(c.out)
				return used.write(c.out)
			}
			return nil
		}),
	}
}

func (c *cli) limitList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the limits, stored and built in", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListLimits(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), limitTable(list...))
		}),
	}
}

func (c *cli) limitDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a limit: a built-in one of its name is in force again", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteLimit(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "the limit %s is deleted", args[0])
		}),
	}
}
