package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) recordCommand() *cobra.Command {
	g := newGroup("record", "Records: sealed fields, labels and their history",
		c.recordCreate(), c.recordPut(), c.recordPatch(), c.recordUpsert(),
		c.recordGet(), c.recordField(), c.recordRevisions(),
		c.recordDelete(), c.recordUndelete(), c.recordExpunge(), c.recordRollback(),
		c.recordList(), c.recordSearch(), c.recordLookup(), c.recordImport(), c.recordExport())
	g.PersistentFlags().StringVar(&c.purpose, "purpose", "", "what it is read for: fields with x-purpose or x-approval ask for one")
	g.PersistentFlags().StringVar(&c.approval, "approval", "", "id of an approval, of which a read spends a use")
	return g
}

// recordFlags are what a write of a record can say besides its fields.
type recordFlags struct {
	id, validUntil, eraseAt string
	labels, members         []string
	write                   client.WriteOptions
}

func (f *recordFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.members, "field", nil, "NAME=@FILE or NAME=-: one field as text, in place of a JSON object")
	flags.StringArrayVar(&f.labels, "label", nil, "NAME=VALUE; plaintext, indexed; may be given again")
	flags.StringVar(&f.validUntil, "valid-until", "", "when it should be replaced: a time, or a duration from now")
	flags.StringVar(&f.eraseAt, "erase-at", "", "when it is erased: a time, or a duration from now")
}

func (f *recordFlags) bindCondition(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&f.write.IfRevision, "if-revision", 0, "fail unless this is the current revision")
}

// input reads the fields and everything else.
func (c *cli) recordInput(f *recordFlags, source string) (in client.RecordInput, err error) {
	in.ID = f.id
	if in.Labels, err = labelsOf(f.labels); err != nil {
		return in, err
	}
	if in.ValidUntil, err = timeOf("valid-until", f.validUntil); err != nil {
		return in, err
	}
	if in.EraseAt, err = timeOf("erase-at", f.eraseAt); err != nil {
		return in, err
	}
	in.Fields, err = c.fieldsOf(source, f.members)
	return in, err
}

func (c *cli) wrote(w *client.WriteResult) error {
	return c.show(w, func() *table {
		t := &table{head: []string{"ID", "REVISION", "UPDATED"}}
		t.add(w.ID, strconv.FormatUint(w.Revision, 10), when(&w.UpdatedAt))
		return t
	})
}

// writeInput reads what a command is to write and writes it.
func (c *cli) writeInput(f *recordFlags, args []string, write func(client.RecordInput) (*client.WriteResult, error)) error {
	in, err := c.recordInput(f, inputArg(args, 1))
	if err != nil {
		return err
	}
	w, err := write(in)
	if err != nil {
		return err
	}
	return c.wrote(w)
}

func (c *cli) recordCreate() *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use: "create INTEGRATION/COLLECTION [@FILE|-]", Short: "Store a new record: a JSON object of its fields", Args: between(1, 2),
		RunE: c.withCollection(func(cmd *cobra.Command, args []string, api *client.Client, ref client.CollectionRef) error {
			return c.writeInput(&f, args, func(in client.RecordInput) (*client.WriteResult, error) {
				return api.CreateRecord(cmd.Context(), ref, in, f.write)
			})
		}),
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.id, "id", "", "an id of your own")
	return cmd
}

func (c *cli) recordPut() *cobra.Command {
	return c.recordChange("put", "Write a record whole", (*client.Client).PutRecord)
}

func (c *cli) recordPatch() *cobra.Command {
	return c.recordChange("patch", "Change fields of a record: a merge patch (RFC 7396)", (*client.Client).PatchRecord)
}

func (c *cli) recordChange(name, short string, write func(*client.Client, context.Context, client.RecordRef, client.RecordInput, client.WriteOptions) (*client.WriteResult, error)) *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use: name + " INTEGRATION/COLLECTION/RECORD [@FILE|-]", Short: short, Args: between(1, 2),
		RunE: c.withRecord(func(cmd *cobra.Command, args []string, api *client.Client, ref client.RecordRef) error {
			return c.writeInput(&f, args, func(in client.RecordInput) (*client.WriteResult, error) {
				return write(api, cmd.Context(), ref, in, f.write)
			})
		}),
	}
	f.bind(cmd)
	f.bindCondition(cmd)
	return cmd
}

func (c *cli) recordUpsert() *cobra.Command {
	var f recordFlags
	var key, onConflict string
	cmd := &cobra.Command{
		Use: "upsert INTEGRATION/COLLECTION --key FIELD [@FILE|-]", Short: "Write the record with this value of a unique field, or create it", Args: between(1, 2),
		RunE: c.withCollection(func(cmd *cobra.Command, args []string, api *client.Client, ref client.CollectionRef) error {
			return c.writeInput(&f, args, func(in client.RecordInput) (*client.WriteResult, error) {
				return api.UpsertRecord(cmd.Context(), ref, key, onConflict, in, f.write)
			})
		}),
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&key, "key", "", "the unique field")
	cmd.Flags().StringVar(&onConflict, "on-conflict", "", "replace, merge, ignore or fail")
	return cmd
}

func (c *cli) recordGet() *cobra.Command {
	var o client.ReadOptions
	var revision string
	cmd := &cobra.Command{
		Use: "get INTEGRATION/COLLECTION/RECORD", Short: "Read a record: the fields that this client may see", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.RecordRef) (err error) {
			if o.Previous = revision == "previous"; !o.Previous && revision != "" {
				if o.Revision, err = strconv.ParseUint(revision, 10, 64); err != nil {
					return usagef("--revision is a number or `previous`")
				}
			}
			r, err := api.GetRecord(cmd.Context(), ref, o)
			if err != nil {
				return err
			}
			return c.showRecord(r)
		}),
	}
	cmd.Flags().StringSliceVar(&o.Fields, "fields", nil, "only these fields")
	cmd.Flags().StringVar(&revision, "revision", "", "an older revision, or `previous`")
	cmd.Flags().BoolVar(&o.Metadata, "metadata", false, "open no field")
	return cmd
}

func (c *cli) recordField() *cobra.Command {
	return &cobra.Command{
		Use: "field INTEGRATION/COLLECTION/RECORD#FIELD", Short: "Write the bytes of one field to stdout", Args: exactly(1),
		RunE: c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
			ref, field, err := fieldRef(args[0])
			if err != nil {
				return err
			}
			value, err := api.GetField(cmd.Context(), ref, field)
			if err != nil {
				return err
			}
			return writeValue(c.out, value.Value)
		}),
	}
}

func (c *cli) recordRevisions() *cobra.Command {
	return &cobra.Command{
		Use: "revisions INTEGRATION/COLLECTION/RECORD", Short: "List the revisions of a record", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.RecordRef) error {
			list, err := api.ListRevisions(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return c.show(items(list), func() *table {
				t := &table{head: []string{"REVISION", "CREATED", "CURRENT", "FIELDS"}}
				for _, r := range list {
					t.add(strconv.FormatUint(r.Revision, 10), when(&r.CreatedAt), strconv.FormatBool(r.Current), fmt.Sprint(r.Fields))
				}
				return t
			})
		}),
	}
}

func (c *cli) recordDelete() *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use: "delete INTEGRATION/COLLECTION/RECORD", Short: "Delete a record", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, args []string, api *client.Client, ref client.RecordRef) error {
			w, err := api.DeleteRecord(cmd.Context(), ref, f.write)
			if err != nil {
				return err
			}
			if w.PurgeAt == nil {
				return c.say(w, "%s is deleted", args[0])
			}
			return c.say(w, "%s is deleted; it can be undeleted until %s", args[0], when(w.PurgeAt))
		}),
	}
	f.bindCondition(cmd)
	return cmd
}

func (c *cli) recordUndelete() *cobra.Command {
	return &cobra.Command{
		Use: "undelete INTEGRATION/COLLECTION/RECORD", Short: "Take a delete back", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.RecordRef) error {
			w, err := api.UndeleteRecord(cmd.Context(), ref, client.WriteOptions{})
			if err != nil {
				return err
			}
			return c.wrote(w)
		}),
	}
}

func (c *cli) recordExpunge() *cobra.Command {
	return &cobra.Command{
		Use: "expunge INTEGRATION/COLLECTION/RECORD", Short: "Erase a record now, with its history", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, args []string, api *client.Client, ref client.RecordRef) error {
			if err := api.ExpungeRecord(cmd.Context(), ref); err != nil {
				return err
			}
			return c.say(map[string]any{"expunged": args[0]}, "%s is erased", args[0])
		}),
	}
}

func (c *cli) recordRollback() *cobra.Command {
	var f recordFlags
	var revision uint64
	cmd := &cobra.Command{
		Use: "rollback INTEGRATION/COLLECTION/RECORD --revision N", Short: "Make an old revision the newest", Args: exactly(1),
		RunE: c.withRecord(func(cmd *cobra.Command, _ []string, api *client.Client, ref client.RecordRef) error {
			if revision == 0 {
				return usagef("say which revision: --revision N")
			}
			w, err := api.RollbackRecord(cmd.Context(), ref, revision, f.write)
			if err != nil {
				return err
			}
			return c.wrote(w)
		}),
	}
	f.bindCondition(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "the revision to copy")
	return cmd
}

// withRecord runs a command whose first argument is a record.
func (c *cli) withRecord(run func(*cobra.Command, []string, *client.Client, client.RecordRef) error) func(*cobra.Command, []string) error {
	return c.withClient(func(cmd *cobra.Command, args []string, api *client.Client) error {
		ref, err := recordRef(args[0])
		if err != nil {
			return err
		}
		return run(cmd, args, api, ref)
	})
}
