package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The actors of the matrix. A reader, a writer and an owner, who may
// do all of both, hold a stored role over acme-*; the rest hold one built-in role
// each; anonymous has no token.
const (
	anonymous     = "anonymous"
	reader        = "reader"
	writer        = "writer"
	owner         = "owner"
	administrator = "administrator"
	operator      = "operator"
	auditor       = "auditor"
	approving     = "approver"
)

var (
	actors     = []string{anonymous, reader, writer, owner, administrator, operator, auditor, approving}
	everyone   = actors
	withToken  = actors[1:]
	describers = []string{reader, writer, owner, administrator, operator, auditor}
	managers   = []string{administrator}
	operators  = []string{operator}
	// keyWatchers may see how rotations stand.
	keyWatchers = []string{operator, auditor}
	readers     = []string{reader, owner}
	writers     = []string{writer, owner}
)

const aSchedulesBody = `{"rotation":{"integrations":["*"],"depth":"kek"},"every":"720h"}`

const (
	readerRules = `{"integrations":["acme-*"],"collections":["*"],"actions":["read","list","search","history","export"],"read":{"email":"clear","*":"clear","ssn":"none"},"search":["email"]}`
	writerRules = `{"integrations":["acme-*"],"collections":["*"],"actions":["create","update","rollback","import","delete","erase"],"write":["*"],"write_labels":["*"]}`
	ownerRules  = `{"integrations":["acme-*"],"collections":["*"],"actions":["read","list","search","history","export","create","update","rollback","import","delete","erase"],` +
		`"read":{"email":"clear","*":"clear"},"search":["email"],"write":["*"],"write_labels":["*"]}`
)

// entrance is one method of one route: a request that makes sense there, who is let
// through, and what who is let through gets. In the body and the query, {tag}
// is a word that no other request used.
type entrance struct {
	method, route string
	query, body   string
	media         string
	headers       []string
	open          []string
	want          []int
}

// within reports whether the entrance lies in an integration, so that it is tried
// in two of them.
func (d *entrance) within() bool { return strings.Contains(d.route, "{integration}") }

// entrances has every method of every route. TestMatrix fails for one that is not
// here.
var entrances = []entrance{
	{method: "GET", route: inRecord, open: readers, want: []int{200}},
	{method: "PUT", route: inRecord, body: `{"fields":{"email":"{tag}@b.example"}}`, open: writers, want: []int{200}},
	{method: "PATCH", route: inRecord, body: `{"fields":{"plan":"gold"}}`, media: mediaMerge, open: writers, want: []int{200}},
	{method: "DELETE", route: inRecord, open: writers, want: []int{200}},
	{method: "GET", route: inRecord + "/fields/{field}", open: readers, want: []int{200}},
	{method: "POST", route: inCollection + "/records", body: `{"fields":{"email":"{tag}@b.example"}}`, open: writers, want: []int{201}},
	{method: "GET", route: inCollection + "/records", open: readers, want: []int{200}},
	{method: "POST", route: inCollection + "/records:search", body: `{"where":{"email":"{tag}@b.example"}}`, open: readers, want: []int{200}},
	{method: "POST", route: inCollection + "/records:lookup", body: `{"where":{"email":"{tag}@b.example"}}`, open: readers, want: []int{404}},
	// An upsert tells whether there is such a record, so it needs search too.
	{method: "POST", route: inCollection + "/records:upsert", body: `{"key":"email","fields":{"email":"{tag}@b.example"}}`, open: []string{owner}, want: []int{201}},
	{method: "POST", route: inRecord + ":rollback", body: `{"revision":1}`, open: writers, want: []int{200}},
	{method: "POST", route: inRecord + ":undelete", open: writers, want: []int{200, 404, 409}},
	{method: "POST", route: inRecord + ":expunge", open: writers, want: []int{204}},
	{method: "GET", route: inRecord + "/revisions", open: readers, want: []int{200}},
	{method: "POST", route: inCollection + "/records:import", body: `{"fields":{"email":"{tag}@b.example"}}`, media: mediaNDJSON, open: writers, want: []int{200}},
	{method: "GET", route: inCollection + "/records:export", open: readers, want: []int{200}},

	{method: "GET", route: inCollection, open: describers, want: []int{200}},
	{method: "PUT", route: inCollection, body: customerSchema, open: managers, want: []int{200}},
	{method: "DELETE", route: inCollection, open: managers, want: []int{204}},
	{method: "POST", route: inCollection + ":validate", body: customerSchema, open: managers, want: []int{200}},
	{method: "GET", route: "/v1/integrations/{integration}/collections", open: describers, want: []int{200}},
	{method: "GET", route: "/v1/integrations/{integration}", open: describers, want: []int{200}},
	{method: "PUT", route: "/v1/integrations/{integration}", body: `{"description":"{tag}"}`, open: managers, want: []int{200}},
	{method: "DELETE", route: "/v1/integrations/{integration}", query: "?confirm={integration}", open: managers, want: []int{200}},
	{method: "POST", route: "/v1/integrations/{integration}:undelete", open: managers, want: []int{200, 409}},
	{method: "GET", route: "/v1/integrations", open: withToken, want: []int{200}},

	{method: "GET", route: "/v1/roles", open: []string{administrator, auditor}, want: []int{200}},
	{method: "GET", route: "/v1/roles/{role}", open: []string{administrator, auditor}, want: []int{200}},
	{method: "PUT", route: "/v1/roles/{role}", body: `{"rules":[]}`, open: managers, want: []int{200}},
	{method: "DELETE", route: "/v1/roles/{role}", open: managers, want: []int{204}},
	{method: "GET", route: "/v1/clients", open: []string{administrator, auditor}, want: []int{200}},
	{method: "GET", route: "/v1/clients/{client}", open: []string{administrator, auditor}, want: []int{200}},
	{method: "PUT", route: "/v1/clients/{client}", body: `{"roles":[]}`, open: managers, want: []int{200}},
	{method: "DELETE", route: "/v1/clients/{client}", open: managers, want: []int{204}},
	{method: "GET", route: "/v1/clients/{client}/secrets", open: []string{administrator, auditor}, want: []int{200}},
	{method: "POST", route: "/v1/clients/{client}/secrets", body: `{"ttl":"1h"}`, open: managers, want: []int{201}},
	{method: "DELETE", route: "/v1/clients/{client}/secrets/{secret}", open: managers, want: []int{204}},
	{method: "GET", route: "/v1/issuers", open: []string{administrator, auditor}, want: []int{200}},
	{method: "GET", route: "/v1/issuers/{issuer}", open: []string{administrator, auditor}, want: []int{200}},
	{method: "PUT", route: "/v1/issuers/{issuer}", body: `{"issuer":"https://{tag}.example","audiences":["a"],"rules":[{"claims":{"sub":"x"},"client":"{client}"}]}`, open: managers, want: []int{200}},
	{method: "DELETE", route: "/v1/issuers/{issuer}", open: managers, want: []int{204}},
	{method: "GET", route: "/v1/limits", open: []string{administrator, operator, auditor}, want: []int{200}},
	{method: "GET", route: "/v1/limits/{limit}", open: []string{administrator, operator, auditor}, want: []int{200}},
	{method: "PUT", route: "/v1/limits/{limit}", body: `{"per":"client","concurrency":1000}`, open: managers, want: []int{200}},
	{method: "DELETE", route: "/v1/limits/{limit}", open: managers, want: []int{204}},
	{method: "POST", route: "/v1/access:explain", body: `{"client":"{client}","integration":"acme-1","collection":"customers","action":"read"}`, open: []string{administrator, auditor}, want: []int{200}},

	{method: "GET", route: "/v1/governance", open: []string{administrator, auditor, approving}, want: []int{200}},
	{method: "PUT", route: "/v1/governance", body: `{"two_person":false}`, open: managers, want: []int{200}},
	{method: "GET", route: "/v1/changes", open: []string{administrator, auditor, approving}, want: []int{200}},
	{method: "GET", route: "/v1/changes/{change}", open: []string{administrator, auditor, approving}, want: []int{404}},
	{method: "POST", route: "/v1/changes/{change}:approve", open: []string{administrator, auditor, approving}, want: []int{404}},
	{method: "POST", route: "/v1/changes/{change}:reject", open: []string{administrator, auditor, approving}, want: []int{404}},
	{method: "POST", route: "/v1/changes/{change}:withdraw", open: []string{administrator, auditor, approving}, want: []int{404}},
	{method: "GET", route: "/v1/approvals", open: withToken, want: []int{200}},
	{method: "POST", route: "/v1/approvals", body: `{"purpose":"refund","integration":"acme-1","collection":"customers","records":["r-1"],"fields":["plan"]}`, open: readers, want: []int{422}},
	{method: "GET", route: "/v1/approvals/{approval}", open: withToken, want: []int{404}},
	{method: "POST", route: "/v1/approvals/{approval}:approve", open: withToken, want: []int{404}},
	{method: "POST", route: "/v1/approvals/{approval}:reject", open: withToken, want: []int{404}},
	{method: "POST", route: "/v1/approvals/{approval}:revoke", open: withToken, want: []int{404}},

	{method: "POST", route: "/v1/rotations", body: `{"integrations":["acme-*"],"depth":"kek","reason":"{tag}"}`, open: operators, want: []int{201, 409}},
	{method: "GET", route: "/v1/rotations", open: keyWatchers, want: []int{200}},
	{method: "GET", route: "/v1/rotations/{rotation}", open: keyWatchers, want: []int{404}},
	{method: "POST", route: "/v1/rotations/{rotation}:pause", open: operators, want: []int{404}},
	{method: "POST", route: "/v1/rotations/{rotation}:resume", open: operators, want: []int{404}},
	{method: "POST", route: "/v1/rotations/{rotation}:cancel", open: operators, want: []int{404}},
	{method: "POST", route: "/v1/rotations/{rotation}:rollback", open: operators, want: []int{404}},
	{method: "POST", route: "/v1/rotations/{rotation}:throttle", body: `{"rate":1}`, open: operators, want: []int{404}},
	{method: "GET", route: "/v1/rotations/{rotation}/report", open: keyWatchers, want: []int{404}},
	{method: "GET", route: "/v1/schedules", open: keyWatchers, want: []int{200}},
	{method: "GET", route: "/v1/schedules/{schedule}", open: keyWatchers, want: []int{200}},
	{method: "PUT", route: "/v1/schedules/{schedule}", body: aSchedulesBody, open: operators, want: []int{200}},
	{method: "DELETE", route: "/v1/schedules/{schedule}", open: operators, want: []int{204}},
	{method: "GET", route: "/v1/keys", open: operators, want: []int{200}},
	{method: "GET", route: "/v1/keys/{key}/records", open: operators, want: []int{200, 404}},
	{method: "POST", route: "/v1/erasures", body: `{"integration":"acme-1","collection":"customers","record":"no-such-record","level":"E1"}`, open: writers, want: []int{201}},
	{method: "GET", route: "/v1/erasures", open: keyWatchers, want: []int{200}},
	{method: "GET", route: "/v1/erasures/{erasure}", open: keyWatchers, want: []int{404}},
	{method: "POST", route: "/v1/erasures/{erasure}:resume", open: keyWatchers, want: []int{404}},
	{method: "GET", route: "/v1/erasures/{erasure}/certificate", open: keyWatchers, want: []int{404}},
	{method: "POST", route: "/v1/backups", open: operators, want: []int{200}},
	{method: "POST", route: "/v1/backups:confirm", body: `{"sequence":1,"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}`, open: operators, want: []int{409}},

	{method: "POST", route: "/oauth2/token", body: "grant_type=password", media: mediaForm, open: everyone, want: []int{400, 401}},
	{method: "POST", route: "/oauth2/introspect", body: "token={tag}", media: mediaForm, open: everyone, want: []int{401}},
	{method: "POST", route: "/oauth2/revoke", body: "token={tag}", media: mediaForm, open: everyone, want: []int{401}},
	{method: "GET", route: "/.well-known/oauth-authorization-server", open: everyone, want: []int{200}},
	{method: "GET", route: "/.well-known/jwks.json", open: everyone, want: []int{200}},
	{method: "GET", route: "/.well-known/attest-keys.json", open: everyone, want: []int{200}},
	{method: "GET", route: "/livez", open: everyone, want: []int{200}},
	{method: "GET", route: "/readyz", open: everyone, want: []int{200}},
	{method: "GET", route: "/openapi.json", open: everyone, want: []int{200}},
}

// TestMatrix tries every entrance as every actor, in its own integration and in
// another one, on what exists and on what does not. Whoever is not let through
// learns nothing: the refusal is the same for both.
func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	m.everyRouteHasAnEntrance()
	rows := 0
	for i := range entrances {
		d := &entrances[i]
		for _, who := range actors {
			for _, place := range placesOf(d) {
				t.Run(fmt.Sprintf("%s %s/%s/%s", d.method, d.route, who, place), func(t *testing.T) {
					rows++
					m.row(t, d, who, place)
				})
			}
		}
	}
	if rows < 300 {
		t.Errorf("the matrix has %d rows", rows)
	}
	t.Logf("%d rows", rows)
}

func placesOf(d *entrance) []string {
	if d.within() {
		return []string{"acme", "globex"}
	}
	return []string{"-"}
}

// matrix is a house with an actor a role, and what no row changes: the things
// that those who are refused ask for.
type matrix struct {
	*house
	actors map[string]actor
	tags   int
	fixed  map[string]map[string]string // by place
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{house: newHouse(t), actors: map[string]actor{}, fixed: map[string]map[string]string{}}
	m.actors[anonymous] = actor{m.fixture, ""}
	m.actors[reader] = m.hire(reader, readerRules)
	m.actors[writer] = m.hire(writer, writerRules)
	m.actors[owner] = m.hire(owner, ownerRules)
	for _, builtin := range []string{administrator, operator, auditor, approving} {
		name := builtin + "-client"
		m.root.do("PUT", "/v1/clients/"+name, `{"roles":["`+builtin+`"]}`).want(201)
		made := m.root.do("POST", "/v1/clients/"+name+"/secrets", `{"ttl":"1h"}`).want(201)
		m.actors[builtin] = m.as(m.signIn(name, made.text("client_secret")))
	}
	for _, place := range []string{"acme", "globex", "-"} {
		m.fixed[place] = m.furnished(place, "{issuer}{limit}{schedule}")
	}
	return m
}

// furnished makes one of everything that a route's path can name, with names
// that no other call used; issuers and limits, of which a store has few, for the
// routes that name them.
func (m *matrix) furnished(place, route string) map[string]string {
	m.tags++
	name := fmt.Sprintf("%s-%d", strings.Trim(place, "-"), m.tags)
	name = strings.TrimPrefix(name, "-")
	things := map[string]string{"integration": name, "collection": "customers", "record": "r-1", "field": "email", "role": "role-" + name, "client": "client-" + name,
		"issuer": "issuer-" + name, "limit": "limit-" + name, "change": "change-" + name, "approval": "approval-" + name,
		"rotation": "rotation-" + name, "schedule": "schedule-" + name, "erasure": "erasure-" + name, "key": "ffffffff"}
	m.root.do("PUT", "/v1/roles/role-"+name, `{"rules":[]}`).want(201)
	m.root.do("PUT", "/v1/clients/client-"+name, `{"roles":[]}`).want(201)
	things["secret"] = m.root.do("POST", "/v1/clients/client-"+name+"/secrets", `{"ttl":"1h"}`).want(201).text("secret_id")
	if strings.Contains(route, "{issuer}") {
		m.root.do("PUT", "/v1/issuers/issuer-"+name, `{"issuer":"https://`+name+`.example","audiences":["a"],"rules":[{"claims":{"sub":"x"},"client":"client-`+name+`"}]}`).want(201)
	}
	if strings.Contains(route, "{limit}") {
		m.root.do("PUT", "/v1/limits/limit-"+name, `{"per":"client","concurrency":100}`).want(201)
	}
	if strings.Contains(route, "{schedule}") {
		m.root.do("PUT", "/v1/schedules/schedule-"+name, aSchedulesBody).want(201)
	}
	if place != "-" {
		at := "/v1/integrations/" + name
		m.root.do("PUT", at, `{}`).want(201)
		m.root.do("PUT", at+"/collections/customers", customerSchema).want(201)
		m.root.do("PUT", at+"/collections/customers/records/r-1", `{"fields":{"email":"`+name+`@one.example","ssn":"078-05-1120"}}`).want(201)
		m.root.do("PUT", at+"/collections/customers/records/r-1", `{"fields":{"email":"`+name+`@two.example"}}`).want(200)
	}
	return things
}

func (m *matrix) row(t *testing.T, d *entrance, who, place string) {
	stored := who == reader || who == writer || who == owner
	lets := slices.Contains(d.open, who) && !(stored && place == "globex")
	things := m.fixed[place]
	if lets {
		things = m.furnished(place, d.route)
	}
	got := m.try(d, who, things)
	if lets {
		if !slices.Contains(d.want, got.StatusCode) {
			t.Fatalf("status %d, want %v: %s", got.StatusCode, d.want, got.body)
		}
		if stored && strings.Contains(got.body, "globex") {
			t.Errorf("it tells of another integration: %s", got.body)
		}
		return
	}
	status, code := http.StatusForbidden, "forbidden"
	if who == anonymous {
		status, code = http.StatusUnauthorized, "token_required"
	}
	if got.StatusCode != status || !strings.Contains(got.body, `"code":"`+code) {
		t.Fatalf("status %d, want %d %s: %s", got.StatusCode, status, code, got.body)
	}
	if stored && place == "acme" && d.within() {
		return // it may know what is there
	}
	for member := range things {
		if member == "field" || !strings.Contains(d.route, "{"+member+"}") {
			continue
		}
		absent := map[string]string{}
		for k, v := range things {
			absent[k] = v
		}
		absent[member] = things[member] + "-absent"
		if other := m.try(d, who, absent); told(t, other) != told(t, got) {
			t.Errorf("an absent %s is refused otherwise: %s and %s", member, other.body, got.body)
		}
	}
}

// try makes the entrance's request for these things.
func (m *matrix) try(d *entrance, who string, things map[string]string) answer {
	m.tags++
	tag := fmt.Sprintf("t-%d", m.tags)
	path := d.route + d.query
	for member, name := range things {
		path = strings.ReplaceAll(path, "{"+member+"}", name)
	}
	headers := d.headers
	if d.media != "" {
		headers = append([]string{"Content-Type", d.media}, headers...)
	}
	body := strings.ReplaceAll(strings.ReplaceAll(d.body, "{tag}", tag), "{client}", things["client"])
	return m.actors[who].do(d.method, path, body, headers...)
}

// told is what a refusal says, without what names the request.
func told(t *testing.T, a answer) string {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	delete(p, "request_id")
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(a.StatusCode, " ", a.Header.Get("WWW-Authenticate"), string(text))
}

// everyRouteHasAnEntrance holds the entrances against the routes of the server.
func (m *matrix) everyRouteHasAnEntrance() {
	m.t.Helper()
	listed := map[string]bool{}
	for _, d := range entrances {
		listed[d.method+" "+d.route] = true
	}
	for _, r := range m.server.tree {
		for _, e := range r.endpoints {
			if e.route == "/metrics" {
				continue // of the operations listener: see TestHealth
			}
			key := e.method + " " + e.route
			if !listed[key] {
				m.t.Errorf("%s has no entrance in the matrix: say who is let through", key)
			}
		}
	}
	for key := range listed {
		method, route, _ := strings.Cut(key, " ")
		if !slices.ContainsFunc(m.server.tree, func(r *resource) bool {
			return r.route == route && slices.ContainsFunc(r.endpoints, func(e *endpoint) bool { return e.method == method })
		}) {
			m.t.Errorf("the matrix has %s, which is no route", key)
		}
	}
}
