package schema

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// equivalent compares two JSON texts by what they mean.
func equivalent(t interface{ Fatalf(string, ...any) }, a, b []byte) bool {
	x, err := parse(a, MaxDepth)
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	y, err := parse(b, MaxDepth)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

// nestedSchema draws a schema over `names` two levels deep, some nested
// properties being fields, fields within fields among them.
func nestedSchema() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var level func(depth int) map[string]any
		level = func(depth int) map[string]any {
			properties := map[string]any{}
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(t, "names") {
				p := map[string]any{}
				if depth < 3 && rapid.Bool().Draw(t, "deeper") {
					p["properties"] = level(depth + 1)
				}
				if depth > 0 && rapid.Bool().Draw(t, "field") {
					p["x-field"] = true
				}
				properties[name] = p
			}
			return properties
		}
		raw, _ := json.Marshal(map[string]any{"type": "object", "properties": level(0)})
		return string(raw)
	})
}

func TestJoinUndoesSplit(t *testing.T) {
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		s, err := Compile([]byte(nestedSchema().Draw(t, "schema")))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			doc := []byte(document(4).Draw(t, "doc"))
			values, err := s.Split(doc)
			if err != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			for _, v := range values {
				if f, _ := s.Field(v.Path); f.Nested {
					taken++
				}
				if again, err := s.Split(Join([]Value{v})); err != nil || len(again) > 1 && again[0].Path == v.Path {
					t.Fatalf("%s of %s still holds %v", v.Path, doc, again[1:])
				}
			}
			if joined := Join(values); !equivalent(t, doc, joined) {
				t.Fatalf("%s under %s joined to %s", doc, s.raw, joined)
			}
		}
	})
	if taken == 0 {
		t.Error("no nested field was ever taken out")
	}
}

func TestResplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, err := Compile([]byte(nestedSchema().Draw(t, "old")))
		if err != nil {
			t.Fatal(err)
		}
		current, err := Compile([]byte(nestedSchema().Draw(t, "current")))
		if err != nil {
			t.Fatal(err)
		}
		doc := []byte(document(4).Draw(t, "doc"))
		written, err := old.Split(doc)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := current.Split(doc)
		got := current.Resplit(written)
		if !reflect.DeepEqual(byPath(t, want), byPath(t, got)) {
			t.Fatalf("%s resplit (-want +got):\n%s", doc, cmp.Diff(want, got))
		}
	})
}

func byPath(t *rapid.T, values []Value) map[string]any {
	m := map[string]any{}
	for _, v := range values {
		if _, twice := m[v.Path]; twice {
			t.Fatalf("%s stands twice", v.Path)
		}
		parsed, err := parse(v.JSON, MaxDepth)
		if err != nil {
			t.Fatal(err)
		}
		m[v.Path] = parsed
	}
	return m
}

func TestSplitKeepsText(t *testing.T) {
	s := compile(t, `{"type":"object","properties":{
		"amount":{"type":"number"},
		"customer":{"type":"object","properties":{
			"email":{"type":"string","x-field":true},
			"contact":{"type":"object","properties":{"phone":{"type":"string","x-field":true}}},
			"a/b":{"x-field":true}}}}}`)
	doc := `{ "amount" : 1.50e+01, "customer": {"name":"\u0041nn", "email":"\u0065@x", "contact":{"phone":"1", "fax": 2}, "a/b": [ 1 ]}, "x~y": "\/"}`
	values, err := s.Split([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	got := [][2]string{}
	for _, v := range values {
		got = append(got, [2]string{v.Path, string(v.JSON)})
	}
	want := [][2]string{
		{"amount", `1.50e+01`}, {"customer", `{"name":"\u0041nn","contact":{"fax":2}}`},
		{"customer/email", `"\u0065@x"`}, {"customer/contact/phone", `"1"`}, {"customer/a~1b", `[ 1 ]`}, {"x~0y", `"\/"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	joined := `{"amount":1.50e+01,"customer":{"name":"\u0041nn","contact":{"fax":2,"phone":"1"},"email":"\u0065@x","a/b":[ 1 ]},"x~y":"\/"}`
	if got := string(Join(values)); got != joined {
		t.Errorf("joined to %s", got)
	}
}

func TestJoinWithoutParent(t *testing.T) {
	for _, c := range []struct {
		values []Value
		want   string
	}{
		{nil, `{}`},
		{[]Value{{"customer/email", []byte(`"e"`)}}, `{"customer":{"email":"e"}}`},
		{[]Value{{"customer", []byte(`"***"`)}, {"customer/email", []byte(`"e"`)}}, `{"customer":{"email":"e"}}`},
		{[]Value{{"customer/a/b", []byte(`1`)}, {"customer", []byte(`{"c":2}`)}}, `{"customer":{"c":2,"a":{"b":1}}}`},
		{[]Value{{"customer", []byte(`null`)}}, `{"customer":null}`},
	} {
		if got := string(Join(c.values)); got != c.want {
			t.Errorf("joined to %s, want %s", got, c.want)
		}
	}
}

func TestCanonicalNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) string {
			n := number().Draw(t, label)
			if rapid.Bool().Draw(t, "exponent") {
				n = rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?`).Draw(t, label)
			}
			return n
		}
		a, b := draw("a"), draw("b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		m, err := Normalise("none", []byte(a))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Normalise("none", []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		if (x.Cmp(y) == 0) != (string(m) == string(n)) {
			t.Fatalf("%s -> %s, %s -> %s", a, m, b, n)
		}
	})
}
