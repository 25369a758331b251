package api

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// template is a path of the OpenAPI document, taken apart for matching: what
// stands before each name, the names, and what stands after the last. A name
// takes everything up to the next slash or colon, because the colon begins an
// action; the path of a field may hold slashes and takes all that is left.
//
// It stands in for the router's own patterns, which are regular expressions and
// were a tenth of the time that a read takes.
type template struct {
	before []string
	names  []string
	end    string
}

// mostNames is how many names a path of the document has at most.
const mostNames = 4

func newTemplate(path string) *template {
	t := &template{}
	for {
		before, rest, more := strings.Cut(path, "{")
		if !more {
			t.end = before
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		t.before = append(t.before, before)
		t.names = append(t.names, name)
		path = after
	}
	if len(t.names) > mostNames {
		panic("api: too many names in " + path)
	}
	return t
}

// match implements mux.MatcherFunc: it leaves the values of the names with m.
func (t *template) match(r *http.Request, m *mux.RouteMatch) bool {
	var values [mostNames]string
	if !t.values(r.URL.Path, &values) {
		return false
	}
	m.Vars = make(map[string]string, len(t.names))
	for i, name := range t.names {
		m.Vars[name] = values[i]
	}
	return true
}

// values finds what stands in the place of each name; false when the path is
// another.
func (t *template) values(path string, values *[mostNames]string) bool {
	for i, before := range t.before {
		rest, ok := strings.CutPrefix(path, before)
		if !ok {
			return false
		}
		n := valueLen(t.names[i], rest)
		if n == 0 {
			return false
		}
		values[i], path = rest[:n], rest[n:]
	}
	return path == t.end
}

// valueLen returns how much of a path's rest a name takes.
func valueLen(name, rest string) int {
	if name == "field" {
		return len(rest)
	}
	if n := strings.IndexAny(rest, "/:"); n >= 0 {
		return n
	}
	return len(rest)
}
