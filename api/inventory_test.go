package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What nobody documented is not there: no other version, no debugging, no
// console, no file, no other spelling of a route that would pass by a rule, and
// nothing of one listener on the other.
func TestNothingElseIsServed(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("PUT", customers+"/records/ann", `{"fields":{"email":"`+marker+`@example.org"}}`).want(201)
	record := customers + "/records/ann"
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v0/roles", "/v2/roles", "/V1/roles", "/v1beta/roles", "/api/v1/roles", "/internal/roles", "/admin", "/console",
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics/", "/status", "/health", "/actuator/env", "/server-status", "/graphql",
		"/swagger.json", "/swagger-ui/", "/docs", "/openapi.yaml", "/.git/config", "/.env", "/dev.env", "/strongroom.yaml", "/robots.txt",
		"/oauth2/authorize", "/oauth2/register", "/oauth2/userinfo", "/.well-known/openid-configuration", "/v1/audit", "/v1/keysets", "/v1/secrets",
		strings.ToUpper(record), record + "/", record + ".json", record + "/fields", strings.Replace(record, "/v1/", "//v1//", 1),
		strings.Replace(record, "/v1/", "/v2/", 1), strings.Replace(record, "/v1/", "/v1/../v1/", 1),
	} {
		for _, who := range []actor{h.root, h.as("")} {
			for _, method := range []string{http.MethodGet, http.MethodPost, "TRACE", "DEBUG"} {
				a := who.do(method, path, "")
				if a.StatusCode < 400 || a.StatusCode >= 500 {
					t.Errorf("%s %s: %d", method, path, a.StatusCode)
				}
				if strings.Contains(a.body, marker) {
					t.Errorf("%s %s shows a value", method, path)
				}
			}
		}
	}
	h.absent(h.web, "/metrics")
	for _, path := range []string{record, "/v1/roles", "/oauth2/token", "/openapi.json", "/debug/pprof/", "/"} {
		h.absent(h.ops, path)
	}
}

// absent asks one of the listeners for a path that it must not have.
func (h *house) absent(listener *httptest.Server, path string) {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, listener.URL+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+h.root.token)
	transport := listener.Client().Transport
	if recording, ok := transport.(*recorder); ok {
		transport = recording.next // what is not documented has no contract to hold
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		h.t.Errorf("%s is answered with %d", path, resp.StatusCode)
	}
}
