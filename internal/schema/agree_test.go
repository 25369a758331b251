package schema

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// agree fails when the direct way lets a document pass that the engine
// refuses, or splits it otherwise. It reports whether both let it pass.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Schema, doc []byte) (direct, thorough bool) {
	t.Helper()
	want, err := s.thorough(doc)
	if s.plan == nil {
		return false, err == nil
	}
	got, ok := s.direct(doc)
	if ok && err != nil {
		t.Fatalf("the direct way takes %s\nunder %s\nthe engine says %v", doc, s.raw, err)
	}
	if ok {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s under %s splits differently (-engine +direct):\n%s", doc, s.raw, diff)
		}
	}
	return ok, err == nil
}

func TestWaysAgree(t *testing.T) {
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		s, err := Compile([]byte(simpleSchema().Draw(t, "schema")))
		if err != nil {
			t.Fatal(err)
		}
		if s.plan == nil {
			for _, name := range s.engine.Required {
				if s.engine.Properties[name] == nil {
					return
				}
			}
			t.Fatalf("%s has no plan", s.raw)
		}
		for range 20 {
			doc := []byte(document(2).Draw(t, "doc"))
			direct, thorough := agree(t, s, doc)
			if thorough {
				passed++
			}
			if thorough && !direct && s.plan.closed {
				t.Fatalf("the direct way left %s under %s to the engine", doc, s.raw)
			}
		}
	})
	if passed < 50 {
		t.Errorf("only %d documents were valid: the generators don't meet", passed)
	}
}

// fuzzSchemas are schemas whose direct way the fuzzer tries, with one for
// the engine alone.
var fuzzSchemas = []string{
	eight,
	`{"type":"object","properties":{"a":{"type":["integer","null"],"minimum":-5,"maximum":1000},"b":{"type":"number","maximum":2.5},"c":{"enum":["x","y"]},
	  "d":{"type":"string","contentEncoding":"base64"},"e":{"type":"string","minLength":2,"maxLength":3,"pattern":"^[a-zé]+$"},"f":{},"g":false,"h":{"format":"email"}}}`,
	`{"type":"object","properties":{"customer":{"type":"object","properties":{"email":{"type":"string","x-field":true},
	  "address":{"type":"object","properties":{"zip":{"type":"string","x-field":true}}}}},"tags":{"type":"array","items":{"type":"string"}}},"minProperties":1}`,
	`{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}`,
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{eightDoc, `{"a":1.0,"b":2.50,"c":"x","d":"YQ==","e":"\u00e9a","f":[{}],"h":"a@b.example"}`,
		`{"customer":{"email":"e","address":{"zip":"1","city":"c"}},"tags":["a"]}`, `{"a":1e2}`, `{"a":1e400}`, `{"a":"\ud800"}`,
		`{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"":1}`, `{"a":{`, `[]`, ` {} x`, `{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`} {
		f.Add([]byte(seed))
	}
	var schemas []*Schema
	for _, raw := range fuzzSchemas {
		schemas = append(schemas, compile(f, raw))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, s := range schemas {
			agree(t, s, doc)
			values, err := s.Check(doc)
			if err != nil {
				continue
			}
			if !equivalent(t, doc, Join(values)) {
				t.Fatalf("%s joined to %s", doc, Join(values))
			}
		}
	})
}

// TestDirectDecides names the edges: the direct way must itself let pass what
// is valid, and nothing else.
func TestDirectDecides(t *testing.T) {
	for _, c := range []struct {
		property, value string
		valid           bool
	}{
		{`{"type":"integer","minimum":-5,"maximum":9}`, `9`, true},
		{`{"type":"integer","minimum":-5,"maximum":9}`, `-5`, true},
		{`{"type":"integer","minimum":-5,"maximum":9}`, `10`, false},
		{`{"type":"integer","minimum":-5,"maximum":9}`, `-6`, false},
		{`{"type":"integer","maximum":9}`, `9.0`, true},
		{`{"type":"integer","maximum":9}`, `0.9e1`, true},
		{`{"type":"integer","maximum":9}`, `91e-1`, false},
		{`{"type":"integer"}`, `123456789012345678901234567890`, true},
		{`{"type":"integer"}`, `1.5`, false},
		{`{"type":"number","minimum":9223372036854775807}`, `9223372036854775808`, true},
		{`{"type":"number","minimum":9223372036854775807}`, `9223372036854775806`, false},
		{`{"type":["string","null"],"enum":["a"]}`, `null`, false},
		{`{"type":["string","null"],"enum":["a"]}`, `"\u0061"`, true},
		{`{"enum":["a"]}`, `{}`, false}, {`{"enum":["a"]}`, `[]`, false}, {`{"enum":["a"]}`, `true`, false}, {`{"enum":["a"]}`, `1`, false},
		{`{"type":"string","contentEncoding":"base64"}`, `"Zm9v"`, true},
		{`{"type":"string","contentEncoding":"base64"}`, `""`, true},
		{`{"type":"string","contentEncoding":"base64"}`, `"Zm\n9vZm9"`, false},
		{`{"type":"string","contentEncoding":"base64"}`, `"Zm9v\r\n\r\n"`, false},
		{`{"contentEncoding":"base64"}`, `7`, true},
		{`{"minLength":2,"maxLength":2}`, `"\ud83d\ude00é"`, true},
		{`{"maxLength":2}`, `"日本"`, true},
		{`{"maxLength":2}`, `"日本語"`, false},
		{`{"format":"email"}`, `"a@b.example"`, true},
		{`{"format":"email"}`, `"a@b c"`, false},
		{`{"format":"hostname"}`, `"not a host"`, true},
		{`{"type":"array","items":{"type":"integer"}}`, `[1,2.0]`, true},
		{`{"type":"array","items":{"type":"integer"}}`, `[1,2.5]`, false},
		{`true`, `null`, true}, {`false`, `null`, false}, {`{}`, `[{}]`, true},
	} {
		s := compile(t, property(c.property))
		direct, thorough := agree(t, s, []byte(`{"p":`+c.value+`}`))
		if direct != c.valid || thorough != c.valid {
			t.Errorf("%s takes %s: %v directly, %v thoroughly; want %v", c.property, c.value, direct, thorough, c.valid)
		}
	}
}
