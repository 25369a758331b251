package api

import (
	"strings"
	"testing"

	"strongroom/store"
)

const (
	someRecords = "/v1/integrations/acme-crm/collections/customers/records"
	someRecord  = someRecords + "/rec-1"
)

// marker stands where a value stands; it must never come back.
const marker = "marker-7f3a"

// TestStrictBodies sends bodies that are nearly right.
func TestStrictBodies(t *testing.T) {
	f := newScripted(t)
	deep := strings.Repeat(`{"a":`, 70) + `"` + marker + `"` + strings.Repeat("}", 70)
	cases := []struct{ name, method, path, body, pointer string }{
		{"empty object", "POST", someRecords, `{}`, "/fields"},
		{"not an object", "POST", someRecords, `["` + marker + `"]`, ""},
		{"unknown member", "POST", someRecords, `{"fields":{},"extra":"` + marker + `"}`, "/extra"},
		{"a member of another route", "PUT", someRecord, `{"fields":{},"id":"` + marker + `"}`, "/id"},
		{"a name in other letters", "POST", someRecords, `{"Fields":{"a":"` + marker + `"}}`, "/Fields"},
		{"duplicate member", "POST", someRecords, `{"fields":{"a":"` + marker + `"},"fields":{}}`, "/fields"},
		{"duplicate field", "POST", someRecords, `{"fields":{"a":"` + marker + `","a":1}}`, "/fields/a"},
		{"duplicate field in escapes", "POST", someRecords, `{"fields":{"a":1,"\u0061":"` + marker + `"}}`, "/fields/a"},
		{"duplicate below", "POST", someRecords, `{"fields":{"a":{"b":1,"b":"` + marker + `"}}}`, "/fields/a/b"},
		{"duplicate label", "POST", someRecords, `{"fields":{},"labels":{"a":"` + marker + `","a":"b"}}`, "/labels/a"},
		{"fields is null", "POST", someRecords, `{"fields":null}`, "/fields"},
		{"fields is a string", "POST", someRecords, `{"fields":"` + marker + `"}`, "/fields"},
		{"a label that is a number", "POST", someRecords, `{"fields":{},"labels":{"a":1}}`, "/labels/a"},
		{"a label that is null", "POST", someRecords, `{"fields":{},"labels":{"a":null}}`, "/labels/a"},
		{"labels are null", "POST", someRecords, `{"fields":{},"labels":null}`, "/labels"},
		{"a time that is none", "POST", someRecords, `{"fields":{},"erase_at":"` + marker + `"}`, "/erase_at"},
		{"a time that is a number", "POST", someRecords, `{"fields":{},"valid_until":1}`, "/valid_until"},
		{"an id that is a number", "POST", someRecords, `{"fields":{},"id":1}`, "/id"},
		{"an empty id", "POST", someRecords, `{"fields":{},"id":""}`, "/id"},
		{"two texts", "POST", someRecords, `{"fields":{}} {"fields":{"a":"` + marker + `"}}`, ""},
		{"cut off", "POST", someRecords, `{"fields":{"a":"` + marker, "/fields/a"},
		{"invalid UTF-8", "POST", someRecords, `{"fields":{"a":"` + marker + "\xff" + `"}}`, "/fields/a"},
		{"half a surrogate", "POST", someRecords, `{"fields":{"a":"` + marker + `\ud800"}}`, "/fields/a"},
		{"bare word", "POST", someRecords, `{"fields":{"a":` + marker + `}}`, "/fields/a"},
		{"a number with a leading zero", "POST", someRecords, `{"fields":{"a":007}}`, "/fields"},
		{"a trailing comma", "POST", someRecords, `{"fields":{"a":1},}`, ""},
		{"nested too deep", "POST", someRecords, `{"fields":` + deep + `}`, ""},
		{"patch, unknown member", "PATCH", someRecord, `{"revision":4}`, "/revision"},
		{"upsert without a key", "POST", someRecords + ":upsert", `{"fields":{}}`, "/key"},
		{"upsert, unknown way", "POST", someRecords + ":upsert", `{"key":"a","on_conflict":"` + marker + `","fields":{}}`, "/on_conflict"},
		{"rollback to nothing", "POST", someRecord + ":rollback", `{}`, "/revision"},
		{"rollback to a string", "POST", someRecord + ":rollback", `{"revision":"` + marker + `"}`, "/revision"},
		{"rollback to minus one", "POST", someRecord + ":rollback", `{"revision":-1}`, "/revision"},
		{"rollback to a fraction", "POST", someRecord + ":rollback", `{"revision":1.5}`, "/revision"},
		{"search for nothing", "POST", someRecords + ":search", `{"where":{}}`, "/where"},
		{"search without where", "POST", someRecords + ":search", `{}`, "/where"},
		{"search for a list", "POST", someRecords + ":search", `{"where":["` + marker + `"]}`, "/where"},
		{"search, duplicate field", "POST", someRecords + ":search", `{"where":{"a":"` + marker + `","a":2}}`, "/where/a"},
		{"search, null label", "POST", someRecords + ":search", `{"where":{"a":1},"labels":{"b":null}}`, "/labels/b"},
		{"search, too many", "POST", someRecords + ":search", `{"where":{"a":1},"limit":1001}`, "/limit"},
		{"search, null limit", "POST", someRecords + ":search", `{"where":{"a":1},"limit":null}`, "/limit"},
		{"lookup, unknown member", "POST", someRecords + ":lookup", `{"where":{"a":1},"` + "labels" + `":{}}`, "/labels"},
		{"integration, unknown member", "PUT", "/v1/integrations/acme-crm", `{"uid":"` + marker + `"}`, "/uid"},
		{"integration, wrong type", "PUT", "/v1/integrations/acme-crm", `{"description":7}`, "/description"},
		{"collection, below", "PUT", "/v1/integrations/a/collections/b", `{"retention":{"days":1}}`, "/retention/days"},
		{"client, roles in a string", "PUT", "/v1/clients/a", `{"roles":"` + marker + `"}`, "/roles"},
		{"client, null role", "PUT", "/v1/clients/a", `{"roles":[null]}`, "/roles/0"},
		{"role, duplicate", "PUT", "/v1/roles/a", `{"rules":[],"rules":["` + marker + `"]}`, "/rules"},
		{"role, not an object", "PUT", "/v1/roles/a", `[]`, ""},
		{"secret, no duration", "POST", "/v1/clients/a/secrets", `{"ttl":"` + marker + `"}`, "/ttl"},
		{"secret, negative", "POST", "/v1/clients/a/secrets", `{"ttl":"-1h"}`, "/ttl"},
		{"backup, unknown member", "POST", "/v1/backups", `{"path":"` + marker + `"}`, "/path"},
	}
	for _, c := range cases {
		media := mediaJSON
		if c.method == "PATCH" {
			media = mediaMerge
		}
		a := f.me().do(c.method, c.path, c.body, "Content-Type", media)
		if a.StatusCode != 400 {
			t.Errorf("%s: status %d: %s", c.name, a.StatusCode, a.body)
			continue
		}
		if c.name == "nested too deep" {
			a.refused(400, "malformed_body").has("nested too deep")
		} else {
			a.refused(400, "malformed_body", c.pointer)
		}
		if strings.Contains(a.body, marker) {
			t.Errorf("%s: a value came back: %s", c.name, a.body)
		}
	}
	if strings.Contains(f.log.text(), marker) {
		t.Error("a value is in the log")
	}
	if f.script.ref != nil {
		t.Error("the store was asked")
	}
}

// TestStrictRequests sends requests whose path, query or headers are not right.
func TestStrictRequests(t *testing.T) {
	f := newScripted(t)
	body := `{"fields":{}}`
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code                     string
	}{
		{"unknown parameter", "GET", someRecord + "?" + marker + "=1", "", nil, 400, "malformed_request"},
		{"repeated parameter", "GET", someRecord + "?view=full&view=full", "", nil, 400, "malformed_request"},
		{"repeated in escapes", "GET", someRecord + "?view=full&v%69ew=full", "", nil, 400, "malformed_request"},
		{"parameter on a write", "PUT", someRecord + "?fields=a", body, nil, 400, "malformed_request"},
		{"bare question mark", "GET", "/v1/roles?", "", nil, 400, "malformed_request"},
		{"bad escape", "GET", someRecord + "?fields=%zz", "", nil, 400, "malformed_request"},
		{"bad UTF-8", "GET", someRecord + "?fields=%ff", "", nil, 400, "malformed_request"},
		{"semicolon", "GET", someRecord + "?view=full;revision=1", "", nil, 400, "malformed_request"},
		{"other view", "GET", someRecord + "?view=" + marker, "", nil, 400, "malformed_request"},
		{"fields in a view without", "GET", someRecord + "?view=metadata&fields=a", "", nil, 400, "malformed_request"},
		{"a field twice", "GET", someRecord + "?fields=a,a", "", nil, 400, "malformed_request"},
		{"no field", "GET", someRecord + "?fields=", "", nil, 400, "malformed_request"},
		{"revision 0", "GET", someRecord + "?revision=0", "", nil, 400, "malformed_request"},
		{"revision +1", "GET", someRecord + "?revision=%2B1", "", nil, 400, "malformed_request"},
		{"limit 0", "GET", someRecords + "?limit=0", "", nil, 400, "malformed_request"},
		{"limit 1001", "GET", someRecords + "?limit=1001", "", nil, 400, "malformed_request"},
		{"a label without a name", "GET", someRecords + "?label.=x", "", nil, 400, "malformed_request"},
		{"a time", "GET", someRecords + "?updated_after=" + marker, "", nil, 400, "malformed_request"},
		{"import, mode", "POST", someRecords + ":import?mode=" + marker, "{}", []string{"Content-Type", mediaNDJSON}, 400, "malformed_request"},
		{"import, upsert without key", "POST", someRecords + ":import?mode=upsert", "{}", []string{"Content-Type", mediaNDJSON}, 400, "malformed_request"},
		{"import, key without upsert", "POST", someRecords + ":import?key=a", "{}", []string{"Content-Type", mediaNDJSON}, 400, "malformed_request"},
		{"delete unconfirmed", "DELETE", "/v1/integrations/acme", "", nil, 400, "confirmation_required"},
		{"delete confirmed with another name", "DELETE", "/v1/integrations/acme?confirm=acm", "", nil, 400, "confirmation_required"},
		{"delete, now or not", "DELETE", "/v1/integrations/acme?confirm=acme&now=yes", "", nil, 400, "malformed_request"},
		{"no media type", "POST", someRecords, body, []string{"Content-Type", ""}, 415, "unsupported_media_type"},
		{"other media type", "POST", someRecords, body, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"other charset", "POST", someRecords, body, []string{"Content-Type", "application/json; charset=utf-16"}, 415, "unsupported_media_type"},
		{"patch as plain JSON", "PATCH", someRecord, body, nil, 415, "unsupported_media_type"},
		{"compressed", "POST", someRecords, body, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
		{"a body where none is taken", "DELETE", someRecord, "{}", nil, 400, "malformed_body"},
		{"a body on undelete", "POST", someRecord + ":undelete", "{}", nil, 400, "malformed_body"},
		{"bad If-Match", "PUT", someRecord, body, []string{"If-Match", "3"}, 400, "malformed_request"},
		{"If-None-Match of a change", "PUT", someRecord, body, []string{"If-None-Match", `"3"`}, 400, "malformed_request"},
		{"bad If-None-Match", "GET", someRecord, "", []string{"If-None-Match", "3"}, 400, "malformed_request"},
		{"long Idempotency-Key", "PUT", someRecord, body, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "malformed_request"},
		{"blank in Idempotency-Key", "PUT", someRecord, body, []string{"Idempotency-Key", "a b"}, 400, "malformed_request"},
		{"Idempotency-Key on expunge", "POST", someRecord + ":expunge", "", []string{"Idempotency-Key", "a"}, 400, "malformed_request"},
		{"no token", "GET", someRecord, "", []string{"Authorization", ""}, 401, "token_required"},
		{"other scheme", "GET", someRecord, "", []string{"Authorization", "Basic " + marker}, 401, "token_required"},
		{"bad token", "GET", someRecord, "", []string{"Authorization", "Bearer " + marker}, 401, "invalid_token"},
		{"no such route", "GET", "/v1/" + marker, "", nil, 404, "no_route"},
		{"double slash", "GET", "/v1//roles", "", nil, 404, "no_route"},
		{"dots", "GET", "/v1/clients/../roles", "", nil, 404, "no_route"},
		{"slash at the end", "GET", "/v1/roles/", "", nil, 404, "no_route"},
		{"no such action", "POST", someRecord + ":burn", "", nil, 404, "no_route"},
		{"method", "POST", someRecord, body, nil, 405, "method_not_allowed"},
		{"invented method", "BREW", "/v1/roles", "", nil, 405, "method_not_allowed"},
	}
	for _, c := range cases {
		a := f.me().do(c.method, c.path, c.body, c.headers...)
		if a.StatusCode != c.status {
			t.Errorf("%s: status %d: %s", c.name, a.StatusCode, a.body)
			continue
		}
		a.refused(c.status, c.code)
		if strings.Contains(a.body, marker) {
			t.Errorf("%s: what was sent came back: %s", c.name, a.body)
		}
	}
	if strings.Contains(f.log.text(), marker) {
		t.Error("what was sent is in the log")
	}
}

func TestMethodsAndHeaders(t *testing.T) {
	f := newScripted(t)
	me := f.me()
	me.do("POST", someRecord, "{}").header("Allow", "GET, HEAD, PUT, PATCH, DELETE")
	me.do("PATCH", someRecord, "{}").header("Accept-Patch", mediaMerge)
	me.do("POST", someRecords, "x", "Content-Type", "a/b").header("Accept-Post", mediaJSON)
	f.as("").do("GET", someRecord, "").header("WWW-Authenticate", `Bearer realm="strongroom"`)
	me.do("GET", someRecord, "", "Authorization", "Bearer x").header("WWW-Authenticate", `Bearer realm="strongroom", error="invalid_token"`)
	get := me.do("GET", someRecord, "")
	head := me.do("HEAD", someRecord, "").want(200).header("Content-Length", get.Header.Get("Content-Length")).header("ETag", `"3-ab"`)
	if head.body != "" {
		t.Error("HEAD has a body")
	}
	get.header("Vary", "Authorization").header("X-Content-Type-Options", "nosniff").
		header("Strict-Transport-Security", "max-age=31536000").header("Content-Type", mediaJSON)
}

func TestRequestIDs(t *testing.T) {
	f := newScripted(t)
	me := f.me()
	me.do("GET", someRecord, "", "X-Request-Id", "abc_DEF-123").header("X-Request-Id", "abc_DEF-123")
	if f.script.caller.RequestID != "abc_DEF-123" {
		t.Errorf("the store was told %q", f.script.caller.RequestID)
	}
	for _, bad := range []string{marker + " ", "a b", "ü", strings.Repeat("a", 65), `"`} {
		if id := me.do("GET", someRecord, "", "X-Request-Id", bad).Header.Get("X-Request-Id"); len(id) != 32 {
			t.Errorf("for %q the id is %q", bad, id)
		}
	}
}

func TestCallerIsDescribed(t *testing.T) {
	f := newScripted(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f.me().do("GET", someRecord, "", "Traceparent", trace).want(200)
	who := f.script.caller
	if who.Client != "invoicing" || who.Address != "127.0.0.1" || who.TraceParent != trace || who.TokenID == "" {
		t.Errorf("the store was told %+v", who)
	}
	for _, bad := range []string{trace[1:], strings.ToUpper(trace), "ff" + trace[2:], "00-" + strings.Repeat("0", 32) + trace[35:], trace + "-x"} {
		f.me().do("GET", someRecord, "", "Traceparent", bad).want(200)
		if f.script.caller.TraceParent != "" {
			t.Errorf("traceparent %q was taken", bad)
		}
	}
}

func TestWriteOptions(t *testing.T) {
	f := newScripted(t)
	put := func(body string, headers ...string) store.WriteOptions {
		f.me().do("PUT", someRecord, body, headers...).want(200)
		return f.script.options.(store.WriteOptions)
	}
	o := put(`{"fields":{}}`, "If-Match", `"3-ab", "4", "x", W/"5"`, "Idempotency-Key", "k1")
	if len(o.IfMatch) != 4 || o.IfMatch[0] != 3 || o.IfMatch[1] != 4 || o.IfMatch[2] != 0 || o.IfMatch[3] != 0 {
		t.Errorf("If-Match became %v", o.IfMatch)
	}
	if o.IdempotencyKey != "k1" || !strings.HasPrefix(o.Route, "PUT /v1/integrations/{integration}") || len(o.Request) == 0 {
		t.Errorf("the key became %+v", o)
	}
	if o := put(`{"fields":{}}`, "If-Match", "*"); !o.Exists {
		t.Error("If-Match: * is lost")
	}
	if o := put(`{"fields":{}}`, "If-None-Match", "*"); !o.Absent {
		t.Error("If-None-Match: * is lost")
	}
	if o := put(`{"fields":{}}`); o.Request != nil || o.IfMatch != nil || o.Exists || o.Absent {
		t.Errorf("nothing became %+v", o)
	}
	same := func(a, b store.WriteOptions) bool { return string(a.Request) == string(b.Request) }
	first := put(`{"fields":{}}`, "Idempotency-Key", "k")
	if !same(first, put(`{"fields":{}}`, "Idempotency-Key", "k")) {
		t.Error("the same request differs")
	}
	if same(first, put(`{"fields":{"a":1}}`, "Idempotency-Key", "k")) || same(first, put(`{"fields":{}}`, "Idempotency-Key", "k", "If-Match", "*")) {
		t.Error("another request is the same")
	}
}
