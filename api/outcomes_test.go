package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/store"
)

// errorOf is what the store answers for a status.
var errorOf = map[int]error{
	403: store.ErrForbidden, 404: store.ErrNotFound, 409: store.ErrConflict, 412: store.ErrPrecondition,
	422: &store.Invalid{Issues: []schema.Issue{{Pointer: "/fields/email", Detail: "must be a string"}}},
	429: &limits.Refusal{Is: limits.ErrRate, Limit: "invoicing-daily", Wait: 7 * time.Second},
	500: store.ErrIntegrity, 503: store.ErrKeyServiceUnavailable,
}

// TestEveryDocumentedAnswer provokes every answer of every operation; the
// recorder holds each against the document.
func TestEveryDocumentedAnswer(t *testing.T) {
	f := newScripted(t)
	for _, r := range theContract.requests() {
		t.Run(r.id, func(t *testing.T) {
			f.t = t
			f.client.Transport.(*recorder).t = t
			for _, status := range r.documentedFor {
				f.provoke(r, status)
			}
		})
	}
}

// provoke sends a request so that it ends in a status.
func (f *fixture) provoke(r request, status int) {
	f.t.Helper()
	f.script.err, f.script.reasons, f.script.put, f.script.write.Created = errorOf[status], nil, store.PutResult{}, false
	a, path, body, headers := f.me(), r.path, string(r.body), []string{"Content-Type", r.media}
	switch {
	case status == 401 && !oauthOperations[r.id]:
		a = f.as("")
	case status == 400 && !oauthOperations[r.id]:
		path += "?unknown"
	case status == 431:
		for i := range maxHeaderFields {
			headers = append(headers, fmt.Sprintf("X-Filler-%d", i), "x")
		}
	case status == 413:
		body = strings.Repeat(" ", 1<<20+1)
	case status == 415:
		headers = []string{"Content-Type", "text/css"}
	case status == 304:
		headers = append(headers, "If-None-Match", "*")
	case status == 201:
		f.script.put.Created, f.script.write.Created = true, true
	case status == 202 && r.id == "putCollection":
		f.script.put.Backfill = true
	case status == 202:
		f.script.err = held()
	}
	switch r.id {
	case "token", "introspect", "revoke":
		a, body = f.as(""), f.tokenBody(r.id, status, body)
	case "keySet":
		fresh := &fixture{t: f.t, script: f.script, log: f.log} // one that has seen no key yet
		fresh.serve(f.script, f.script, scriptedJobs{f.script}, scriptedKeys{f.script}, scriptedErasures{f.script})
		a = fresh.as("")
	case "ready":
		f.script.reasons, f.script.err = []store.Reason{{Code: "closed", Degraded: status == 200}}, nil
	case "importRecords":
		if status == 413 {
			body = strings.Repeat("x", 1<<20+1)
		}
	}
	a.do(r.method, path, body, headers...).want(status)
}

// oauthOperations are those whose client authenticates in the form.
var oauthOperations = map[string]bool{"token": true, "introspect": true, "revoke": true}

func (f *fixture) tokenBody(id string, status int, body string) string {
	switch status {
	case 401:
		return body + "&client_id=invoicing&client_secret=wrong"
	case 400:
		return "grant_type=client_credentials&client_id=invoicing&client_secret=right&scope=all"
	case 413:
		return body
	}
	body = "grant_type=client_credentials&client_id=invoicing&client_secret=right"
	if id != "token" {
		body += "&token=" + f.token
	}
	return body
}

// TestErrorTable checks that the table is one: no code twice, no error behind
// one that it is.
func TestErrorTable(t *testing.T) {
	codes := map[string]bool{}
	for i, row := range outcomes {
		if codes[row.code] && row.code != "timeout" {
			t.Errorf("the code %s is there twice", row.code)
		}
		codes[row.code] = true
		for _, earlier := range outcomes[:i] {
			if errors.Is(row.err, earlier.err) {
				t.Errorf("%v is never reached: it is a %v", row.err, earlier.err)
			}
		}
		if row.retryAfter > 0 != row.retryable {
			t.Errorf("%s: retryable without a time, or the reverse", row.code)
		}
	}
}

func TestEverySentinelHasItsRow(t *testing.T) {
	f := newScripted(t)
	cases := map[string]error{
		"forbidden": store.ErrForbidden, "not_found": store.ErrNotFound, "exists": store.ErrExists,
		"precondition_failed": store.ErrPrecondition, "unique_conflict": &store.UniqueConflict{Path: "email"},
		"conflict": store.ErrConflict, "integrity": store.ErrIntegrity, "key_service_unavailable": store.ErrKeyServiceUnavailable,
		"key_refused": store.ErrKeyRefused, "integration_deleted": store.ErrDisabled, "idempotency_mismatch": store.ErrIdempotencyMismatch,
		"idempotency_in_flight": store.ErrIdempotencyInFlight, "audit_unavailable": store.ErrAuditUnavailable,
		"not_persisted": store.ErrNotPersisted, "outcome_unknown": store.ErrOutcomeUnknown, "cursor": store.ErrCursor,
		"busy": store.ErrBusy, "secret_replayed": &store.SecretReplayed{SecretID: "sec-9"}, "invalid": &store.Invalid{},
		"internal": errors.New("some marker-7f3a from inside"),
	}
	for code, err := range cases {
		f.script.err = fmt.Errorf("operation marker-7f3a: %w", err)
		a := f.me().do("POST", "/v1/integrations/a/collections/b/records", `{"fields":{}}`)
		i := slices.IndexFunc(outcomes, func(o outcome) bool { return o.code == code })
		a.refused(outcomes[i].status, code)
		if strings.Contains(a.body, "marker-7f3a") {
			t.Errorf("%s: the answer tells what wrapped the error", code)
		}
		if after := a.Header.Get("Retry-After"); (after != "") != outcomes[i].retryable {
			t.Errorf("%s: Retry-After %q", code, after)
		}
	}
}

func TestProblemsTellTheirData(t *testing.T) {
	f := newScripted(t)
	post := func(headers ...string) answer {
		return f.me().do("POST", "/v1/integrations/a/collections/b/records", `{"fields":{}}`, headers...)
	}
	f.script.err = &store.UniqueConflict{Path: "email"}
	post().refused(409, "unique_conflict", "/fields/email")
	f.script.err = &store.FieldsForbidden{Pointers: []string{"/fields/card", "/labels/owner"}}
	post().refused(403, "forbidden", "/fields/card", "/labels/owner")
	f.script.err = &store.SecretReplayed{SecretID: "sec-9"}
	post().refused(409, "secret_replayed").has(`"secret_id":"sec-9"`)
	f.script.err = store.ErrOutcomeUnknown
	post().refused(503, "outcome_unknown").has(`"retryable":false`)
	post("Idempotency-Key", "k").refused(503, "outcome_unknown").has(`"retryable":true`)
}

func TestPanicsAreAnsweredAndNotTold(t *testing.T) {
	f := newScripted(t)
	for _, value := range []any{"marker-7f3a", errors.New("marker-7f3a")} {
		f.script.panics = value
		f.me().do("GET", "/v1/roles", "").refused(500, "internal")
	}
	if log := f.log.text(); strings.Contains(log, "marker-7f3a") || !strings.Contains(log, "called") {
		t.Errorf("the log must have the stack and not the value: %s", log)
	}
}
