package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/store"
)

func FuzzDecodeRecord(f *testing.F) {
	for _, seed := range []string{
		`{"fields":{"a":1}}`, `{"id":"x","fields":{},"labels":{"a":"\u00fc"},"valid_until":null,"erase_at":"2030-01-01T00:00:00Z"}`,
		`{"fields":{"a":{"a":[]}},"key":"a","on_conflict":"merge"}`, `{"labels":{"a":null}}`, "{\"fields\":{\"\xff\":1}}", `[]`, `{"fields":{}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		for _, shape := range []recordShape{shapePost, shapePut, shapePatch, shapeUpsert} {
			body, err := decodeRecord(raw, shape)
			switch {
			case !bytes.Equal(raw, before):
				t.Fatal("the body was changed")
			case err != nil && !errors.Is(err, errBody):
				t.Errorf("an error of another kind: %v", err)
			case err == nil && !json.Valid(raw):
				t.Error("accepted what is no JSON")
			case err == nil && body.Fields == nil && !shape.patch:
				t.Error("accepted without fields")
			case err == nil && body.Fields != nil && (!json.Valid(body.Fields) || !bytes.Contains(raw, body.Fields)):
				t.Error("the fields are not those of the body")
			}
		}
	})
}

func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{`{"where":{"a":1},"labels":{"a":"b"},"limit":5}`, `{"schema":{"enum":[null]},"ttl":"1h"}`, `{"roles":[null]}`, `null`, `{}{}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, err := range []error{
			decodeInto(raw, &searchBody{}), decodeInto(raw, &store.CollectionSpec{}), decodeInto(raw, &store.ClientSpec{}), wellFormed(raw),
		} {
			if err == nil && !json.Valid(raw) {
				t.Error("accepted what is no JSON")
			}
			if err != nil && !errors.Is(err, errBody) {
				t.Errorf("an error of another kind: %v", err)
			}
		}
	})
}

func FuzzParseTags(f *testing.F) {
	for _, seed := range []string{`*`, `"1"`, `W/"1-ab", "2"`, `"a,b"`, `,`, `""`, `"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, any, ok := parseTags([]string{text})
		if !ok && (any || tags != nil) || any && tags != nil || ok && !any && len(tags) == 0 {
			t.Errorf("%q became %v, %v, %v", text, tags, any, ok)
		}
		var again []string
		for _, tag := range tags {
			if tag.weak {
				again = append(again, `W/"`+tag.opaque+`"`)
			} else {
				again = append(again, `"`+tag.opaque+`"`)
			}
		}
		if second, _, ok := parseTags([]string{strings.Join(again, ", ")}); tags != nil && (!ok || !slices.Equal(second, tags)) {
			t.Errorf("%q: written and read again it is %v", text, second)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"fields=a,b&revision=3", "label.a=b&label.b=%20", "cursor=x%2B", "a=1&a=2", "%", "&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var q query
		if err := q.parse(raw, listParams); err != nil {
			return
		}
		for i := range q {
			if !takes(listParams, q[i].name) {
				t.Errorf("the parameter %q was taken", q[i].name)
			}
		}
		q.labels()
		if list, err := q.list("fields"); err == nil && slices.Contains(list, "") {
			t.Error("an empty name")
		}
		if n, err := q.number("limit", 1, 1000); err == nil && n > 1000 {
			t.Error("a number out of range")
		}
	})
}

func FuzzTraceParent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if got := traceParent([]string{text}); got != "" && (got != text || len(got) != 55) {
			t.Errorf("%q became %q", text, got)
		}
		if id := requestID([]string{text}); id != text && len(id) != 32 || !only(id, idByte) {
			t.Errorf("%q became the request id %q", text, id)
		}
	})
}

func TestRevisionOfATag(t *testing.T) {
	cases := map[string]uint64{"7": 7, "7-ab": 7, "07": 0, "": 0, "x": 0, "-1": 0, "18446744073709551616": 0, "+7": 0}
	for opaque, want := range cases {
		if got := (entityTag{opaque: opaque}).revision(); got != want {
			t.Errorf("%q is revision %d, want %d", opaque, got, want)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	nest := func(n int) []byte {
		return []byte(`{"fields":` + strings.Repeat(`{"a":`, n) + `"{[\"["` + strings.Repeat("}", n) + `}`)
	}
	if _, err := decodeRecord(nest(maxDepth-1), shapePost); err != nil {
		t.Errorf("the deepest that is allowed: %v", err)
	}
	if _, err := decodeRecord(nest(maxDepth), shapePost); !errors.Is(err, errBody) {
		t.Errorf("deeper: %v", err)
	}
	flat := []byte(`{"fields":{"a":[` + strings.Repeat(`{},`, 100) + `"[[[[\\"]}}`)
	if _, err := decodeRecord(flat, shapePost); err != nil {
		t.Errorf("many brackets, none deep: %v", err)
	}
}
