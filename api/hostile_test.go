package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// attack is a server over a real store at which everything is thrown.
type attack struct {
	*house
	sent, kept, refused int
}

// besieged makes a store that the examples of the document fit.
func besieged(t *testing.T) *attack {
	t.Helper()
	if testing.Short() {
		t.Skip("sends some ten thousand requests")
	}
	h := newHouse(t)
	h.root.do("PUT", "/v1/integrations/acme-crm", `{}`).want(201)
	h.root.do("PUT", "/v1/integrations/acme-crm/collections/acme-crm", `{"schema":{"type":"object","properties":{
		"email":{"type":"string","x-index":"unique"},"card":{"type":"string"},
		"customer":{"type":"object","properties":{"email":{"type":"string","x-field":true}}}}},"undelete_for":"0s"}`).want(201)
	h.root.do("PUT", "/v1/roles/acme-crm", `{"rules":[]}`).want(201)
	h.root.do("PUT", "/v1/clients/acme-crm", `{"roles":[]}`).want(201)
	h.root.do("PUT", "/v1/integrations/acme-crm/collections/acme-crm/records/rec-1", `{"fields":{"email":"first@example.org"}}`).want(201)
	return &attack{house: h}
}

// target is an operation and a base request that is valid.
type target struct {
	request
	op map[string]any
}

// targets returns the operations of the document. Those that destroy are aimed
// at things that are not there, and what changes a schema at one that nothing
// else needs.
func targets() []target {
	var all []target
	for _, r := range theContract.requests() {
		_, op := theContract.operation(r.method, strings.SplitN(r.path, "?", 2)[0])
		switch {
		case r.method == "DELETE":
			r.path = strings.NewReplacer("acme-crm", "gone", "rec-1", "gone").Replace(r.path)
		case r.id == "putCollection" || r.id == "validateCollection":
			r.path = strings.Replace(r.path, "collections/acme-crm", "collections/scratch", 1)
		case r.id == "backup":
			continue // its one member is thrown at in a test of its own: a good answer is the whole store
		}
		all = append(all, target{r, op})
	}
	return all
}

// try sends one hostile request and checks what every answer must be.
func (a *attack) try(what, method, path, body string, repeats bool, headers ...string) answer {
	a.t.Helper()
	a.sent++
	who := a.root
	if strings.HasPrefix(path, "/oauth2/") {
		who = a.as("")
	}
	got := who.do(method, path, body, headers...)
	got.what = what
	switch {
	case got.StatusCode >= 500:
		a.t.Errorf("%s: status %d: %.300s", what, got.StatusCode, got.body)
	case got.StatusCode >= 400:
		a.refused++
		a.clear(got, repeats)
	}
	for name, values := range got.Header {
		for _, v := range values {
			if strings.Contains(v, taint) && name != "Location" || strings.ContainsAny(v, "\r\n\x00\x1b") || strings.EqualFold(name, "Set-Cookie") {
				a.t.Errorf("%s: the header %s repeats it", what, name)
			}
		}
	}
	return got
}

// clear checks that a refusal is one that a caller can understand, and repeats
// no value.
func (a *attack) clear(got answer, repeats bool) {
	a.t.Helper()
	var p struct{ Code, Title, Error string }
	if got.body != "" && (json.Unmarshal([]byte(got.body), &p) != nil || p.Code+p.Error == "") {
		a.t.Errorf("%s: status %d without a code: %.300s", got.what, got.StatusCode, got.body)
	}
	if !repeats && strings.Contains(got.body, taint) {
		a.t.Errorf("%s: the refusal repeats the value: %.300s", got.what, got.body)
	}
	if len(got.body) > 32<<10 {
		a.t.Errorf("%s: a refusal of %d bytes", got.what, len(got.body))
	}
}

// TestHostileBodies puts every hostile value in the place of every member of
// every body that the document tells of.
func TestHostileBodies(t *testing.T) {
	a := besieged(t)
	for _, r := range targets() {
		if r.media == "" || r.media == mediaForm {
			continue
		}
		schema := theContract.resolve(r.op["requestBody"].(map[string]any)["content"].(map[string]any)[r.media].(map[string]any)["schema"])
		base := map[string]any{}
		first, _, _ := bytes.Cut(r.body, []byte("\n"))
		if err := json.Unmarshal(first, &base); err != nil {
			t.Fatalf("%s: %v", r.id, err)
		}
		sites := sitesOf(schema, nil)
		if len(sites) == 0 {
			t.Errorf("%s: no member was found in its body", r.id)
		}
		for _, s := range sites {
			a.throwAt(r, base, s)
		}
	}
	t.Logf("%d requests, %d refused, %d came back as they were sent", a.sent, a.refused, a.kept)
	if a.sent < 5000 || a.kept < 100 || a.refused < 2000 {
		t.Errorf("%d sent, %d kept, %d refused: the suite lost its targets", a.sent, a.kept, a.refused)
	}
	a.aftermath()
}

func (a *attack) throwAt(r target, base map[string]any, s site) {
	for name, text := range hostileTexts {
		quoted, _ := json.Marshal(text)
		what := fmt.Sprintf("%s %s: %s", r.id, s, name)
		body := s.put(base, text, string(quoted))
		got := a.try(what, r.method, r.path, body, s.isName, "Content-Type", r.media)
		a.comesBack(r, got, text)
	}
	if s.isName {
		return
	}
	for name, value := range hostileValues {
		body := s.put(base, "", value)
		// In a list of objects this one makes another object, with a name in it.
		names := name == "more behind"
		a.try(fmt.Sprintf("%s %s: %s", r.id, s, name), r.method, r.path, body, names, "Content-Type", r.media)
	}
}

// comesBack checks that what was stored is what was sent.
func (a *attack) comesBack(r target, got answer, text string) {
	a.t.Helper()
	path := r.path
	switch {
	case got.StatusCode >= 300, text == "": // a text that is empty may be none
		return
	case got.Header.Get("Location") != "":
		path = got.Header.Get("Location")
	case r.id == "upsertRecord":
		path = strings.Replace(r.path, ":upsert", "/"+got.text("id"), 1)
	case r.method != "PUT" && r.method != "PATCH":
		return
	}
	if _, op := theContract.operation("GET", path); op == nil {
		return
	}
	back := a.root.do("GET", path, "")
	back.want(200)
	var value any
	if err := json.Unmarshal([]byte(back.body), &value); err != nil || !holds(value, text) {
		a.t.Errorf("%s: was accepted, and does not come back as it was: %.300s", got.what, back.body)
	}
	a.kept++
}

// holds reports whether a JSON value has a string, or a member's name, that is
// exactly this text, or a path of fields that names it.
func holds(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return holds(item, text) })
	case map[string]any:
		for name, member := range v {
			if name == text || holds(member, text) {
				return true
			}
		}
	}
	return false
}

// TestHostileAddresses puts every hostile text in the place of every parameter.
func TestHostileAddresses(t *testing.T) {
	a := besieged(t)
	for _, r := range targets() {
		parameters, _ := r.op["parameters"].([]any)
		for _, p := range parameters {
			parameter := theContract.at(strings.TrimPrefix(p.(map[string]any)["$ref"].(string), "#"))
			for name, text := range hostileTexts {
				a.throwParameter(r, parameter, name, text)
			}
		}
	}
	for _, header := range []string{"Authorization", "Content-Type", "Accept", "Accept-Encoding", "Content-Encoding", "User-Agent", "Cookie", "X-Request-Id",
		"Traceparent", "Tracestate", "Baggage", "X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Original-Url", "X-Http-Method-Override", "Range", "Referer", "Expect"} {
		for name, text := range hostileTexts {
			a.throwHeader(target{request: request{id: header, method: "GET", path: "/v1/roles/acme-crm"}}, header, name, text)
		}
	}
	t.Logf("%d requests, %d refused", a.sent, a.refused)
	if a.sent < 5000 || a.refused < 3000 {
		t.Errorf("%d sent, %d refused: the suite lost its targets", a.sent, a.refused)
	}
	a.aftermath()
}

func (a *attack) throwParameter(r target, parameter map[string]any, name, text string) {
	what := fmt.Sprintf("%s, %s: %s", r.id, parameter["name"], name)
	path, query, _ := strings.Cut(r.path, "?")
	if query != "" {
		query += "&"
	}
	if len(text) > 8000 {
		text = text[:8000]
	}
	switch parameter["in"] {
	case "path":
		a.try(what, r.method, replaceParameter(r, parameter["name"].(string), url.PathEscape(text)), string(r.body), false, "Content-Type", r.media)
	case "query":
		if parameter["name"] == "label" {
			a.try(what, r.method, path+"?"+query+"label.owner="+url.QueryEscape(text), string(r.body), false, "Content-Type", r.media)
			a.try(what, r.method, path+"?"+query+"label."+url.QueryEscape(text)+"=a", string(r.body), false, "Content-Type", r.media)
			return
		}
		if strings.HasPrefix(query, parameter["name"].(string)+"=") {
			query = ""
		}
		a.try(what, r.method, path+"?"+query+parameter["name"].(string)+"="+url.QueryEscape(text), string(r.body), false, "Content-Type", r.media)
		a.try(what, r.method, path+"?"+query+url.QueryEscape(text)+"=a", string(r.body), false, "Content-Type", r.media)
	case "header":
		a.throwHeader(r, parameter["name"].(string), name, text)
	}
}

// throwHeader sends what a client can send; what none can is sent by
// TestHostileBytes.
func (a *attack) throwHeader(r target, header, name, text string) {
	if !httpguts.ValidHeaderFieldValue(text) || len(text) > 8000 {
		return
	}
	body := string(r.body)
	if header == "Content-Type" {
		header, body = "X-Content-Type", ""
	}
	headers := []string{"Content-Type", r.media, header, text}
	if header == "Authorization" && strings.HasPrefix(text, "eyJ") {
		headers[3] = "Bearer " + text
	}
	a.try(fmt.Sprintf("%s, header %s: %s", r.id, header, name), r.method, r.path, body, false, headers...)
}

// replaceParameter puts a text in the place of a path parameter's example.
func replaceParameter(r target, name, text string) string {
	template := strings.ReplaceAll(strings.TrimPrefix(r.pointer, "/paths/"), "~1", "/")
	template = template[:strings.LastIndexByte(template, '/')]
	template = strings.Replace(template, "{"+name+"}", text, 1)
	return strings.NewReplacer("{record}", "rec-1", "{field}", "email", "{secret}", "sec-1", "{integration}", "acme-crm",
		"{collection}", "acme-crm", "{client}", "acme-crm", "{role}", "acme-crm").Replace(template)
}

// TestHostileForms throws at token requests: members that are there, members
// that are not, and their names.
func TestHostileForms(t *testing.T) {
	a := besieged(t)
	for _, r := range targets() {
		if r.media != mediaForm {
			continue
		}
		schema := theContract.resolve(r.op["requestBody"].(map[string]any)["content"].(map[string]any)[r.media].(map[string]any)["schema"])
		names := slices.Collect(maps.Keys(schema["properties"].(map[string]any)))
		names = append(names, "scope", "client_assertion", "client_assertion_type", "assertion", "token", "resource", "audience")
		for _, member := range names {
			for name, text := range hostileTexts {
				form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"acme-crm"}, "client_secret": {"srs_none"}}
				form.Set(member, text)
				got := a.try(r.id+" "+member+": "+name, r.method, r.path, form.Encode(), false, "Content-Type", mediaForm)
				if got.StatusCode < 300 {
					t.Errorf("%s: a token was given", got.what)
				}
				form.Set(text, "a")
				a.try(r.id+", a name: "+name, r.method, r.path, form.Encode(), false, "Content-Type", mediaForm)
			}
		}
		for name, text := range hostileTexts {
			request, _ := http.NewRequest("GET", "https://x", nil)
			request.SetBasicAuth(url.QueryEscape(text), text)
			a.try(r.id+", Basic: "+name, r.method, r.path, "grant_type=client_credentials", false,
				"Content-Type", mediaForm, "Authorization", clipHeader(request.Header.Get("Authorization")))
		}
	}
	a.aftermath()
}

func clipHeader(value string) string { return value[:min(len(value), 8000)] }

// aftermath checks what was written while the attack went on: every line of the
// audit log is one JSON line, neither log moves a cursor, and the server's own
// log names no value.
func (a *attack) aftermath() {
	a.t.Helper()
	a.root.do("GET", "/v1/roles", "").want(200)
	log := a.log.text()
	if strings.Contains(log, taint) {
		i := strings.Index(log, taint)
		a.t.Errorf("the log names a value: %.300q", log[max(0, i-200):])
	}
	if strings.Contains(log, `"msg":"panic"`) {
		a.t.Error("a handler panicked")
	}
	a.onlyJSONLines("the log", []byte(log))
	files, err := filepath.Glob(filepath.Join(a.store.AuditDir, "*"))
	if err != nil || len(files) == 0 {
		a.t.Fatalf("no audit log: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			a.t.Fatal(err)
		}
		a.onlyJSONLines("the audit log", text)
	}
}

func (a *attack) onlyJSONLines(what string, text []byte) {
	a.t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if !json.Valid(line) || !utf8.Valid(line) {
			a.t.Errorf("%s has a line that is not JSON: %.300q", what, line)
		}
		if r, ok := moves(string(line)); ok {
			a.t.Errorf("%s has the raw character %U: %.300q", what, r, line)
		}
	}
	if err := lines.Err(); err != nil {
		a.t.Error(err)
	}
}

// moves returns a character that a terminal acts on, or that turns the order of
// what is read.
func moves(text string) (rune, bool) {
	for _, r := range text {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0, r >= 0x200e && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x61c:
			return r, true
		}
	}
	return 0, false
}
