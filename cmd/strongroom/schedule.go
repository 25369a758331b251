package main

import (
	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) scheduleCommand() *cobra.Command {
	return newGroup("schedule", "Schedules: rotations that come again",
		c.schedulePut(), c.scheduleGet(), c.scheduleList(), c.scheduleDelete())
}

func scheduleTable(list ...client.Schedule) func() *table {
	return func() *table {
		t := &table{head: []string{"SCHEDULE", "DEPTH", "OF", "WHEN", "LAST DONE", "NEXT START", "STATE"}}
		for _, s := range list {
			t.add(s.Name, s.Rotation.Depth, subject(&s.Rotation), orText(s.Cron, "every "+s.Every), when(s.Run.LastDone), when(s.Run.NextStart), scheduleState(&s))
		}
		return t
	}
}

func scheduleState(s *client.Schedule) string {
	switch {
	case s.Run.Overdue:
		return "overdue: no rotation ended for " + s.MaxAge
	case s.Paused:
		return "paused"
	case s.Run.Detail != "":
		return s.Run.Detail
	}
	return "active"
}

func (c *cli) schedulePut() *cobra.Command {
	return &cobra.Command{
		Use: "put NAME [@FILE|-]", Short: "Create or replace a schedule, by its definition in JSON", Args: between(1, 2),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			document, err := c.readJSON(inputArg(args, 1))
			if err != nil {
				return err
			}
			s, err := api.PutSchedule(cmd.Context(), args[0], document, client.WriteOptions{})
			if err != nil {
				return err
			}
			return c.show(s, scheduleTable(*s))
		}),
	}
}

func (c *cli) scheduleGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show a schedule, with what it did and does next", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			s, err := api.GetSchedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(s, scheduleTable(*s))
		}),
	}
}

func (c *cli) scheduleList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the schedules", Args: exactly(0),
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			list, err := api.ListSchedules(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(items(list), scheduleTable(list...))
		}),
	}
}

func (c *cli) scheduleDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a schedule; a rotation that it began goes on", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			if err := api.DeleteSchedule(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.say(map[string]any{"deleted": args[0]}, "the schedule %s is deleted", args[0])
		}),
	}
}
