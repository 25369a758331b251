package api

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A schema is a program that the server runs. None may fetch, loop, take long
// or crash: it is refused with a reason, or does what it says.
func TestHostileSchemas(t *testing.T) {
	var asked atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer trap.Close()
	a := besieged(t)
	const path = "/v1/integrations/acme-crm/collections/trial"
	property := func(schema string) string { return `{"type":"object","properties":{"a":` + schema + `}}` }
	refused := map[string]string{
		"a remote reference":              property(`{"$ref":"` + trap.URL + `/a.json"}`),
		"a remote reference, https":       property(`{"$ref":"https://169.254.169.254/a.json"}`),
		"a file":                          property(`{"$ref":"file:///etc/passwd"}`),
		"a relative reference":            property(`{"$ref":"other.json#/a"}`),
		"a name":                          property(`{"$ref":"urn:example:a"}`),
		"a remote dynamic reference":      property(`{"$dynamicRef":"` + trap.URL + `/a.json#b"}`),
		"a remote meta-schema":            `{"$schema":"` + trap.URL + `/schema","type":"object"}`,
		"an id elsewhere, and from there": `{"$id":"` + trap.URL + `/root.json","type":"object","properties":{"a":{"$ref":"b.json"}}}`,
		"a reference to nothing":          property(`{"$ref":"#/$defs/none"}`),
		"a reference in percent signs":    property(`{"$ref":"%68ttp://169.254.169.254/"}`),
		"a cycle of references":           `{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"$ref":"#/$defs/y"},"y":{"$ref":"#/$defs/x"}}}`,
		"a reference to itself":           `{"type":"object","properties":{"a":{"$ref":"#/properties/a"}}}`,
		"repetitions of repetitions":      property(`{"type":"string","pattern":"((a{1000}){1000}){1000}"}`),
		"a pattern that is none":          property(`{"type":"string","pattern":"(unclosed"}`),
		"a pattern that looks back":       property(`{"type":"string","pattern":"(a+)\\1"}`),
		"a pattern that is long":          property(`{"type":"string","pattern":"` + strings.Repeat("(a|b)", 20_000) + `"}`),
		"nested too deep":                 strings.Repeat(`{"type":"object","properties":{"a":`, 300) + `{}` + strings.Repeat(`}}`, 300),
		"allOf in allOf":                  property(strings.Repeat(`{"allOf":[`, 100) + `{}` + strings.Repeat(`]}`, 100)),
		"a type of its own":               property(`{"type":"` + taint + `"}`),
		"a length below nothing":          property(`{"type":"string","minLength":-1}`),
		"a length over all bounds":        property(`{"type":"string","minLength":1e400}`),
		"a multiple of nothing":           property(`{"type":"number","multipleOf":0}`),
	}
	for name, schema := range refused {
		got := a.try(name, "PUT", path, `{"schema":`+schema+`}`, false)
		if got.StatusCode != 422 && got.StatusCode != 400 {
			t.Errorf("%s: status %d: %.300s", name, got.StatusCode, got.body)
		}
	}
	if asked.Load() > 0 {
		t.Errorf("a schema made the server ask %d times", asked.Load())
	}
	a.patternsAreLinear()
	a.aftermath()
}

// patternsAreLinear sends to patterns that hang a backtracking engine what they
// hang on: with one, a single of these requests would outlast the test.
func (a *attack) patternsAreLinear() {
	a.t.Helper()
	for i, pattern := range []string{`^(a+)+$`, `^([a-zA-Z0-9]+\\s?)*$`, `^(a|aa)+$`, `^(a|a?)+$`, `(.*a){30}$`, `^(([a-z])+.)+[A-Z]([a-z])+$`} {
		path := fmt.Sprintf("/v1/integrations/acme-crm/collections/pattern-%d", i)
		got := a.try(pattern, "PUT", path, `{"schema":{"type":"object","properties":{"a":{"type":"string","pattern":"`+pattern+`"}}}}`, false)
		if got.StatusCode >= 300 {
			continue // too costly to be let in
		}
		value := strings.Repeat("a", 20_000) + "!"
		a.try(pattern, "POST", path+"/records", `{"fields":{"a":"`+value+`"}}`, false)
	}
}

// Addresses that a document tells of are never resolved either.
func TestNamesInDocumentsAreNotLookedUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var reached atomic.Bool
	go func() {
		if c, err := l.Accept(); err == nil {
			reached.Store(true)
			c.Close()
		}
	}()
	a := besieged(t)
	url := "https://" + l.Addr().String() + "/" + taint
	for _, body := range []string{
		`{"fields":{"email":"` + url + `","card":"` + url + `"}}`,
		`{"fields":{"email":{"$ref":"` + url + `"}}}`,
		`{"fields":{"email":"a"},"labels":{"owner":"` + url + `"}}`,
	} {
		a.try(body, "POST", "/v1/integrations/acme-crm/collections/acme-crm/records", body, false)
	}
	a.try("description", "PUT", "/v1/integrations/acme-crm", `{"description":"`+url+`"}`, false)
	l.Close()
	if reached.Load() {
		t.Error("an address in a document was connected to")
	}
}

// Fields keep what they are given to the letter: a number its literal, a text
// every character, whatever the names are.
func TestHostileValuesComeBack(t *testing.T) {
	a := besieged(t)
	const path = "/v1/integrations/acme-crm/collections/anything"
	a.root.do("PUT", path, `{"schema":{"type":"object","properties":{"v":{},"__proto__":{},"constructor":{},"a/b":{},"a~b":{},"":{}}}}`).want(201, 422)
	a.root.do("PUT", path, `{"schema":{"type":"object","properties":{"v":{},"__proto__":{},"constructor":{}}}}`).want(200, 201)
	for _, literal := range []string{`1e400`, `-0`, `0.1000`, `1E-400`, `9007199254740993`, `18446744073709551616`, `1.0e+2`, `123456789012345678901234567890.123456789`} {
		made := a.root.do("POST", path+"/records", `{"fields":{"v":`+literal+`,"__proto__":{"admin":true},"constructor":`+literal+`}}`).want(201)
		a.root.do("GET", made.Header.Get("Location"), "").want(200).has(`"v":` + literal).has(`"__proto__":{"admin":true}`).has(`"constructor":` + literal)
	}
	a.aftermath()
}
