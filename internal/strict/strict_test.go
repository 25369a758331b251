package strict

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]Issue{
		`{"name":"a","spans":["1s"]}`:                     {},
		`{"name":"a","name":"marker"}`:                    {"/name", "stands there twice"},
		`{"name":"a"`:                                     {"", "is not well-formed JSON"},
		`{"name":"a"} marker`:                             {"", "is not well-formed JSON"},
		`{"name":"a","marker":1}`:                         {"/marker", "is not a member of a thing"},
		`{"Name":"a"}`:                                    {"/Name", "is not a member of a thing"},
		`{"name":7}`:                                      {"/name", "has the wrong type or form"},
		`{"spans":["1s","marker"]}`:                       {"/spans/1", "has the wrong type or form"},
		`["marker"]`:                                      {"", "has the wrong type or form"},
		`{"name":"` + "\xff" + `marker"}`:                 {"/name", "is not well-formed JSON"},
		`{"name":"` + strings.Repeat("marker", 20) + `"}`: {"", "has at most 100 bytes"},
	} {
		var into struct {
			Name  string `json:"name"`
			Spans []span `json:"spans"`
		}
		err := Decode([]byte(text), "thing", 100, &into)
		var bad *Invalid
		switch {
		case want == Issue{}:
			if err != nil || into.Name != "a" || into.Spans[0] != span(time.Second) {
				t.Errorf("%s: %v, %+v", text, err, into)
			}
		case !errors.As(err, &bad) || len(bad.Issues) != 1 || bad.Issues[0] != want:
			t.Errorf("%s: %v, want %+v", text, err, want)
		case want.Pointer != "/marker" && strings.Contains(err.Error(), "marker"):
			t.Errorf("%s: it is repeated: %v", text, err)
		}
	}
}

func TestInvalidGathers(t *testing.T) {
	bad := &Invalid{What: "thing"}
	if bad.Err() != nil {
		t.Error("nothing is wrong, and yet an error")
	}
	bad.Add("/a", "is none")
	bad.Add("/b", "is another")
	if got, want := bad.Err().Error(), `invalid thing (2): "/a": is none`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
