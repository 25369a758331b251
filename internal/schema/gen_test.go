package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// names are the member names that generated schemas and documents draw from,
// few enough that they meet.
var names = []string{"a", "b", "c", "email", "a/b", "~t", "größe", "z"}

// simpleProperty draws a property of the keywords that the direct way knows,
// and sometimes one that it leaves to the engine.
func simpleProperty() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		p := map[string]any{}
		maybe := func(key string, draw func() any) {
			if rapid.IntRange(0, 3).Draw(t, key+"?") == 0 {
				p[key] = draw()
			}
		}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0, 1, 2:
			p["type"] = rapid.SampledFrom([]any{"string", "string", []any{"string", "null"}}).Draw(t, "string")
			maybe("minLength", func() any { return rapid.IntRange(0, 5).Draw(t, "minLength") })
			maybe("maxLength", func() any { return rapid.IntRange(0, 9).Draw(t, "maxLength") })
			maybe("pattern", func() any { return rapid.SampledFrom([]string{"^a", "[0-9]+$", "é", ""}).Draw(t, "pattern") })
			maybe("contentEncoding", func() any { return "base64" })
			maybe("format", func() any {
				return rapid.SampledFrom([]string{"email", "uri", "date-time", "uuid", "hostname"}).Draw(t, "format")
			})
			maybe("enum", func() any {
				return rapid.SliceOfNDistinct(text(), 1, 3, rapid.ID).Draw(t, "enum")
			})
		case 3:
			p["type"] = rapid.SampledFrom([]any{"integer", "number", []any{"integer", "null"}, []any{"string", "number"}}).Draw(t, "type")
			maybe("minimum", func() any { return json.Number(number().Draw(t, "minimum")) })
			maybe("maximum", func() any { return json.Number(number().Draw(t, "maximum")) })
		case 4:
			p["type"] = rapid.SampledFrom([]any{"boolean", "null", "object", "array", []any{"object", "string"}}).Draw(t, "type")
			maybe("minItems", func() any { return 1 })
		case 5:
			maybe("const", func() any { return rapid.SampledFrom([]any{"a", 1, nil, true}).Draw(t, "const") })
			maybe("minLength", func() any { return 2 })
		}
		return p
	})
}

// simpleSchema draws the text of a schema for the direct way.
func simpleSchema() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		declared := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 6, rapid.ID).Draw(t, "names")
		properties := map[string]any{}
		var required []string
		for _, name := range declared {
			properties[name] = simpleProperty().Draw(t, name)
			if rapid.IntRange(0, 3).Draw(t, "required") == 0 {
				required = append(required, name)
			}
		}
		schema := map[string]any{"type": "object", "properties": properties}
		if required != nil {
			schema["required"] = required
		}
		if rapid.Bool().Draw(t, "closed") {
			schema["additionalProperties"] = rapid.Bool().Draw(t, "additionalProperties")
		}
		if rapid.IntRange(0, 4).Draw(t, "sized") == 0 {
			schema["maxProperties"] = rapid.IntRange(0, 4).Draw(t, "maxProperties")
			schema["minProperties"] = rapid.IntRange(0, 3).Draw(t, "minProperties")
		}
		raw, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	})
}

func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "ab", "é", "a1", "AAAA", "YQ==", "YQ", "YR==", "a@b.example", "https://a.example/", "日本語",
			"2026-11-24T10:00:00Z", "0190b2a6-0000-7000-8000-000000000000", "\u0000", "a\nb", "AAAA\nAAAA"}),
		rapid.StringN(0, 12, -1))
}

func number() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"0", "-0", "1", "1.0", "10e-1", "1.5", "-7", "1e3", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890"}),
		rapid.Map(rapid.IntRange(-20, 20), func(i int) string { return fmt.Sprint(i) }))
}

// value draws a JSON text, strings in different spellings.
func value(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		top := 5
		if depth == 0 {
			top = 3
		}
		switch rapid.IntRange(0, top).Draw(t, "kind") {
		case 0, 1:
			return spelling(t, text().Draw(t, "text"))
		case 2:
			return number().Draw(t, "number")
		case 3:
			return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
		case 4:
			return "[" + strings.Join(rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "items"), " , ") + "]"
		}
		return document(depth-1).Draw(t, "object")
	})
}

// spelling writes a string as JSON, sometimes with every letter escaped.
func spelling(t *rapid.T, s string) string {
	if rapid.IntRange(0, 3).Draw(t, "escape") > 0 {
		raw, _ := json.Marshal(s)
		return string(raw)
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r > 0xffff {
			r = '?'
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String() + `"`
}

// document draws the text of an object.
func document(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		members := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID).Draw(t, "members")
		parts := make([]string, len(members))
		for i, name := range members {
			parts[i] = spelling(t, name) + rapid.SampledFrom([]string{":", " :\n"}).Draw(t, "colon") + value(depth).Draw(t, name)
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}
