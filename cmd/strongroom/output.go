package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"strongroom/client"
)

// table is what people see of a list.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tab, strings.Join(t.head, "\t"))
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(tab, strings.Join(row, "\t"))
	}
	return tab.Flush()
}

// show prints value as JSON, or what text makes for people.
func (c *cli) show(value any, text func() *table) error {
	if c.output == "json" {
		return c.showJSON(value)
	}
	return text().write(c.out)
}

func (c *cli) showJSON(value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := c.out.Write(printableJSON(text.Bytes()))
	return err
}

// say prints a sentence for people; with --output json, value.
func (c *cli) say(value any, format string, args ...any) error {
	if c.output == "json" {
		return c.showJSON(value)
	}
	_, err := fmt.Fprintln(c.out, printableLines(fmt.Sprintf(format, args...)))
	return err
}

// warn prints the warnings of an answer on stderr.
func (c *cli) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(c.err, "warning: %s\n", printable(w))
	}
}

// progress prints on a terminal alone, over the line before.
func (c *cli) progress(format string, args ...any) {
	if f, ok := c.err.(*os.File); ok && isTerminal(f) {
		fmt.Fprintf(f, "\r\x1b[K"+format, args...)
	}
}

func (c *cli) progressEnd() { c.progress("") }

// showRecord prints a record that was read: its values are meant to be seen.
func (c *cli) showRecord(r *client.Record) error {
	var indented bytes.Buffer
	if c.output == "json" {
		if err := json.Indent(&indented, r.Reveal(), "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.out, "%s\n", printableJSON(indented.Bytes()))
		return err
	}
	t := recordTable([]client.Record{*r})
	if err := t.write(c.out); err != nil || r.Fields.IsZero() {
		return err
	}
	if err := json.Indent(&indented, r.Fields.Reveal(), "", "  "); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s\n", printableJSON(indented.Bytes()))
	for _, note := range []struct {
		what  string
		names []string
	}{{"masked", r.Masked}, {"withheld", r.Withheld}} {
		if len(note.names) > 0 {
			fmt.Fprintf(c.out, "%s: %s\n", note.what, printable(strings.Join(note.names, ", ")))
		}
	}
	return nil
}

func recordTable(records []client.Record) *table {
	t := &table{head: []string{"ID", "REVISION", "UPDATED", "VALID UNTIL", "LABELS"}}
	for _, r := range records {
		id := r.ID
		if r.Damaged {
			id += " (damaged)"
		}
		t.add(id, fmt.Sprint(r.Revision), when(&r.UpdatedAt), when(r.ValidUntil), pairs(r.Labels))
	}
	return t
}

// showPage prints a page of records. With fields, each is a line of JSON.
func (c *cli) showPage(p *client.Page) error {
	if c.output == "json" {
		items := make([]json.RawMessage, len(p.Items))
		for i := range p.Items {
			items[i] = p.Items[i].Reveal()
		}
		return c.showJSON(map[string]any{"items": items, "next_cursor": nullable(p.NextCursor)})
	}
	if err := recordTable(p.Items).write(c.out); err != nil {
		return err
	}
	for i := range p.Items {
		if r := &p.Items[i]; !r.Fields.IsZero() {
			fmt.Fprintf(c.out, "%s %s\n", printable(r.ID), printableJSON(r.Fields.Reveal()))
		}
	}
	if p.NextCursor != "" {
		fmt.Fprintf(c.err, "there is more: --cursor %s\n", printable(p.NextCursor))
	}
	return nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func pairs(m map[string]string) string {
	if len(m) == 0 {
		return "-"
	}
	names := sortedKeys(m)
	for i, name := range names {
		names[i] = name + "=" + m[name]
	}
	return strings.Join(names, " ")
}
