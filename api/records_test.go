package api

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/schema"
	"strongroom/store"
)

func TestReadIsAsDesigned(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("GET", someRecord, "").want(200).header("ETag", `"3-ab"`)
	want := `{"id":"rec-1","revision":3,"created_at":"2026-01-02T03:04:05.678Z","updated_at":"2026-01-02T03:04:05.678Z",` +
		`"labels":{"owner":"cust-42"},"fields":{"email":"ada@example.org","a/b":1.50},"masked":["card"],"withheld":[]}`
	if a.body != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	f.me().do("GET", someRecord, "", "If-None-Match", `"1", W/"3-ab"`).want(304)
	f.me().do("GET", someRecord, "", "If-None-Match", `"3-cd"`).want(200)
}

func TestReadOptions(t *testing.T) {
	f := newScripted(t)
	cases := map[string]store.ReadOptions{
		"":                           {},
		"?fields=a,b%2Cc,d%2Fe":      {Fields: []string{"a", "b,c", "d/e"}},
		"?revision=7":                {Revision: 7},
		"?revision=previous":         {Previous: true},
		"?view=metadata&revision=12": {Metadata: true, Revision: 12},
	}
	for query, want := range cases {
		f.me().do("GET", someRecord+query, "").want(200)
		if diff := cmp.Diff(want, f.script.options); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestListOptions(t *testing.T) {
	f := newScripted(t)
	f.me().do("GET", someRecords+"?label.owner=x&label.a=%20&updated_after=2026-01-01T00:00:00%2B02:00&fields=*&limit=5&cursor=abc", "").
		want(200).has(`"next_cursor":"abc"`).has(`"damaged":true`)
	want := store.ListOptions{Labels: map[string]string{"owner": "x", "a": " "}, AllFields: true, Limit: 5, Cursor: "abc",
		UpdatedAfter: time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC)}
	got := f.script.options.(store.ListOptions)
	got.UpdatedAfter = got.UpdatedAfter.UTC()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.me().do("GET", someRecords, "").want(200).has(`"next_cursor":null`)
	if diff := cmp.Diff(store.ListOptions{Limit: 100}, f.script.options); diff != "" {
		t.Error(diff)
	}
}

func TestFieldIsRaw(t *testing.T) {
	f := newScripted(t)
	cases := []struct {
		value       store.FieldValue
		media, body string
	}{
		{store.FieldValue{JSON: []byte(`"a\n\"ü\""`)}, "text/plain; charset=utf-8", "a\n\"ü\""},
		{store.FieldValue{JSON: []byte(`""`)}, "text/plain; charset=utf-8", ""},
		{store.FieldValue{JSON: []byte(`"AP8="`), Base64: true}, "application/octet-stream", "\x00\xff"},
		{store.FieldValue{JSON: []byte(`"***"`), Base64: true, Masked: true}, "text/plain; charset=utf-8", "***"},
		{store.FieldValue{JSON: []byte(`1.50`)}, mediaJSON, "1.50"},
		{store.FieldValue{JSON: []byte(`{"a":null}`)}, mediaJSON, `{"a":null}`},
	}
	for _, c := range cases {
		f.script.field = c.value
		a := f.me().do("GET", someRecord+"/fields/customer/e%20mail", "").want(200).header("Content-Type", c.media)
		if a.body != c.body {
			t.Errorf("%s became %q", c.value.JSON, a.body)
		}
		if masked := a.Header.Get("Strongroom-Masked") == "true"; masked != c.value.Masked {
			t.Errorf("%s: masked is %v", c.value.JSON, masked)
		}
		if f.script.ref != "customer/e mail" {
			t.Errorf("the field became %v", f.script.ref)
		}
	}
	f.script.field.ETag = `"3-ab"`
	f.me().do("GET", someRecord+"/fields/a", "", "If-None-Match", `"3-ab"`).want(304)
}

func TestNestedFieldsArePutBack(t *testing.T) {
	r := &store.Record{ID: "r", HasFields: true, Fields: []schema.Value{{Path: "customer", JSON: []byte(`{"name":"x"}`)}}}
	if text := string(appendRecord(nil, r)); !strings.Contains(text, `"fields":{"customer":{"name":"x"}}`) {
		t.Error(text)
	}
}

func TestRecordInput(t *testing.T) {
	f := newScripted(t)
	f.me().do("POST", someRecords, ` {"id":"r-1","fields":{"a" : 1.50},"labels":{"x":"\u00fc","y":""},"valid_until":"2030-01-01T00:00:00Z","erase_at":null} `).
		want(201).header("Location", someRecords+"/rec-1")
	want := store.RecordInput{ID: "r-1", Fields: []byte(`{"a" : 1.50}`), Labels: map[string]string{"x": "ü", "y": ""}, SetLabels: true,
		ValidUntil: store.TimeChange{Given: true, Time: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, EraseAt: store.TimeChange{Given: true}}
	if diff := cmp.Diff(want, f.script.input); diff != "" {
		t.Error(diff)
	}
	f.me().do("PATCH", someRecord, `{"labels":{"x":null,"y":"z"}}`, "Content-Type", mediaMerge).want(200)
	z := "z"
	if diff := cmp.Diff(store.RecordInput{PatchLabels: map[string]*string{"x": nil, "y": &z}}, f.script.input); diff != "" {
		t.Error(diff)
	}
	f.me().do("PUT", someRecord, `{"fields":{},"labels":{}}`).want(200)
	if !f.script.input.SetLabels || len(f.script.input.Labels) != 0 {
		t.Errorf("empty labels became %+v", f.script.input)
	}
}

func TestSearchInput(t *testing.T) {
	f := newScripted(t)
	f.me().do("POST", someRecords+":search", `{"where":{"b/c":1.50,"a":"x"},"fields":["d"],"limit":3}`).want(200)
	want := store.SearchOptions{Where: []schema.Value{{Path: "b/c", JSON: []byte("1.50")}, {Path: "a", JSON: []byte(`"x"`)}}, Fields: []string{"d"}, Limit: 3}
	if diff := cmp.Diff(want, f.script.options); diff != "" {
		t.Error(diff)
	}
}

func TestSecretIsShownOnceAndNeverLogged(t *testing.T) {
	f := newScripted(t)
	f.me().do("POST", "/v1/clients/invoicing/secrets", `{"ttl":"24h"}`).want(201).has(`"client_secret":"shown-once"`).has(`"expires_at":null`).
		header("Location", "/v1/clients/invoicing/secrets/sec-1")
	if f.script.ref != 24*time.Hour {
		t.Errorf("ttl became %v", f.script.ref)
	}
	f.me().do("POST", "/v1/clients/invoicing/secrets", "").want(201)
	if log := f.log.text(); strings.Contains(log, "shown-once") || strings.Contains(log, f.token) || strings.Contains(log, "right") {
		t.Error("the log has a secret or a token")
	}
}

func TestDefinitionsHaveVersions(t *testing.T) {
	f := newScripted(t)
	f.me().do("GET", "/v1/roles/billing-reader", "").want(200).header("ETag", `"6"`).has(`"rules":[{`)
	f.me().do("GET", "/v1/roles/billing-reader", "", "If-None-Match", `"6"`).want(304)
	f.script.put.Warnings = []string{"a path that no schema declares"}
	f.me().do("PUT", "/v1/roles/billing-reader", `{"rules":[]}`, "If-Match", `"6"`).want(200).has(`"warnings":["a path`)
	if p := f.script.options.(store.Precondition); len(p.IfMatch) != 1 || p.IfMatch[0] != 6 {
		t.Errorf("If-Match became %+v", p)
	}
	f.script.put.Created = true
	f.me().do("PUT", "/v1/clients/invoicing", `{"roles":[]}`).want(201).header("Location", "/v1/clients/invoicing").header("ETag", `"7"`)
}

func TestHealth(t *testing.T) {
	f := newScripted(t)
	f.script.reasons = []store.Reason{{Code: "key_service", Detail: "since 12:00", Degraded: true}}
	if a := f.as("").do("GET", "/readyz", "").want(200); a.body != `{"status":"degraded"}` {
		t.Errorf("the API tells %s", a.body)
	}
	resp, err := f.ops.Client().Get(f.ops.URL + "/readyz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err, resp)
	}
	var b strings.Builder
	resp.Write(&b)
	if !strings.Contains(b.String(), `"detail":"since 12:00"`) {
		t.Errorf("the operations listener tells %s", b.String())
	}
	f.as("").do("GET", "/metrics", "").want(200).has(`strongroom_degraded{code="key_service"} 1`).has(`route="/oauth2/token"`)
	f.server.draining.Store(true)
	f.as("").do("GET", "/readyz", "").want(503).has("draining")
}
