package schema

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func same(a, b any) bool { return reflect.DeepEqual(a, b) }

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ how, json, want string }{
		{"none", `"A b"`, "sA b"}, {"", `"A"`, "sA"}, {"none", `"\u0041"`, "sA"}, {"none", `""`, "s"},
		{"lowercase", `"Jenny.Rosen@Example.COM"`, "sjenny.rosen@example.com"}, {"lowercase", `"ÄÖ"`, "säö"},
		{"nfkc", `"ﬁ①"`, "sfi1"}, {"nfkc", `"e\u0301"`, "sé"},
		{"digits", `"+49 (30) 90-18"`, "s49309018"}, {"digits", `"１２3"`, "s123"},
		{"none", `1`, "n1e0"}, {"none", `1.0`, "n1e0"}, {"none", `10e-1`, "n1e0"}, {"none", `-0.0`, "n0"}, {"none", ` 120 `, "n12e1"}, {"none", `-1.25E2`, "n-125e0"},
	} {
		got, err := Normalise(c.how, []byte(c.json))
		if err != nil || string(got) != c.want {
			t.Errorf("%s of %s is %q, %v; want %q", c.how, c.json, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{"none", `null`}, {"digits", `"none here"`}, {"lowercase", `null`}} {
		if got, err := Normalise(c[0], []byte(c[1])); got != nil || err != nil {
			t.Errorf("%s of %s is %q, %v; want no token", c[0], c[1], got, err)
		}
	}
	for _, c := range []string{`true`, `{}`, `[]`, ``, `"a`, `"\ud800"`, `1x`, `01`, `1e99999`} {
		if _, err := Normalise("none", []byte(c)); !errors.Is(err, ErrNotIndexable) {
			t.Errorf("%s: %v", c, err)
		}
	}
	if _, err := Normalise("rot13", []byte(`"a"`)); !errors.Is(err, ErrNormaliser) {
		t.Errorf("unknown normaliser: %v", err)
	}
}

func TestNormaliseOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		how := rapid.SampledFrom([]string{"none", "lowercase", "nfkc", "digits"}).Draw(t, "how")
		once, err := Normalise(how, []byte(spelling(t, text().Draw(t, "text"))))
		if err != nil {
			t.Fatal(err)
		}
		if once == nil {
			return
		}
		twice, err := Normalise(how, quote(string(once[1:])))
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s: %q, again %q, %v", how, once, twice, err)
		}
	})
}

func TestBytes(t *testing.T) {
	if got, err := Bytes([]byte(`"\u0059Q=="`)); err != nil || string(got) != "a" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{`"YQ"`, `"YR=="`, `"YW\nJj"`, `"YW-_"`, `1`, `null`, `"YQ==`} {
		if _, err := Bytes([]byte(bad)); !errors.Is(err, ErrNotBytes) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestBase64WithoutKeepingBytes(t *testing.T) {
	if padded := strings.Repeat("Zm9v", 255) + "YQ==Zm9v"; isBase64([]byte(padded)) {
		t.Fatal("padding before the end was taken where a chunk ends")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat("Zm9v", rapid.SampledFrom([]int{0, 1, 254, 255, 256, 257, 512}).Draw(t, "quads")) +
			rapid.StringMatching(`([A-Za-z0-9+/]{4}){0,3}(YQ==|YR==|[A-Za-z0-9=\n]{0,4})(Zm9v){0,2}`).Draw(t, "tail")
		text += strings.Repeat("Zm9v", rapid.SampledFrom([]int{0, 0, 0, 256}).Draw(t, "more"))
		_, err := decodeBase64(text)
		if got := isBase64([]byte(text)); got != (err == nil) {
			t.Fatalf("%q: %v, but %v", text, got, err)
		}
	})
}
