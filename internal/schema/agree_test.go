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
