package limits

import (
	"testing"
	"time"
)

func TestDefinitionsAreRefused(t *testing.T) {
	for _, text := range []string{
		`{`, `{}`, `{"per":"client"}`, `{"per":"planet","concurrency":1}`, `{"per":"client","concurrency":1,"surprise":1}`,
		`{"per":"client","requests":[{"limit":0,"window":"1s"}]}`, `{"per":"client","requests":[{"limit":1,"window":"1ms"}]}`,
		`{"per":"client","requests":[{"limit":1,"window":"745h"}]}`, `{"per":"client","requests":[{"limit":1,"window":"1s"},{"limit":2,"window":"1s"}]}`,
		`{"per":"address","clients":["a"],"concurrency":1}`, `{"per":"client","addresses":["nowhere"],"concurrency":1}`,
		`{"per":"client","routes":["fly"],"concurrency":1}`, `{"per":"client","clients":["A"],"concurrency":1}`,
		`{"per":"role","exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"refuse"}}`,
		`{"per":"client","exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"panic"}}`,
		`{"per":"client","exposure":{"when_exhausted":"mask"}}`, `{"per":"client","routes":["connection"],"concurrency":1}`,
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*", "", true}, {"*b", "ab", true}, {"*b", "ba", false},
		{"a*c*e", "abcde", true}, {"a*c*e", "ae", false}, {"a*a", "a", false}, {"**", "x", true},
	} {
		if got := matchesAny([]string{c.glob}, c.name); got != c.want {
			t.Errorf("%s on %s is %t", c.glob, c.name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"per":"client","requests":[{"limit":1,"window":"1s"}],"exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw)
		if err != nil {
			return
		}
		l := New(time.Now)
		l.Define(map[string]*Definition{"x": d})
		q := request("a")
		q.Roles = []string{"r"}
		_ = once(l, q)
		l.Claim(exposed("a", "r"))
	})
}
