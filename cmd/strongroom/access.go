package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) accessCommand() *cobra.Command {
	return newGroup("access", "Who may do what, and why", c.accessExplain(), c.accessMatrix())
}

func (c *cli) accessExplain() *cobra.Command {
	var q client.ExplainQuery
	var as client.ExplainAs
	cmd := &cobra.Command{
		Use: "explain CLIENT INTEGRATION/COLLECTION[/RECORD]", Short: "Say what a client may do, field by field, and which rules decided",
		Args: exactly(2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) (err error) {
			q.Client = args[0]
			if q.Integration, q.Collection, q.Record, err = explainedPlace(args[1]); err != nil {
				return err
			}
			if as != (client.ExplainAs{}) {
				q.Request = &as
			}
			e, err := api.ExplainAccess(cmd.Context(), q)
			if err != nil {
				return err
			}
			return c.showExplanation(e)
		}),
	}
	cmd.Flags().StringVar(&q.Action, "action", "read", "the action that is asked about")
	cmd.Flags().StringVar(&as.Purpose, "purpose", "", "what request.purpose would be")
	cmd.Flags().StringVar(&as.Address, "address", "", "what request.address would be")
	cmd.Flags().StringVar(&as.Binding, "binding", "", "what request.binding would be: dpop or mtls")
	cmd.Flags().StringVar(&as.Time, "time", "", "what request.time would be: RFC 3339; default now")
	return cmd
}

func explainedPlace(place string) (integration, collection, record string, err error) {
	parts := strings.Split(place, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return "", "", "", usagef("want INTEGRATION/COLLECTION or INTEGRATION/COLLECTION/RECORD")
	}
	if len(parts) == 3 {
		record = parts[2]
	}
	return parts[0], parts[1], record, nil
}

// showExplanation prints the verdict, the rules and the fields.
func (c *cli) showExplanation(e *client.Explanation) error {
	if c.output == "json" {
		return c.showJSON(e)
	}
	verdict := "may not"
	switch {
	case e.Allowed:
		verdict = "may"
	case e.AtBest:
		verdict = "may on some records"
	}
	place := e.Integration + "/" + e.Collection
	if e.Record != "" {
		place += "/" + e.Record
	}
	fmt.Fprintf(c.out, "%s %s %s %s\n\n", e.Client, verdict, e.Action, place)
	if err := ruleTable(e).write(c.out); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	return fieldTable(e).write(c.out)
}

func ruleTable(e *client.Explanation) *table {
	t := &table{head: []string{"ROLE", "RULE", "OUTCOME", "ACTIONS", "WHEN"}}
	for _, r := range e.Rules {
		when := r.When
		if len(r.Missing) > 0 {
			when += " (missing: " + strings.Join(r.Missing, ", ") + ")"
		}
		t.add(r.Role, fmt.Sprint(r.Rule), r.Outcome, strings.Join(r.Actions, ","), when)
	}
	return t
}

func fieldTable(e *client.Explanation) *table {
	t := &table{head: []string{"FIELD", "GRANT", "WRITE", "SEARCH", "DECIDED BY", "WHY"}}
	for _, f := range e.Fields {
		var by []string
		for _, d := range f.By {
			if d.Decides {
				by = append(by, fmt.Sprintf("%s/%d (%s)", d.Role, d.Rule, d.Names))
			}
		}
		t.add(f.Path, atBest(f.Grant, f.AtBest), orDash(strings.Join(f.Write, ",")), yesNo(f.Search, f.SearchAtBest), orDash(strings.Join(by, " ")), f.Reason)
	}
	return t
}

// atBest adds what is granted on some records to what is granted on all.
func atBest(grant, best string) string {
	if grant == best {
		return grant
	}
	return grant + " (" + best + " on some)"
}

func yesNo(always, sometimes bool) string {
	switch {
	case always:
		return "yes"
	case sometimes:
		return "on some"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *cli) accessMatrix() *cobra.Command {
	var action string
	cmd := &cobra.Command{
		Use: "matrix [INTEGRATION/COLLECTION]", Short: "Print which client may do what to which field",
		Long: "Print a table of clients and fields: how each field is read, w where it may be written, s where it may be searched.\n" +
			"What depends on the record is followed by a question mark.",
		Args: between(0, 1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			places, err := matrixPlaces(cmd.Context(), api, args)
			if err != nil {
				return err
			}
			clients, err := api.ListClients(cmd.Context())
			if err != nil {
				return err
			}
			return c.showMatrices(cmd.Context(), api, places, clients, action)
		}),
	}
	cmd.Flags().StringVar(&action, "action", "read", "the action by which fields are read")
	return cmd
}

// place is a collection.
type place struct{ integration, collection string }

// matrixPlaces returns the collection that is named, else all.
func matrixPlaces(ctx context.Context, api *client.Client, args []string) ([]place, error) {
	if len(args) == 1 {
		integration, collection, record, err := explainedPlace(args[0])
		if err == nil && record != "" {
			err = usagef("want INTEGRATION/COLLECTION")
		}
		return []place{{integration, collection}}, err
	}
	integrations, err := api.ListIntegrations(ctx)
	if err != nil {
		return nil, err
	}
	var places []place
	for _, in := range integrations {
		if in.DestroyAt != nil {
			continue
		}
		collections, err := api.ListCollections(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		for _, coll := range collections {
			places = append(places, place{in.Name, coll.Name})
		}
	}
	return places, nil
}

// matrix is what all clients may do in one collection.
type matrix struct {
	Integration string                `json:"integration"`
	Collection  string                `json:"collection"`
	Action      string                `json:"action"`
	Clients     []*client.Explanation `json:"clients"`
}

func (c *cli) showMatrices(ctx context.Context, api *client.Client, places []place, clients []client.Principal, action string) error {
	matrices := make([]matrix, 0, len(places))
	began := time.Now()
	for i, p := range places {
		m := matrix{Integration: p.integration, Collection: p.collection, Action: action, Clients: []*client.Explanation{}}
		for _, cl := range clients {
			e, err := api.ExplainAccess(ctx, client.ExplainQuery{Client: cl.Name, Integration: p.integration, Collection: p.collection, Action: action})
			if err != nil {
				return fmt.Errorf("client %s in %s/%s: %w", cl.Name, p.integration, p.collection, err)
			}
			m.Clients = append(m.Clients, e)
		}
		matrices = append(matrices, m)
		if time.Since(began) > time.Second {
			c.progress("%d of %d collections", i+1, len(places))
		}
	}
	c.progressEnd()
	if c.output == "json" {
		return c.showJSON(map[string]any{"items": matrices})
	}
	for i := range matrices {
		fmt.Fprintf(c.out, "%s/%s (%s)\n", matrices[i].Integration, matrices[i].Collection, action)
		if err := matrices[i].table().write(c.out); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
	}
	return nil
}

// table has a row for each client that may do anything, and a column for each
// field.
func (m *matrix) table() *table {
	fields := map[string]bool{}
	for _, e := range m.Clients {
		for _, f := range e.Fields {
			fields[f.Path] = true
		}
	}
	paths := slices.Sorted(maps.Keys(fields))
	t := &table{head: append([]string{"CLIENT"}, paths...)}
	for _, e := range m.Clients {
		row := make([]string, 1+len(paths))
		row[0] = e.Client
		for _, f := range e.Fields {
			row[1+slices.Index(paths, f.Path)] = cell(&f)
		}
		t.add(row...)
	}
	return t
}

// cell tells how a field is read, and whether it may be written and searched.
func cell(f *client.FieldExplanation) string {
	text := sure(strings.TrimPrefix(f.AtBest, "mask:"), f.Grant == f.AtBest)
	if f.AtBest == "none" {
		text = "-"
	}
	if len(f.WriteAtBest) > 0 {
		text += " " + sure("w", slices.Equal(f.Write, f.WriteAtBest))
	}
	if f.SearchAtBest {
		text += " " + sure("s", f.Search)
	}
	return text
}

// sure marks what holds on some records alone.
func sure(text string, always bool) string {
	if always {
		return text
	}
	return text + "?"
}
