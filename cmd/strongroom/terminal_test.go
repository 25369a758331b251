package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"strongroom/client"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"ordinary, Zürich, 東京, 👩": "ordinary, Zürich, 東京, 👩",
		"\x1b[31mred\x1b[0m":      `\x1b[31mred\x1b[0m`,
		"\u009b2J\u0085":          `\u009b2J\u0085`,
		"a\r\nb\tc\x00\x7f":       `a\x0d\x0ab\x09c\x00\x7f`,
		"a\u202egnp.exe":          `a\u202egnp.exe`,
		"ad\u200bmin\ufeff":       `ad\u200bmin\ufeff`,
		"x\u2028y":                `x\u2028y`,
		"hidden\U000e0041":        `hidden\U000e0041`,
		"bad\xff\xc0\xae":         `bad\xff\xc0\xae`,
		"\ufffd":                  "\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		if again := printable(printable(text)); again != want {
			t.Errorf("%q is escaped twice: %q", text, again)
		}
	}
	if got := printableLines("one\ntwo\x1b"); got != "one\ntwo\\x1b" {
		t.Errorf("lines became %q", got)
	}
}

// What is shown of a JSON text acts on nothing and means the same.
func FuzzPrintableJSON(f *testing.F) {
	for _, seed := range []string{"a", "\x1b[2J\u009b\u202e\U000e0041\u2028", "\ufffd\"\\\n\t", "👩‍👩‍👧"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) {
			t.Skip()
		}
		var raw bytes.Buffer
		encoder := json.NewEncoder(&raw)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]string{value: value}); err != nil {
			t.Fatal(err)
		}
		shown := printableJSON(raw.Bytes())
		var back map[string]string
		if err := json.Unmarshal(shown, &back); err != nil || back[value] != value {
			t.Errorf("%q became %q (%v)", value, shown, err)
		}
		if strings.ContainsFunc(string(shown), func(r rune) bool { return acts(r) && r != '\n' }) {
			t.Errorf("%q still acts", shown)
		}
	})
}

// Whatever the command shows of what is stored, or of an answer that refuses,
// goes through these.
func TestOutputActsOnNothing(t *testing.T) {
	const evil = "x\x1b[2J\u009b\u202ey"
	var out, errs bytes.Buffer
	c := &cli{out: &out, err: &errs, output: "text"}
	record := client.Record{ID: "rec-1", Labels: map[string]string{"owner": evil}, Masked: []string{evil}, Withheld: []string{evil},
		Fields: client.NewFields([]byte(`{"email":"` + "x\u009b\u202ey" + `"}`))}
	for name, show := range map[string]func() error{
		"a record":   func() error { return c.showRecord(&record) },
		"a page":     func() error { return c.showPage(&client.Page{Items: []client.Record{record}, NextCursor: evil}) },
		"a sentence": func() error { return c.say(nil, "%s", evil) },
		"warnings":   func() error { c.warn([]string{evil}); return nil },
		"an error": func() error {
			c.exitCode(&client.Problem{Title: evil, Detail: evil, Errors: []client.Issue{{Pointer: "/" + evil, Detail: evil}}})
			c.exitCode(errors.New(evil))
			return nil
		},
		"JSON": func() error { return c.showJSON(map[string]string{evil: evil}) },
		"a failed line": func() error {
			new(importSum).count(c, client.ImportResult{Line: 1, Err: errors.New(evil)})
			return nil
		},
	} {
		if err := show(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text := out.String() + errs.String()
		if strings.ContainsFunc(text, func(r rune) bool { return acts(r) && r != '\n' }) || !strings.Contains(text, "x") {
			t.Errorf("%s: %q", name, text)
		}
		out.Reset()
		errs.Reset()
	}
}
