package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The markers stand for a document's strings, numbers and undeclared names;
// no error may contain one of them.
const (
	textMarker   = "Zq9vMark"
	numberMarker = "770077"
	nameMarker   = "nUm3Mark"
)

// refusing has a property for each keyword, none of which a marker satisfies.
const refusing = `{"type":"object","minProperties":99,"maxProperties":1,"required":["absent"],"additionalProperties":false,
 "dependentRequired":{"enum":["beside"]},"properties":{
 "type":{"type":"boolean"},"types":{"type":["boolean","null"]},"enum":{"enum":["a",1]},"const":{"const":"a"},"constObject":{"const":{"a":1}},
 "minLength":{"minLength":99999},"maxLength":{"maxLength":1},"pattern":{"pattern":"^a$"},"base64":{"contentEncoding":"base64"},
 "email":{"format":"email"},"uri":{"format":"uri"},"date":{"format":"date-time"},"uuid":{"format":"uuid"},
 "minimum":{"minimum":1e300},"maximum":{"maximum":1.5},"above":{"exclusiveMinimum":1e300},"below":{"exclusiveMaximum":0},"multiple":{"multipleOf":1000},
 "minItems":{"minItems":99},"maxItems":{"maxItems":0},"unique":{"uniqueItems":true},"contains":{"contains":{"const":0}},
 "minContains":{"contains":true,"minContains":99},"maxContains":{"contains":true,"maxContains":0},"items":{"items":{"type":"null"}},"prefix":{"prefixItems":[false]},
 "not":{"not":true},"anyOf":{"anyOf":[{"const":1},{"type":"null"}]},"oneOf":{"oneOf":[true,true]},"none":{"oneOf":[false,{"const":1}]},"allOf":{"allOf":[{"const":1},{"const":2}]},
 "if":{"if":true,"then":{"const":1}},"ref":{"$ref":"#/$defs/r"},"names":{"propertyNames":{"maxLength":1}},
 "closed":{"additionalProperties":false},"rest":{"additionalProperties":{"const":1}},"patterns":{"patternProperties":{".":{"const":1}}},
 "unevaluated":{"unevaluatedProperties":false},"unevaluatedItems":{"unevaluatedItems":false},"never":false,
 "dependent":{"dependentSchemas":{"nUm3Mark":{"const":1}}}},
 "$defs":{"r":{"const":1}}}`

var planted = []string{
	`"` + textMarker + `"`, `"\u005aq9vMark \u00e9"`, numberMarker, "-" + numberMarker + ".5", `"` + numberMarker + `"`,
	`["` + textMarker + `","` + textMarker + `",` + numberMarker + `]`,
	`{"` + nameMarker + `":"` + textMarker + `","b":{"c":[` + numberMarker + `]}}`,
}

// secret fails when an error tells a marker in its text or in a detail.
func secret(t interface {
	Helper()
	Fatalf(string, ...any)
}, err error) {
	t.Helper()
	if err == nil {
		return
	}
	said := err.Error()
	var invalid *Invalid
	if errors.As(err, &invalid) {
		for _, issue := range invalid.Issues {
			said += "\n" + issue.Detail
		}
	}
	for _, marker := range []string{textMarker, numberMarker, nameMarker} {
		if strings.Contains(said, marker) {
			t.Fatalf("an error tells a value: %s", strings.ReplaceAll(said, marker, "<"+marker+">"))
		}
	}
}

func TestDetailsTellNoValue(t *testing.T) {
	s := compile(t, refusing)
	details := map[string]bool{}
	for _, f := range s.Fields() {
		for _, v := range planted {
			doc := fmt.Sprintf(`{%q:%s,"%s":1}`, f.Path, v, nameMarker)
			err := s.Validate([]byte(doc))
			secret(t, err)
			var invalid *Invalid
			if !errors.As(err, &invalid) {
				t.Fatalf("%s: %v", doc, err)
			}
			for _, issue := range invalid.Issues {
				details[issue.Detail] = true
				if strings.Contains(issue.Pointer, textMarker) || strings.Contains(issue.Pointer, numberMarker) {
					t.Errorf("%s: a pointer tells a value: %s", f.Path, issue.Pointer)
				}
			}
		}
	}
	if len(details) < 38 || details["doesn't match the schema"] {
		t.Errorf("%d different details, want one for each keyword: %v", len(details), details)
	}
}

// TestBrokenTextsTellNoValue plants the markers in documents and damages
// these anywhere: cut, doubled, a byte changed.
func TestBrokenTextsTellNoValue(t *testing.T) {
	var schemas []*Schema
	for _, raw := range append([]string{refusing}, fuzzSchemas...) {
		schemas = append(schemas, compile(t, raw))
	}
	declared := []string{"a", "b", "email", "customer", "enum", "names", "closed", "unique", nameMarker, nameMarker + "2"}
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		for range rapid.IntRange(1, 4).Draw(t, "members") {
			parts = append(parts, fmt.Sprintf("%q:%s", rapid.SampledFrom(declared).Draw(t, "name"), rapid.SampledFrom(planted).Draw(t, "value")))
		}
		doc := damage(t, []byte("{"+strings.Join(parts, ",")+"}"))
		for _, s := range schemas {
			secret(t, s.Validate(doc))
			_, err := s.Split(doc)
			secret(t, err)
			s.Resplit([]Value{{"a", doc}, {"a/b", doc}})
		}
		_, err := MergePatch(doc, []byte(`{"a":null}`))
		secret(t, err)
		_, err = MergePatch([]byte(`{}`), doc)
		secret(t, err)
		_, err = Normalise("digits", doc)
		secret(t, err)
		_, err = Bytes(doc)
		secret(t, err)
	})
}

func damage(t *rapid.T, doc []byte) []byte {
	at := rapid.IntRange(0, len(doc)-1).Draw(t, "at")
	switch rapid.IntRange(0, 3).Draw(t, "damage") {
	case 0:
		return doc[:at]
	case 1:
		return append(doc[:at:at], doc[at/2:]...)
	case 2:
		doc[at] = rapid.Byte().Draw(t, "byte")
	}
	return doc
}

func FuzzErrorsTellNoValue(f *testing.F) {
	for _, v := range planted {
		f.Add([]byte(`{"a":`), []byte(v), []byte(`}`))
	}
	f.Add([]byte(`{"email":`), []byte(planted[0]), []byte(`,"email":1}`))
	s := compile(f, refusing)
	f.Fuzz(func(t *testing.T, before, value, after []byte) {
		if strings.Contains(refusing, textMarker) {
			t.Fatal("the schema itself has the marker")
		}
		doc := append(append(append([]byte(nil), before...), append([]byte(`"`+textMarker), value...)...), after...)
		_, err := s.Check(doc)
		var invalid *Invalid
		if errors.As(err, &invalid) && strings.Contains(fmt.Sprint(invalid, invalid.Issues[0].Detail), textMarker) {
			t.Fatal("an error tells a value")
		}
	})
}

func TestIssues(t *testing.T) {
	s := compile(t, eight)
	for _, c := range []struct{ doc, pointer, detail string }{
		{`{"external_id":"x"}`, "/email", "is required"},
		{`{"external_id":"x","email":"a@b","extra":1}`, "/extra", "is not a property that the schema declares"},
		{`{"external_id":"x","email":7}`, "/email", "is of type number and should be of type string"},
		{`{"external_id":"x","email":"é"}`, "/email", "is shorter than 3 characters"},
		{`{"external_id":"x","email":"a@b","email":"a@b"}`, "/email", "stands twice in its object"},
		{`{"external_id":"x","email":{"a":[{"b":1,"b":2}]}}`, "/email/a/0/b", "stands twice in its object"},
		{"{\"external_id\":\"x\",\"email\":\"\xff\"}", "/email", "is not valid UTF-8"},
		{`{"external_id":"x","email":"\ud800"}`, "/email", "is not well-formed JSON"},
		{`{"external_id":"x","email":1e4000}`, "/email", "is a number too long or too large to be handled exactly"},
		{`{"external_id":"x","email":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "/email" + strings.Repeat("/0", 31), "is nested too deeply"},
		{`{"external_id":"x"`, "", "ends too early: the text is not complete JSON"},
		{`{"external_id":"x","email":"a@b"} {}`, "", "has text after its end"},
		{``, "", "ends too early: the text is not complete JSON"},
		{`[]`, "", "is of type array and should be of type object"},
		{`nope`, "", "is not well-formed JSON"},
	} {
		err := s.Validate([]byte(c.doc))
		var invalid *Invalid
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", c.doc, err)
			continue
		}
		if diff := cmp.Diff([]Issue{{c.pointer, c.detail}}, invalid.Issues); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.doc, diff)
		}
	}
}

func TestDepthIsAllowedToItsBound(t *testing.T) {
	deep := func(levels int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`)
	}
	for _, raw := range []string{
		`{"type":"object","properties":{"a":{}}}`,
		`{"type":"object","properties":{"b":{}}}`,
		`{"type":"object","properties":{"a":{"minItems":0}}}`,
		`{"type":"object","properties":{"a":{}},"allOf":[true]}`,
	} {
		s := compile(t, raw)
		if err := s.Validate(deep(MaxDepth)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if err := s.Validate(deep(MaxDepth + 1)); err == nil {
			t.Errorf("%s took a document one level too deep", raw)
		}
	}
}

func TestNamesOfFields(t *testing.T) {
	s := compile(t, `{"type":"object","properties":{"a":{}}}`)
	for _, name := range []string{"", "*", "a,b", "\u0001", strings.Repeat("n", 129)} {
		_, err := s.Check([]byte(`{"a":1,` + string(quote(name)) + `:1}`))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Issues[0].Detail, "name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	var b strings.Builder
	for i := range MaxFields + 1 {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	if err := s.Validate([]byte(`{"a":1` + b.String() + `}`)); err == nil {
		t.Error("a document of 258 fields was taken")
	}
}
