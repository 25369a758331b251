package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"strongroom/client"
)

// listFlags select records.
type listFlags struct {
	labels                 []string
	updatedAfter, validFor string
	o                      client.ListOptions
}

func (f *listFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.labels, "label", nil, "NAME=VALUE that a record must have; may be given again")
	flags.StringVar(&f.updatedAfter, "updated-after", "", "a time like 2026-01-31T12:00:00Z")
	flags.StringVar(&f.validFor, "valid-until-before", "", "a time, or a duration from now: what should be replaced by then")
	flags.StringSliceVar(&f.o.Fields, "fields", nil, "open these fields too; * for all")
}

func (f *listFlags) bindPage(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.o.Limit, "limit", 0, "at most so many, up to 1000")
	cmd.Flags().StringVar(&f.o.Cursor, "cursor", "", "where the page before ended")
}

func (f *listFlags) options() (o client.ListOptions, err error) {
	o = f.o
	if o.Labels, err = labelsOf(f.labels); err != nil {
		return o, err
	}
	for _, t := range []struct {
		flag, text string
		into       *time.Time
	}{{"updated-after", f.updatedAfter, &o.UpdatedAfter}, {"valid-until-before", f.validFor, &o.ValidUntilBefore}} {
		at, err := timeOf(t.flag, t.text)
		if err != nil {
			return o, err
		}
		if at != nil {
			*t.into = *at
		}
	}
	return o, nil
}

func (c *cli) recordList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "list INTEGRATION/COLLECTION", Short: "List records", Args: exactly(1),
		RunE: c.withCollection(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.CollectionRef) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			page, err := api.ListRecords(cmd.Context(), ref, o)
			if err != nil {
				return err
			}
			return c.showPage(page)
		}),
	}
	f.bind(cmd)
	f.bindPage(cmd)
	return cmd
}

func (c *cli) recordSearch() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "search INTEGRATION/COLLECTION [@FILE|-]",
		Short: `Find records by indexed fields: a JSON object like {"email": "a@b.example"}`,
		Args:  between(1, 2),
		RunE: c.withCollection(func(cmd *cobra.Command, args []string, api *client.Client, ref client.CollectionRef) error {
			where, err := c.where(inputArg(args, 1))
			if err != nil {
				return err
			}
			labels, err := labelsOf(f.labels)
			if err != nil {
				return err
			}
			page, err := api.SearchRecords(cmd.Context(), ref, client.SearchOptions{
				Where: where, Labels: labels, Fields: f.o.Fields, Limit: f.o.Limit, Cursor: f.o.Cursor,
			})
			if err != nil {
				return err
			}
			return c.showPage(page)
		}),
	}
	cmd.Flags().StringArrayVar(&f.labels, "label", nil, "NAME=VALUE that a record must have; may be given again")
	cmd.Flags().StringSliceVar(&f.o.Fields, "fields", nil, "open these fields too; * for all")
	f.bindPage(cmd)
	return cmd
}

func (c *cli) recordLookup() *cobra.Command {
	return &cobra.Command{
		Use:   "lookup INTEGRATION/COLLECTION [@FILE|-]",
		Short: `Read the one record with a value of a unique field: a JSON object like {"external_id": "evt_1"}`,
		Args:  between(1, 2),
		RunE: c.withCollection(func(cmd *cobra.Command, args []string, api *client.Client, ref client.CollectionRef) error {
			where, err := c.where(inputArg(args, 1))
			if err != nil {
				return err
			}
			r, err := api.LookupRecord(cmd.Context(), ref, where)
			if err != nil {
				return err
			}
			return c.showRecord(r)
		}),
	}
}

// where reads an object of fields and values, whose literals are kept.
func (c *cli) where(source string) (map[string]any, error) {
	raw, err := c.readJSON(source)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil, usagef("the input must be a JSON object of fields and values")
	}
	where := map[string]any{}
	for name, value := range members {
		where[name] = value
	}
	return where, nil
}

func (c *cli) recordImport() *cobra.Command {
	var o client.ImportOptions
	cmd := &cobra.Command{
		Use:   "import INTEGRATION/COLLECTION [@FILE|-]",
		Short: `Import NDJSON: a line is {"fields": {...}, "labels": {...}, "id": ...}`,
		Args:  between(1, 2),
		RunE: c.withCollection(func(cmd *cobra.Command, args []string, api *client.Client, ref client.CollectionRef) error {
			lines, err := c.source(inputArg(args, 1))
			if err != nil {
				return err
			}
			defer lines.Close()
			sum := importSum{}
			for r, err := range api.Import(cmd.Context(), ref, o, lines) {
				if err != nil {
					c.progressEnd()
					return fmt.Errorf("after %d lines: %w", sum.Stored+sum.Failed, err)
				}
				sum.count(c, r)
			}
			return c.imported(sum)
		}),
	}
	cmd.Flags().BoolVar(&o.Upsert, "upsert", false, "write over the record with the same value of --key")
	cmd.Flags().StringVar(&o.Key, "key", "", "the unique field")
	cmd.Flags().StringVar(&o.OnConflict, "on-conflict", "", "replace, merge, ignore or fail")
	cmd.Flags().BoolVar(&o.Continue, "continue", false, "go on after a line that fails")
	return cmd
}

type importSum struct {
	Stored uint64 `json:"stored"`
	Failed uint64 `json:"failed"`
}

func (s *importSum) count(c *cli, r client.ImportResult) {
	if r.Err != nil {
		s.Failed++
		c.progressEnd()
		fmt.Fprintf(c.err, "line %d: %s\n", r.Line, printable(r.Err.Error()))
		return
	}
	if s.Stored++; s.Stored%1000 == 0 {
		c.progress("%d records stored", s.Stored)
	}
}

func (c *cli) imported(sum importSum) error {
	c.progressEnd()
	if err := c.say(sum, "%d records stored, %d lines failed", sum.Stored, sum.Failed); err != nil {
		return err
	}
	if sum.Failed > 0 {
		return silent(exitFailed)
	}
	return nil
}

func (c *cli) recordExport() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "export INTEGRATION/COLLECTION", Short: "Write all records to stdout as NDJSON, in the shape of a read", Args: exactly(1),
		RunE: c.withCollection(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.CollectionRef) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(c.out, 64<<10)
			for r, err := range api.Export(cmd.Context(), ref, o) {
				if err != nil {
					_ = out.Flush()
					return fmt.Errorf("the export is not complete: %w", err)
				}
				_, _ = out.Write(printableJSON(r.Reveal()))
				_ = out.WriteByte('\n')
			}
			return out.Flush()
		}),
	}
	f.bind(cmd)
	return cmd
}

// withCollection runs a command whose first argument is a collection.
func (c *cli) withCollection(run func(*cobra.Command, []string, *client.Client, client.CollectionRef) error) func(*cobra.Command, []string) error {
	return c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
		ref, err := collectionRef(args[0])
		if err != nil {
			return err
		}
		return run(cmd, args, api, ref)
	})
}
