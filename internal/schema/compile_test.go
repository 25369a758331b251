package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFields(t *testing.T) {
	s := compile(t, `{
	"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/customer.json",
	"type":"object","properties":{
		"ssn":{"$ref":"#/$defs/secret"},
		"email":{"type":["string","null"],"x-index":"exact","x-normalise":"lowercase","x-mask":"email"},
		"number":{"type":"integer","x-index":"unique"},
		"body":{"type":"string","contentEncoding":"base64"},
		"customer":{"$ref":"#/$defs/customer"},
		"anything":true
	},
	"$defs":{
		"secret":{"type":"string","x-sensitivity":"high","x-mask":"last4"},
		"customer":{"$anchor":"customer","type":"object","x-mask":"redact","properties":{
			"plain":{"type":"string"},
			"a/b":{"type":"object","x-field":true,"properties":{"~c":{"x-field":true,"$ref":"#/$defs/secret"}}}}}
	}}`)
	want := []Field{
		{Path: "anything", Top: "anything"},
		{Path: "body", Top: "body", Base64: true},
		{Path: "customer", Top: "customer", Mask: "redact"},
		{Path: "customer/a~1b", Top: "customer", Nested: true},
		{Path: "customer/a~1b/~0c", Top: "customer", Nested: true, Mask: "last4", High: true},
		{Path: "email", Top: "email", Index: IndexExact, Normalise: "lowercase", Mask: "email"},
		{Path: "number", Top: "number", Index: IndexUnique, Normalise: "none"},
		{Path: "ssn", Top: "ssn", Mask: "last4", High: true},
	}
	if diff := cmp.Diff(want, s.Fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, ok := s.Field("customer/plain"); ok || s.Flat() {
		t.Error("a nested property without x-field counts as a field")
	}
	if f, ok := s.Field("email"); !ok || f != want[5] {
		t.Errorf("Field(email) = %+v, %v", f, ok)
	}
}

// property wraps a property in a schema.
func property(p string) string {
	return `{"type":"object","properties":{"p":` + p + `}}`
}

func TestRefusedSchemas(t *testing.T) {
	nested := func(n string) string {
		return property(`{"type":"object","properties":{"n":` + n + `}}`)
	}
	for _, c := range []struct{ raw, pointer, detail string }{
		{`[]`, "", "is not an object"},
		{`true`, "", "is not an object"},
		{`{"properties":{"a":{}}}`, "/type", "must be"},
		{`{"type":["object"],"properties":{"a":{}}}`, "/type", "must be"},
		{`{"type":"object"}`, "/properties", "at least one"},
		{`{"type":"object","properties":{}}`, "/properties", "at least one"},
		{`{"type":"object","type":"object"}`, "/type", "stands twice"},
		{`{"type":"object",`, "", "ends too early"},
		{property(`{"type":"text"}`), "/properties/p/type", "can only be array"},
		{property(`{"minLength":-1}`), "/properties/p/minLength", "is less than 0"},
		{property(`{"minLength":3000000000}`), "/properties/p/minLength", "is larger than"},
		{property(`{"minimum":1e999999999}`), "/properties/p/minimum", "too large"},
		{property(`{"minLenght":1}`), "/properties/p/minLenght", "is not a keyword"},
		{property(`{"nullable":true}`), "/properties/p/nullable", "OpenAPI"},
		{property(`{"pattern":"(?=a)"}`), "/properties/p/pattern", "RE2"},
		{property(`{"patternProperties":{"(":{}}}`), "/properties/p/patternProperties/(", "RE2"},
		{property(`{"contentEncoding":"base32"}`), "/properties/p/contentEncoding", "base64"},
		{property(`{"format":"regex"}`), "/properties/p/format", "not compiled"},
		{property(`{"properties":` + strings.TrimPrefix(manyProperties(MaxSubschemas), `{"type":"object","properties":`)), "", "2000 subschemas"},
		{property(`{"$id":"x"}`), "/properties/p/$id", "at the top"},
		{property(`{"$dynamicRef":"#a"}`), "/properties/p/$dynamicRef", "use $ref"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{}}}`, "/$schema", "2020-12"},

		{property(`{"$ref":"https://example.com/s.json"}`), "/properties/p/$ref", "leads out"},
		{property(`{"$ref":"file:///etc/passwd"}`), "/properties/p/$ref", "leads out"},
		{property(`{"$ref":"other.json#/a"}`), "/properties/p/$ref", "leads out"},
		{property(`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`), "/properties/p/$ref", "leads out"},
		{property(`{"$ref":"#/$defs/none"}`), "/properties/p/$ref", "no subschema"},
		{property(`{"$ref":"#none"}`), "/properties/p/$ref", "no subschema"},
		{property(`{"$ref":"#/properties/p"}`), "/properties/p", "refers to itself"},
		{property(`{"allOf":[{"$ref":"#/properties/p"}]}`), "/properties/p", "refers to itself"},

		{property(`{"x-indx":"exact"}`), "/properties/p/x-indx", "is not one of"},
		{property(`{"type":"string","x-index":"fuzzy"}`), "/properties/p/x-index", "exact, unique"},
		{property(`{"type":"string","x-index":true}`), "/properties/p/x-index", "exact, unique"},
		{property(`{"type":"string","x-mask":"first4"}`), "/properties/p/x-mask", "last4, year, hash, redact, first:N"},
		{property(`{"type":"string","x-mask":"first:0"}`), "/properties/p/x-mask", "can only be"},
		{property(`{"type":"string","x-mask":"first:017"}`), "/properties/p/x-mask", "can only be"},
		{property(`{"type":"string","x-mask":"fixed:"}`), "/properties/p/x-mask", "can only be"},
		{property(`{"type":"number","x-mask":"first:2"}`), "/properties/p/x-mask", "suit"},
		{property(`{"type":"number","x-mask":"year"}`), "/properties/p/x-mask", "suit"},
		{property(`{"x-sensitivity":"low"}`), "/properties/p/x-sensitivity", "high"},
		{property(`{"type":"string","x-index":"exact","x-normalise":"upper"}`), "/properties/p/x-normalise", "none, lowercase"},
		{property(`{"x-field":true}`), "/properties/p/x-field", "is for nested"},
		{nested(`{"x-field":false}`), "/properties/p/properties/n/x-field", "only be true"},

		{property(`{"type":"string","enum":["a"],"x-index":"exact"}`), "/properties/p/x-index", "enum"},
		{property(`{"type":"string","const":null,"x-index":"exact"}`), "/properties/p/x-index", "enum"},
		{property(`{"type":"string","oneOf":[{"const":"a"},{"const":"b"}],"x-index":"exact"}`), "/properties/p/x-index", "enum"},
		{property(`{"type":"boolean","x-index":"exact"}`), "/properties/p/x-index", "boolean"},
		{property(`{"type":"object","x-index":"exact"}`), "/properties/p/x-index", "object"},
		{property(`{"type":["array","string"],"x-index":"exact"}`), "/properties/p/x-index", "object or an array"},
		{property(`{"type":"object","x-index":"exact","properties":{"n":{"x-field":true}}}`), "/properties/p/x-index", "object"},
		{property(`{"x-index":"exact"}`), "/properties/p/x-index", "needs a type"},
		{property(`{"type":["string","number"],"x-index":"unique"}`), "/properties/p/x-index", "needs a type"},
		{property(`{"type":"string","x-normalise":"lowercase"}`), "/properties/p/x-normalise", "no x-index"},
		{property(`{"type":"integer","x-index":"exact","x-normalise":"digits"}`), "/properties/p/x-normalise", "for texts"},
		{property(`{"type":"object","x-mask":"email"}`), "/properties/p/x-mask", "suit"},
		{property(`{"type":"boolean","x-mask":"last4"}`), "/properties/p/x-mask", "suit"},

		{nested(`{"type":"string","x-mask":"email"}`), "/properties/p/properties/n/x-mask", "only on a field"},
		{property(`{"type":"array","items":{"properties":{"n":{"x-field":true}}}}`), "/properties/p/items/properties/n/x-field", "not through arrays"},
		{property(`{"anyOf":[{"properties":{"n":{"x-field":true}}}]}`), "/properties/p/anyOf/0/properties/n/x-field", "conditions"},
		{`{"type":"object","properties":{"p":{}},"additionalProperties":{"x-sensitivity":"high"}}`, "/additionalProperties/x-sensitivity", "only on a field"},
		{`{"type":"object","properties":{"p":{}},"x-mask":"redact"}`, "/x-mask", "only on a field"},
		{`{"type":"object","properties":{"p":{"$ref":"#/$defs/s"},"q":{"items":{"$ref":"#/$defs/s"}}},"$defs":{"s":{"x-sensitivity":"high"}}}`, "/$defs/s/x-sensitivity", "only on a field"},
		{`{"type":"object","properties":{"p":{"$ref":"#/$defs/s"},"q":{"properties":{"n":{"$ref":"#/$defs/s"}}}},"$defs":{"s":{"x-sensitivity":"high"}}}`, "/$defs/s/x-sensitivity", "only on a field"},
		{`{"type":"object","properties":{"p":{"$ref":"#/$defs/s"}},"$defs":{"s":{"properties":{"again":{"$ref":"#/$defs/s"},"n":{"x-field":true}}},"unused":{"x-mask":"redact"}}}`, "/$defs/unused/x-mask", "only on a field"},
		{nested(`{"type":"string","x-field":true,"properties":{"m":{"x-field":true}}}`), "/properties/p/properties/n", "include object"},

		{`{"type":"object","properties":{"":{}}}`, "/properties/", "empty name"},
		{`{"type":"object","properties":{"a,b":{}}}`, "/properties/a,b", "','"},
		{`{"type":"object","properties":{"*":{}}}`, "/properties/*", "'*'"},
		{`{"type":"object","properties":{"a\u0007":{}}}`, "/properties/a\a", "control"},
		{`{"type":"object","properties":{"` + strings.Repeat("a", 129) + `":{}}}`, "/properties/" + strings.Repeat("a", 129), "longer than 128"},
		{property(strings.Repeat(`{"not":`, MaxSchemaDepth) + "{}" + strings.Repeat("}", MaxSchemaDepth)), "/properties/p" + strings.Repeat("/not", MaxSchemaDepth-2), "too deeply"},
		{property(`{"description":"` + strings.Repeat("a", MaxSchemaBytes) + `"}`), "", "256 KiB"},
		{doubling(20), "", "over and over"},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"[a-z]{1,900}x"}}}`, "", "over and over"},
		{`{"type":"object","properties":{"a":{"allOf":[{"pattern":"[a-z]{1,200}x"},{"pattern":"[a-z]{1,200}y"}]}}}`, "", "over and over"},
		{`{"type":"object","properties":{"a":{"type":"object","patternProperties":{"[a-z]{1,900}x":{}}}}}`, "", "over and over"},
		{manyProperties(MaxFields + 1), "/properties", "256 fields"},
	} {
		_, err := Compile([]byte(c.raw))
		var invalid *Invalid
		if !errors.As(err, &invalid) {
			t.Errorf("%.200s: %v", c.raw, err)
			continue
		}
		found := false
		for _, issue := range invalid.Issues {
			found = found || issue.Pointer == c.pointer && strings.Contains(issue.Detail, c.detail)
		}
		if !found {
			t.Errorf("%.200s\nsays %.300v\nwant %q at %q", c.raw, invalid.Issues, c.detail, c.pointer)
		}
	}
}

// doubling is a small schema that looks 2^n times at the same value.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{"p":{"$ref":"#/$defs/d0"}},"$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{}}}`, n)
	return b.String()
}

func manyProperties(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":{}`, i)
	}
	return `{"type":"object","properties":{` + b.String()[1:] + `}}`
}

func TestAcceptedSchemas(t *testing.T) {
	for _, raw := range []string{
		manyProperties(MaxFields),
		doubling(5),
		// A tree: the schema refers to itself for members and items alone.
		`{"type":"object","properties":{"left":{"$ref":"#"},"right":{"$ref":"#"},"all":{"type":"array","items":{"$ref":"#"}}}}`,
		`{"type":"object","properties":{"p":{"$ref":"#a%2Fb"}},"$defs":{"x":{"$anchor":"q"},"a/b":{}}}`,
		`{"type":"object","properties":{"p":{"$ref":"#/$defs/a~1b"}},"$defs":{"a/b":{}}}`,
		`{"type":"object","properties":{"p":{"pattern":"^\\p{L}+$"}},"if":{"required":["p"]},"then":{"maxProperties":1},"unevaluatedProperties":false}`,
	} {
		_, err := Compile([]byte(raw))
		if wants := !strings.Contains(raw, "%2F"); (err == nil) != wants {
			t.Errorf("%.200s: %v", raw, err)
		}
	}
}

func TestRawIsACopy(t *testing.T) {
	raw := []byte(eight)
	s := compile(t, string(raw))
	if diff := cmp.Diff(eight, string(s.Raw())); diff != "" {
		t.Error(diff)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range append(fuzzSchemas, refusing, doubling(3), property(`{"items":{"$ref":"#/properties/p"}}`)) {
		f.Add([]byte(seed), []byte(eightDoc))
	}
	f.Fuzz(func(t *testing.T, raw, doc []byte) {
		s, err := Compile(raw)
		if err != nil {
			var invalid *Invalid
			if !errors.As(err, &invalid) || len(invalid.Issues) == 0 {
				t.Fatalf("refused without an issue: %v", err)
			}
			return
		}
		agree(t, s, doc)
		if _, err := Compile(s.Raw()); err != nil {
			t.Fatalf("its own text is refused: %v", err)
		}
	})
}
