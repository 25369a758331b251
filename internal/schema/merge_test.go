package schema

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMergePatchOfTheRFC(t *testing.T) {
	// The table of RFC 7396, appendix A.
	for _, c := range []struct{ doc, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		// Literals and escapes stay.
		{`{"a" : 1.50, "b":{"c":"\u0041"}}`, `{"b":{"d":1e2}}`, `{"a":1.50,"b":{"c":"\u0041","d":1e2}}`},
		{`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
	} {
		got, err := MergePatch([]byte(c.doc), []byte(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s patched with %s is %s, %v; want %s", c.doc, c.patch, got, err, c.want)
		}
	}
}

func TestMergePatchIsStrict(t *testing.T) {
	for _, bad := range []string{`{"a":1,"a":2}`, `{`, "{\"a\":\"\xff\"}", `{"a":1e9999}`} {
		if _, err := MergePatch([]byte(`{}`), []byte(bad)); err == nil {
			t.Errorf("the patch %q was taken", bad)
		}
		if _, err := MergePatch([]byte(bad), []byte(`{}`)); err == nil {
			t.Errorf("the document %q was taken", bad)
		}
	}
}

func TestMergePatchAsTheRFCComputesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, patch := []byte(value(3).Draw(t, "doc")), []byte(value(3).Draw(t, "patch"))
		got, err := MergePatch(doc, patch)
		if err != nil {
			t.Fatal(err)
		}
		target, _ := parse(doc, MaxDepth)
		change, _ := parse(patch, MaxDepth)
		result, err := parse(got, MaxDepth)
		if err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if want := reference(target, change); !same(want, result) {
			t.Fatalf("%s patched with %s is %s, want %v", doc, patch, got, want)
		}
	})
}

// reference is the pseudocode of RFC 7396, section 2.
func reference(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = reference(object[name], value)
		}
	}
	return object
}
