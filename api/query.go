package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// query is what stands behind the path, each parameter once.
type query []parameter

type parameter struct{ name, raw string } // raw is not unescaped yet

// maxParameters bounds a query.
const maxParameters = 64

// parse reads a raw query strictly: a parameter that is not among those
// allowed, or comes twice, is refused, since ignoring it would answer another
// question than the caller asked.
func (q *query) parse(raw string, allowed []string) error {
	*q = (*q)[:0]
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || len(*q) == maxParameters {
			return refuse(errRequest, "the query is not well-formed")
		}
		if !takes(allowed, name) {
			return refuse(errRequest, unknownParameter(allowed))
		}
		if _, twice := q.raw(name); twice {
			return refuse(errRequest, "a query parameter is repeated")
		}
		if text, err := url.QueryUnescape(value); err != nil || !utf8.ValidString(text) {
			return refuse(errRequest, "the query is not well-formed")
		}
		*q = append(*q, parameter{name, value})
	}
	return nil
}

const labelPrefix = "label."

func takes(allowed []string, name string) bool {
	if slices.Contains(allowed, name) {
		return name != labelPrefix+"*"
	}
	return len(name) > len(labelPrefix) && strings.HasPrefix(name, labelPrefix) && slices.Contains(allowed, labelPrefix+"*")
}

func unknownParameter(allowed []string) string {
	if len(allowed) == 0 {
		return "this route takes no query parameters"
	}
	return "the query has a parameter that this route does not take; it takes " + strings.Join(allowed, ", ")
}

func (q query) raw(name string) (string, bool) {
	for i := range q {
		if q[i].name == name {
			return q[i].raw, true
		}
	}
	return "", false
}

// text returns a parameter's value, empty when it is not there.
func (q query) text(name string) string {
	raw, _ := q.raw(name)
	text, _ := url.QueryUnescape(raw) // parse has tried it
	return text
}

// list returns the values of a parameter that has commas between them; a comma
// inside a value is written %2C. Without the parameter it is nil.
func (q query) list(name string) ([]string, error) {
	raw, given := q.raw(name)
	if !given {
		return nil, nil
	}
	var list []string
	for part := range strings.SplitSeq(raw, ",") {
		text, err := url.QueryUnescape(part)
		if err != nil || text == "" || slices.Contains(list, text) {
			return nil, refuse(errRequest, name+" must be different names with commas between them")
		}
		list = append(list, text)
	}
	return list, nil
}

// number returns a parameter that is a number from least to most, 0 when it is
// not there.
func (q query) number(name string, least, most uint64) (uint64, error) {
	raw, given := q.raw(name)
	if !given {
		return 0, nil
	}
	n, err := strconv.ParseUint(raw, 10, 64)
	if err != nil || n < least || n > most {
		text := name + " must be a number from " + strconv.FormatUint(least, 10)
		if most < 1<<62 {
			text += " to " + strconv.FormatUint(most, 10)
		}
		return 0, refuse(errRequest, text)
	}
	return n, nil
}

// time returns a parameter that is an instant, zero when it is not there.
func (q query) time(name string) (time.Time, error) {
	if _, given := q.raw(name); !given {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, q.text(name))
	if err != nil || !storable(t) {
		return time.Time{}, refuse(errRequest, name+" must be a time such as 2026-01-31T12:00:00Z (in a query, the plus sign of an offset is written %2B)")
	}
	return t, nil
}

// flag returns a parameter that is true or false, false when it is not there.
func (q query) flag(name string) (bool, error) {
	switch raw, given := q.raw(name); {
	case !given, raw == "false":
		return false, nil
	case raw == "true":
		return true, nil
	}
	return false, refuse(errRequest, name+" must be true or false")
}

// choice returns a parameter that is one of some words, the first of them when
// it is not there.
func (q query) choice(name string, words ...string) (string, error) {
	raw, given := q.raw(name)
	if !given {
		return words[0], nil
	}
	if !slices.Contains(words, raw) {
		return "", refuse(errRequest, name+" must be one of "+strings.Join(words, ", "))
	}
	return raw, nil
}

// labels returns the parameters label.NAME, nil when there are none.
func (q query) labels() map[string]string {
	var labels map[string]string
	for i := range q {
		if name, ok := strings.CutPrefix(q[i].name, labelPrefix); ok {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[name], _ = url.QueryUnescape(q[i].raw)
		}
	}
	return labels
}
