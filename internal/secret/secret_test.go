package secret

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// holder is how a secret is usually met: inside something that gets printed.
type holder struct {
	Name   string
	Secret Text
	At     *Text
}

const value = "s3cr3t-v4lu3"

func TestEveryWayOfPrintingSaysRedacted(t *testing.T) {
	s := New(value)
	h := holder{Name: "n", Secret: s, At: &s}
	printed := map[string]string{"String": s.String(), "GoString": s.GoString(), "errors": fmt.Errorf("failed: %w, %v", errors.New("x"), s).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%20s", "%T %v"} {
		args := []any{s, s}[:strings.Count(verb, "%")]
		printed[verb] = fmt.Sprintf(verb, args...)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		printed["in a struct "+verb] = fmt.Sprintf(verb, h)
	}
	for name, marshal := range map[string]func(any) ([]byte, error){
		"json": stdjson.Marshal, "json v2": func(v any) ([]byte, error) { return json.Marshal(v) }, "yaml": yaml.Marshal,
	} {
		text, err := marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		printed[name] = string(text)
	}
	for name, text := range printed {
		if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) || strings.Contains(text, fmt.Sprintf("%X", value)) {
			t.Errorf("%s shows the value", name)
		}
		if !strings.Contains(text, "REDACTED") {
			t.Errorf("%s does not say REDACTED: %s", name, text)
		}
	}
}

// fmt calls no method of an unexported field, nor for %p: what it prints then
// must not be the value either.
func TestPrintingAroundTheMethodsShowsNoValue(t *testing.T) {
	s := New(value)
	hidden := struct {
		s  Text
		at *Text
		in []Text
	}{s, &s, []Text{s}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		for _, v := range []any{hidden, &hidden, s, []Text{s}} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
				t.Errorf("%s of %T shows the value", verb, v)
			}
		}
	}
}

func TestLogsSayRedacted(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		out.Reset()
		s := New(value)
		slog.New(h).Info("m", "secret", s, "any", holder{Secret: s}, slog.Group("g", "pointer", &s))
		if text := out.String(); strings.Contains(text, value) || strings.Count(text, "REDACTED") < 3 {
			t.Errorf("the log has %s", text)
		}
	}
}

func TestRevealAndEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if New(a).Reveal() != a {
			t.Fatal("Reveal gives another value")
		}
		if !New(a).Equal(New(a)) || New(a).Equal(New(b)) != (a == b) {
			t.Fatal("Equal does not follow the values")
		}
		if New(a).IsZero() != (a == "") {
			t.Fatal("IsZero does not follow the value")
		}
	})
}
