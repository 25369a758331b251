package api

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/limits"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/storetest"
)

// house is a server over a real store: bbolt on disk, keys in memory. Its root
// has every role there is.
type house struct {
	*fixture
	store   *storetest.Fixture
	manager *rotate.Manager
	root    actor
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return newHouseBehind(t, nil)
}

// newHouseBehind is one behind a gate; nil: nothing is limited.
func newHouseBehind(t testing.TB, gate *limits.Gate) *house {
	t.Helper()
	o := storetest.Options{}
	if gate != nil {
		o.Counting = gate
	}
	h := &house{fixture: &fixture{t: t, log: &lockedBuffer{}, gate: gate}, store: storetest.OpenWith(t, o)}
	jobs, keys, erasures := h.jobs()
	h.serve(h.store.Store, h.store.Store, jobs, keys, erasures)
	ctx, root := t.Context(), h.store.Root()
	if _, _, err := h.store.PutClient(ctx, root, "root", store.ClientSpec{Roles: access.Builtins()}, store.Precondition{}); err != nil {
		t.Fatal(err)
	}
	made, err := h.store.CreateSecret(ctx, root, "root", time.Hour, store.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.root = h.as(h.signIn("root", made.Secret.Reveal()))
	return h
}

// jobs makes the manager of rotations, which carries nothing on unless it is
// run.
func (h *house) jobs() (*rotate.Manager, *rotate.Inventory, *rotate.Erasures) {
	erasures := rotate.NewErasures(rotate.ErasureOptions{Store: h.store.Store, Compact: func(context.Context) error { return nil }})
	h.manager = rotate.New(rotate.Options{Store: rotate.Of(h.store.Store), Logger: slog.New(slog.DiscardHandler), Kinds: []rotate.Kind{erasures}})
	return h.manager, &rotate.Inventory{Store: h.store.Store, Schedules: h.manager.ListSchedules, Now: time.Now, Periods: rotate.Cryptoperiods{KEK: time.Hour, Wrapping: time.Hour, Index: time.Hour}}, erasures
}

const (
	acme      = "/v1/integrations/acme-crm"
	customers = acme + "/collections/customers"
)

const customerSchema = `{"schema":{"type":"object","additionalProperties":false,"required":["email"],"properties":{
	"email":{"type":"string","x-index":"unique","x-mask":"email"},
	"card":{"type":"string","x-mask":"last4"},"ssn":{"type":"string","x-sensitivity":"high"},"plan":{"type":"string","x-index":"exact"},
	"balance":{"type":"number"}}},"undelete_for":"24h"}`

// furnish makes an integration with a collection.
func (h *house) furnish() {
	h.t.Helper()
	h.root.do("PUT", acme, `{"description":"CRM of Acme"}`).want(201)
	h.root.do("PUT", customers, customerSchema).want(201)
}

// hire makes a client with a role of its own and returns it, signed in.
func (h *house) hire(name, rules string) actor {
	h.t.Helper()
	h.root.do("PUT", "/v1/roles/"+name, `{"rules":[`+rules+`]}`).want(200, 201)
	h.root.do("PUT", "/v1/clients/"+name, `{"roles":["`+name+`"]}`).want(200, 201)
	made := h.root.do("POST", "/v1/clients/"+name+"/secrets", `{"ttl":"1h"}`).want(201)
	return h.as(h.signIn(name, made.text("client_secret")))
}

func TestStoryOfAServiceThatReadsItsFields(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	made := h.root.do("POST", customers+"/records",
		`{"id":"cust-1","fields":{"email":"ada@example.org","card":"4242424242424242","ssn":"078-05-1120","balance":1.50},"labels":{"owner":"cust-42"}}`).want(201)
	place := made.Header.Get("Location")
	service := h.hire("billing", `{"integrations":["acme-*"],"collections":["customers"],"actions":["read","list"],"read":{"email":"mask:email","card":"none","*":"clear"}}`)
	read := service.do("GET", place, "").want(200).has(`"balance":1.50`).has(`"labels":{"owner":"cust-42"}`).has(`"masked":["email"]`)
	for _, hidden := range []string{"ada@example.org", "4242424242424242", "078-05-1120"} {
		if strings.Contains(read.body, hidden) {
			t.Errorf("the service sees %s: %s", hidden, read.body)
		}
	}
	service.do("GET", place, "", "If-None-Match", read.Header.Get("ETag")).want(304)
	service.do("GET", place+"/fields/balance", "").want(200).has("1.50").header("Content-Type", mediaJSON)
	service.do("GET", place+"/fields/email", "").want(200).header("Strongroom-Masked", "true")
	service.do("PUT", place, `{"fields":{"email":"a@b.c"}}`).refused(403, "forbidden")
	service.do("GET", "/v1/clients", "").refused(403, "forbidden")

	stranger := h.hire("stranger", `{"integrations":["other"],"collections":["*"],"actions":["read"],"read":{"*":"clear"}}`)
	for _, path := range []string{place, customers + "/records/absent", acme + "/collections/absent/records/r"} {
		stranger.do("GET", path, "").refused(403, "forbidden")
	}
	if log := h.log.text(); strings.Contains(log, "ada@") || strings.Contains(log, "42424242") || strings.Contains(log, "cust-42") {
		t.Error("a value is in the log")
	}
}

func TestStoryOfARecord(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	root := h.root
	one := customers + "/records/cust-1"
	root.do("PUT", one, `{"fields":{"email":"ada@example.org","plan":"gold"}}`, "If-None-Match", "*").want(201)
	root.do("PUT", one, `{"fields":{"email":"ada@example.org"}}`, "If-None-Match", "*").refused(412, "precondition_failed")
	tag := root.do("GET", one, "").want(200).Header.Get("ETag")
	root.do("PATCH", one, `{"fields":{"plan":"silver"},"labels":{"region":"eu"}}`, "Content-Type", mediaMerge, "If-Match", tag).want(200)
	root.do("PATCH", one, `{"fields":{"plan":"lead"}}`, "Content-Type", mediaMerge, "If-Match", tag).refused(412, "precondition_failed")
	root.do("GET", one, "").want(200).has(`"region":"eu"`).has(`"revision":2`)
	root.do("GET", one+"/revisions", "").want(200).has(`"revision":1`)
	root.do("GET", one+"?revision=previous", "").want(200).has(`"revision":1`)
	root.do("POST", one+":rollback", `{"revision":1}`).want(200).has(`"revision":3`)
	root.do("GET", one+"?view=metadata", "").want(200).has(`"revision":3`)
	root.do("PUT", one, `{"fields":{"email":7}}`).refused(422, "invalid", "/fields/email")
	root.do("PUT", one, `{"fields":{"email":"a@b.c","`+marker+`":1}}`).want(422)
	root.do("DELETE", one, "").want(200).has("purge_at")
	root.do("GET", one, "").refused(404, "not_found")
	root.do("POST", one+":undelete", "").want(200)
	root.do("GET", one, "").want(200)
	root.do("POST", one+":expunge", "").want(204)
	root.do("GET", one, "").refused(404, "not_found")
}

func TestStoryOfFinding(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	root := h.root
	var lines []string
	for n := range 25 {
		lines = append(lines, fmt.Sprintf(`{"id":"c-%02d","fields":{"email":"c%d@example.org","plan":"p%d"},"labels":{"even":"%t"}}`, n, n, n%3, n%2 == 0))
	}
	imported := root.do("POST", customers+"/records:import?on_error=continue", strings.Join(lines, "\n"), "Content-Type", mediaNDJSON).want(200)
	imported.has(`{"end":true,"count":25,"failed":0}`)
	again := root.do("POST", customers+"/records:import?on_error=continue", lines[0]+"\n"+`{"fields":{"email":7}}`, "Content-Type", mediaNDJSON).want(200)
	again.has(`"count":0,"failed":2`).has(`"/fields/email"`)
	root.do("POST", customers+"/records:import?mode=upsert&key=email", lines[0], "Content-Type", mediaNDJSON).want(200).has(`"end":true`)

	page := root.do("GET", customers+"/records?label.even=true&limit=5", "").want(200)
	cursor := page.text("next_cursor")
	if strings.Count(page.body, `"id"`) != 5 || cursor == "" {
		t.Fatalf("the first page: %s", page.body)
	}
	root.do("GET", customers+"/records?label.even=true&limit=5&cursor="+cursor, "").want(200)
	root.do("GET", customers+"/records?label.even=false&limit=5&cursor="+cursor, "").refused(400, "cursor")
	root.do("GET", customers+"/records?cursor="+marker, "").refused(400, "cursor")
	found := root.do("POST", customers+"/records:search", `{"where":{"plan":"p1"},"fields":["plan"]}`).want(200)
	if strings.Count(found.body, `"plan":"p1"`) != 8 {
		t.Errorf("the search found %s", found.body)
	}
	root.do("POST", customers+"/records:search", `{"where":{"balance":1}}`).refused(422, "invalid", "/where/balance")
	root.do("POST", customers+"/records:lookup", `{"where":{"email":"c7@example.org"}}`).want(200).has(`"id":"c-07"`)
	root.do("POST", customers+"/records:lookup", `{"where":{"email":"nobody@example.org"}}`).refused(404, "not_found")
	root.do("POST", customers+"/records:upsert", `{"key":"email","on_conflict":"merge","fields":{"email":"c7@example.org","plan":"gold"}}`).want(200).has(`"id":"c-07"`)
	root.do("POST", customers+"/records:upsert", `{"key":"email","fields":{"email":"new@example.org"}}`).want(201)
	conflict := root.do("POST", customers+"/records", `{"fields":{"email":"c7@example.org"}}`).refused(409, "unique_conflict", "/fields/email")
	if strings.Contains(conflict.body, "c-07") || strings.Contains(conflict.body, "c7@") {
		t.Errorf("the conflict tells the record or the value: %s", conflict.body)
	}
	export := root.do("GET", customers+"/records:export?fields=plan", "").want(200)
	if lines := strings.Split(strings.TrimSpace(export.body), "\n"); len(lines) != 27 || lines[26] != `{"end":true,"count":26}` {
		t.Errorf("the export has %d lines: %s", len(lines), export.body)
	}
}

func TestStoryOfIdempotency(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	create := func(body, key string) answer {
		return h.root.do("POST", customers+"/records", body, "Idempotency-Key", key)
	}
	first := create(`{"fields":{"email":"a@b.c"}}`, "k1").want(201)
	again := create(`{"fields":{"email":"a@b.c"}}`, "k1").want(201).header("Idempotency-Replayed", "true")
	if first.text("id") != again.text("id") || first.Header.Get("Location") != again.Header.Get("Location") {
		t.Errorf("the repetition answers %s, the first %s", again.body, first.body)
	}
	create(`{"fields":{"email":"other@b.c"}}`, "k1").refused(422, "idempotency_mismatch")
	h.root.do("PUT", "/v1/clients/x", `{"roles":[]}`).want(201)
	made := h.root.do("POST", "/v1/clients/x/secrets", `{"ttl":"1h"}`, "Idempotency-Key", "k2").want(201)
	h.root.do("POST", "/v1/clients/x/secrets", `{"ttl":"1h"}`, "Idempotency-Key", "k2").refused(409, "secret_replayed").
		has(`"secret_id":"` + made.text("secret_id") + `"`)
}

func TestStoryOfDefinitions(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	root := h.root
	root.do("GET", "/v1/integrations", "").want(200).has(`"name":"acme-crm"`)
	tag := root.do("GET", customers, "").want(200).Header.Get("ETag")
	root.do("GET", customers, "", "If-None-Match", tag).want(304)
	root.do("PUT", customers, customerSchema, "If-Match", `"999"`).refused(412, "precondition_failed")
	root.do("POST", customers+":validate", `{"schema":{"type":"object","properties":{"email":{"type":"string"}}}}`).want(200)
	root.do("PUT", customers, `{"schema":{"type":"nonsense"}}`).want(422)
	root.do("PUT", customers, `{"preset":"api_key","schema":{}}`).want(422)
	root.do("PUT", acme+"/collections/keys", `{"preset":"api_key"}`).want(201).has(`"api_key"`)
	root.do("GET", acme+"/collections", "").want(200).has(`"keys"`)
	root.do("PUT", "/v1/integrations/Not-A-Name", `{}`).want(400, 404, 422)
	root.do("PUT", "/v1/roles/r", `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["fly"]}]}`).want(422)
	root.do("PUT", "/v1/roles/r", `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"*":"clear"},"when":"nobody"}]}`).want(422)
	root.do("PUT", "/v1/roles/r", `{"rules":[]}`).want(201)
	root.do("GET", "/v1/roles", "").want(200).has(`"name":"r"`)
	root.do("DELETE", "/v1/roles/r", "").want(204)
	root.do("GET", "/v1/roles/r", "").refused(404, "not_found")
	root.do("DELETE", acme+"/collections/keys", "").want(204)
	root.do("DELETE", acme+"?confirm=acme-crm", "").want(200).has("destroy_at")
	root.do("GET", customers+"/records/x", "").want(404, 409)
	root.do("POST", acme+":undelete", "").want(200)
	root.do("DELETE", acme+"?confirm=acme-crm&now=true", "").want(200)
}

func TestStoryOfALostClient(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	rules := `{"integrations":["*"],"collections":["*"],"actions":["list"]}`
	victim := h.hire("victim", rules)
	victim.do("GET", customers+"/records", "").want(200)
	secrets := h.root.do("GET", "/v1/clients/victim/secrets", "").want(200)
	_, id, _ := strings.Cut(secrets.body, `"secret_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	h.root.do("DELETE", "/v1/clients/victim/secrets/"+id, "").want(204)
	victim.do("GET", customers+"/records", "").refused(401, "invalid_token")

	victim = h.hire("victim", rules)
	h.root.do("PUT", "/v1/clients/victim", `{"roles":[]}`).want(200)
	victim.do("GET", customers+"/records", "").refused(403, "forbidden")
	h.root.do("PUT", "/v1/clients/victim", `{"roles":["victim"],"disabled":true}`).want(200)
	victim.do("GET", customers+"/records", "").refused(401, "invalid_token")
	h.root.do("DELETE", "/v1/clients/victim", "").want(204)
	h.hire("victim", rules)
	victim.do("GET", customers+"/records", "").refused(401, "invalid_token")
}

func TestStoryOfAnOutage(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("PUT", customers+"/records/r", `{"fields":{"email":"a@b.c"}}`).want(201)
	h.store.Keys.Unavailable(true)
	h.root.do("GET", customers+"/records/r", "").want(200)
	h.root.do("PUT", "/v1/integrations/another", `{}`).refused(503, "key_service_unavailable").has(`"retryable":true`)
	h.store.Keys.Unavailable(false)
}
