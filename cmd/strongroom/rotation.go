package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) rotationCommand() *cobra.Command {
	return newGroup("rotation", "Rotations: how they stand, and what to do with them",
		c.rotationList(),
		c.onRotation("get", "Show a rotation with its parts", (*client.Client).GetRotation),
		c.onRotation("pause", "Stop a rotation where it is", (*client.Client).PauseRotation),
		c.onRotation("resume", "Go on with a rotation that was paused or failed", (*client.Client).ResumeRotation),
		c.onRotation("cancel", "End a rotation none of whose keys is primary yet", (*client.Client).CancelRotation),
		c.onRotation("rollback", "Bring the former keys back, as long as they exist", (*client.Client).RollbackRotation),
		c.rotationThrottle(), c.rotationWatch(), c.rotationReport())
}

func rotationTable(list ...client.Rotation) func() *table {
	return func() *table {
		t := &table{head: []string{"ROTATION", "DEPTH", "OF", "STATE", "PARTS", "VALUES", "BY", "CREATED", "DETAIL"}}
		for _, r := range list {
			t.add(r.ID, r.Depth, subject(&r.RotationRequest), r.State, fmt.Sprintf("%d/%d", r.Progress.PartsDone, r.Progress.Parts),
				fmt.Sprintf("%d/%d", r.Progress.Done, r.Progress.Total), orText(r.Schedule, r.By), when(&r.CreatedAt), orDash(r.Detail))
		}
		return t
	}
}

// subject says in a few words what a rotation is about.
func subject(r *client.RotationRequest) string {
	parts := r.Integrations
	if r.System {
		parts = append(parts[:len(parts):len(parts)], "(system)")
	}
	if r.Compromised != "" {
		parts = append(parts[:len(parts):len(parts)], "key "+r.Compromised)
	}
	return orDash(strings.Join(parts, " "))
}

func partTable(r *client.Rotation) *table {
	t := &table{head: []string{"INTEGRATION", "STEP", "OLD KEYS", "NEW KEYS", "MOVED", "OF", "KEK", "DETAIL"}}
	for _, p := range r.Parts {
		moved := max(p.Counts.Rewrapped+p.Counts.Reindexed, p.Counts.Resealed)
		t.add(domainName(p.Integration), p.Step, clientKeyNames(p.Old), clientKeyNames(p.New), fmt.Sprint(moved), fmt.Sprint(p.Counts.Total),
			versions(p.KEKFrom, p.KEKTo), orDash(p.Detail))
	}
	return t
}

func clientKeyNames(keys []client.RotationKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Purpose + " " + k.KeyID
	}
	return orDash(strings.Join(names, ", "))
}

// showRotation prints a rotation and its parts.
func (c *cli) showRotation(r *client.Rotation) error {
	if err := c.show(r, rotationTable(*r)); err != nil || c.output == "json" || len(r.Parts) == 0 {
		return err
	}
	fmt.Fprintln(c.out)
	return partTable(r).write(c.out)
}

func (c *cli) rotationList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the rotations that go on, and those that ended", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListRotations(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), rotationTable(list...))
		}),
	}
}

func (c *cli) onRotation(verb, short string, do func(*client.Client, context.Context, string) (*client.Rotation, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ROTATION", Short: short, Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			r, err := do(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showRotation(r)
		}),
	}
}

func (c *cli) rotationThrottle() *cobra.Command {
	return &cobra.Command{
		Use: "throttle ROTATION RATE", Short: "Bound how many values a rotation moves in a second; 0: no bound", Args: exactly(2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			rate, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return usagef("the rate is a whole number of values a second")
			}
			r, err := api.ThrottleRotation(cmd.Context(), args[0], rate)
			if err != nil {
				return err
			}
			return c.showRotation(r)
		}),
	}
}

func (c *cli) rotationWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch ROTATION", Short: "Show how far a rotation is, until it ends", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			return c.watchRotation(cmd.Context(), api, args[0])
		}),
	}
}

// watchRotation shows a rotation until it ends. One that failed, or was taken
// back, fails the command.
func (c *cli) watchRotation(ctx context.Context, api *client.Client, id string) error {
	var last *client.Rotation
	view := c.newJobView()
	for r, err := range api.WatchRotation(ctx, id) {
		if err != nil {
			view.close()
			return fmt.Errorf("%w; the rotation goes on: strongroom rotation watch %s", err, id)
		}
		last = r
		if err := view.show(rotationNews(r), r); err != nil {
			return err
		}
	}
	view.close()
	if last == nil || last.State == "done" {
		return nil
	}
	return fmt.Errorf("the rotation %s is %s%s", id, last.State, because(last.Detail))
}

func because(detail string) string {
	if detail == "" {
		return ""
	}
	return ": " + detail
}

// rotationNews is what is shown of a rotation under way.
func rotationNews(r *client.Rotation) jobNews {
	n := jobNews{name: "rotation " + r.ID, state: r.State, detail: r.Detail, done: r.Progress.Done, total: r.Progress.Total,
		rate: r.Progress.Rate, eta: r.Progress.ETASeconds, unit: "values"}
	for _, p := range r.Parts {
		switch p.Step {
		case "done", "skipped", "rolled_back", "cancelled":
			continue
		}
		n.steps = append(n.steps, domainName(p.Integration)+" "+p.Step)
	}
	return n
}

func (c *cli) rotationReport() *cobra.Command {
	return &cobra.Command{
		Use: "report ROTATION", Short: "Print the signed report of a rotation that ended", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			text, err := api.RotationReport(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showStatement(text)
		}),
	}
}

// showStatement prints what was signed as it was signed, or it could not be
// verified. With --output json its text is a member.
func (c *cli) showStatement(text []byte) error {
	if c.output == "json" {
		return c.showJSON(map[string]string{"statement": string(text)})
	}
	_, err := c.out.Write(text)
	return err
}
