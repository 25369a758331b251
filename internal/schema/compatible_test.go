package schema

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCompatible(t *testing.T) {
	const old = `{"type":"object","required":["a"],"properties":{
		"a":{"type":"string","minLength":2,"maxLength":9},"n":{"type":"integer","minimum":1,"maximum":9},
		"e":{"enum":["x","y"]},"o":{"type":"object","properties":{"p":{"type":"string"}}}}}`
	for _, c := range []struct{ change, want string }{
		{"", ""},
		{`"a":{"type":"string","minLength":2,"maxLength":9} -> "a":{"type":["string","null"],"minLength":1,"maxLength":10,"x-mask":"redact","title":"A"}`, ""},
		{`"type":"integer" -> "type":"number"`, ""},
		{`["x","y"] -> ["x","y","z"]`, ""},
		{`"required":["a"], -> `, ""},
		{`"required":["a"] -> "required":["a","n"]`, `/required now asks for "n"`},
		{`"maxLength":9 -> "maxLength":8`, "/properties/a/maxLength is tighter"},
		{`"minimum":1 -> "minimum":1.5`, "/properties/n/minimum is tighter"},
		{`"maximum":9 -> "maximum":9,"multipleOf":2`, "/properties/n/multipleOf is new or changed"},
		{`"type":"integer" -> "type":"string"`, "/properties/n/type no longer allows integer"},
		{`["x","y"] -> ["x"]`, "/properties/e/enum allows fewer"},
		{`"type":"string"}}} -> "type":"string","pattern":"a"}}}`, "/properties/o/properties/p/pattern is new"},
		{`"type":"object","required" -> "type":"object","additionalProperties":false,"required"`, "/additionalProperties now refuses"},
		{`"e":{"enum":["x","y"]} -> "e":{"enum":["x","y"]},"f":{"type":"string"}`, "/properties/f is new"},
		{`"e":{"enum":["x","y"]}, -> `, ""},
	} {
		from, to, _ := strings.Cut(c.change, " -> ")
		warnings := strings.Join(Compatible(compile(t, old), compile(t, strings.Replace(old, from, to, 1))), "\n")
		if c.want == "" && warnings != "" || !strings.Contains(warnings, c.want) {
			t.Errorf("%s: warned %q, want %q", c.change, warnings, c.want)
		}
	}
}

// TestNoWarningIsAPromise holds Compatible to its word: with an empty list,
// what was valid stays valid.
func TestNoWarningIsAPromise(t *testing.T) {
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		before, after := simpleSchema().Draw(t, "old"), ""
		if rapid.Bool().Draw(t, "edited") {
			after = edit(t, before)
		} else {
			after = simpleSchema().Draw(t, "new")
		}
		old, err := Compile([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		new, err := Compile([]byte(after))
		if err != nil || len(Compatible(old, new)) > 0 {
			return
		}
		for range 20 {
			doc := []byte(document(2).Draw(t, "doc"))
			if old.Validate(doc) != nil {
				continue
			}
			held++
			if err := new.Validate(doc); err != nil {
				t.Fatalf("%s is valid under\n%s\nand not under\n%s\n%v", doc, before, after, err)
			}
		}
	})
	if held == 0 {
		t.Error("no document was ever valid under two compatible schemas")
	}
}

// edit changes one thing in the text of a schema.
func edit(t *rapid.T, raw string) string {
	edits := [][2]string{
		{`"minLength":`, `"maxLength":`}, {`"additionalProperties":false`, `"additionalProperties":true`},
		{`"additionalProperties":true`, `"additionalProperties":false`}, {`"type":"string"`, `"type":["string","null"]`},
		{`"type":"integer"`, `"type":"number"`}, {`"type":"number"`, `"type":"integer"`}, {`"required":[`, `"required":["z",`},
		{`"enum":[`, `"enum":["new",`}, {`"minimum":`, `"maximum":`}, {`"const":null,`, ``}, {`"pattern":`, `"description":`},
		{`"description":`, `"pattern":`}, {`"properties":{`, `"properties":{"new":{"type":"string"},`},
	}
	e := rapid.SampledFrom(edits).Draw(t, "edit")
	return strings.Replace(raw, e[0], e[1], 1)
}
