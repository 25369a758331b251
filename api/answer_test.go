package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// answer is what a request got.
type answer struct {
	t    testing.TB
	what string
	*http.Response
	body string
	err  error // of reading the body
}

// want fails the test unless the status is one of these.
func (a answer) want(statuses ...int) answer {
	a.t.Helper()
	for _, status := range statuses {
		if a.StatusCode == status {
			return a
		}
	}
	a.t.Fatalf("%s: status %d, want %v: %s", a.what, a.StatusCode, statuses, a.body)
	return a
}

// refused fails the test unless the answer is a problem with this status and
// code, and one of its errors is at each of the pointers.
func (a answer) refused(status int, code string, pointers ...string) answer {
	a.t.Helper()
	a.want(status)
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Code != code || p.Status != status {
		a.t.Fatalf("%s: %s, want the problem %s (%v)", a.what, a.body, code, err)
	}
	if p.RequestID != a.Header.Get("X-Request-Id") {
		a.t.Errorf("%s: request_id %q is not the header's", a.what, p.RequestID)
	}
	for _, pointer := range pointers {
		found := false
		for _, e := range p.Errors {
			found = found || e.Pointer == pointer
		}
		if !found {
			a.t.Errorf("%s: no error at %q: %s", a.what, pointer, a.body)
		}
	}
	return a
}

// text returns a member that is a string.
func (a answer) text(name string) string {
	a.t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	text, _ := members[name].(string)
	return text
}

// has fails the test unless the body contains a text.
func (a answer) has(text string) answer {
	a.t.Helper()
	if !strings.Contains(a.body, text) {
		a.t.Errorf("%s: no %s in %s", a.what, text, a.body)
	}
	return a
}

// header fails the test unless a header has a value.
func (a answer) header(name, value string) answer {
	a.t.Helper()
	if have := a.Header.Get(name); have != value {
		a.t.Errorf("%s: %s is %q, want %q", a.what, name, have, value)
	}
	return a
}
