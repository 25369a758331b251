package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/rotate"
)

// work carries on what the house's jobs are, until the test ends.
func (h *house) work() {
	h.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.manager.Run(ctx) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Errorf("the manager: %v", err)
		}
	})
}

// operating is the Go client of somebody who operates keys.
func (h *house) operating() *client.Client {
	h.t.Helper()
	h.root.do("PUT", "/v1/clients/keeper", `{"roles":["operator"]}`).want(201)
	secret := h.root.do("POST", "/v1/clients/keeper/secrets", `{"ttl":"1h"}`).want(201).text("client_secret")
	return h.connect(client.Config{URL: h.web.URL, CACertFile: h.write("ca.pem", "CERTIFICATE", h.web.Certificate().Raw),
		ClientID: "keeper", ClientSecret: client.NewSecret(secret)})
}

// keyOf returns the key of an integration and a purpose that is in a state.
func keyOf(t *testing.T, c *client.Client, integration, purpose, state string) client.Key {
	t.Helper()
	list, err := c.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		for _, k := range d.Keys {
			if d.Integration == integration && k.Purpose == purpose && k.State == state {
				return k
			}
		}
	}
	t.Fatalf("%s has no %s key that is %s", integration, purpose, state)
	return client.Key{}
}

// ended follows a rotation to its end.
func ended(t *testing.T, c *client.Client, id string) *client.Rotation {
	t.Helper()
	var last *client.Rotation
	for r, err := range c.WatchRotation(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	return last
}

// TestStoryOfARotation: an operator, who can read no value, rotates the keys of
// everything, follows it, and has a proof that the store is not needed for.
func TestStoryOfARotation(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.work()
	h.root.do("PUT", customers+"/records/ada", `{"fields":{"email":"ada@example.org","plan":"gold"}}`).want(201)
	c, ctx := h.operating(), t.Context()
	old := keyOf(t, c, "acme-crm", "wrapping", "primary")
	if old.Values != 1 || old.AgeSeconds == nil || old.LeftSeconds == nil {
		t.Errorf("the key in use is %+v", old)
	}
	made, err := c.CreateRotation(ctx, client.RotationRequest{Integrations: []string{"acme-*"}, Depth: "data", Grace: "0s", Retire: true, Reason: "a drill"})
	if err != nil {
		t.Fatal(err)
	}
	done := ended(t, c, made.ID)
	if done.State != "done" || !done.HasReport || done.By != "keeper" || done.Progress.Left != 0 || len(done.Parts) != 1 || !done.Parts[0].Retired {
		t.Errorf("it ended as %+v", done)
	}
	gone := keyOf(t, c, "acme-crm", "wrapping", "destroyed")
	if gone.KeyID != old.KeyID || gone.DestroyedAt == nil || keyOf(t, c, "acme-crm", "index", "primary").Generation != 2 {
		t.Errorf("the old key is %+v", gone)
	}
	report, err := c.RotationReport(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := c.AttestKeys(ctx)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	proof, err := rotate.VerifyReport(report, []string{keys[0].Key})
	if err != nil || !proof.Proven || proof.Rotation.Reason != "a drill" {
		t.Errorf("the report says %+v, %v", proof, err)
	}
	covered := 0
	for r, err := range c.KeyRecords(ctx, old.KeyID) {
		if err != nil {
			t.Fatal(err)
		}
		if covered++; r.Record != "ada" || r.Under {
			t.Errorf("the old key covered %+v", r)
		}
	}
	if covered != 1 {
		t.Errorf("the old key covered %d records", covered)
	}
	h.root.do("GET", customers+"/records/ada", "").want(200).has("ada@example.org")
	h.root.do("POST", customers+"/records:search", `{"where":{"plan":"gold"}}`).want(200).has("ada")
	h.root.do("POST", customers+"/records:lookup", `{"where":{"email":"ada@example.org"}}`).want(200).has("ada")
}

// TestStoryOfARollback: what waits for its grace is paused, slowed, gone on with
// and taken back; what is over is not.
func TestStoryOfARollback(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.work()
	h.root.do("PUT", customers+"/records/ada", `{"fields":{"email":"ada@example.org"}}`).want(201)
	c, ctx := h.operating(), t.Context()
	old := keyOf(t, c, "acme-crm", "wrapping", "primary")
	made := h.root.do("POST", "/v1/rotations", `{"integrations":["acme-crm"],"depth":"keyset","grace":"1h"}`).want(201)
	place, id := made.Header.Get("Location"), made.text("id")
	h.root.do("POST", "/v1/rotations", `{"integrations":["*"],"depth":"kek"}`).refused(409, "conflict").has(id)
	for r, err := range c.WatchRotation(ctx, id) {
		if err != nil {
			t.Fatal(err)
		}
		if r.State == "waiting" {
			break
		}
	}
	h.root.do("GET", place+"/report", "").refused(409, "conflict")
	h.root.do("POST", place+":pause", "").want(200).has(`"state":"paused"`)
	h.root.do("POST", place+":throttle", `{}`).refused(400, "malformed_body", "/rate")
	h.root.do("POST", place+":throttle", `{"rate":9}`).want(200).has(`"rate":9`)
	h.root.do("POST", place+":resume", "").want(200)
	h.root.do("POST", place+":cancel", "").refused(409, "conflict")
	h.root.do("POST", place+":rollback", "").want(200).has(`"direction":"back"`)
	if r := ended(t, c, id); r.State != "rolled_back" {
		t.Errorf("it ended as %s: %s", r.State, r.Detail)
	}
	if k := keyOf(t, c, "acme-crm", "wrapping", "primary"); k.KeyID != old.KeyID || k.Values != 1 {
		t.Errorf("the key in use is %+v", k)
	}
	h.root.do("POST", place+":rollback", "").refused(409, "conflict")
	h.root.do("GET", customers+"/records/ada", "").want(200)
}

// TestStoryOfASchedule: it is put, told of with the keys that it is for, and
// changed only as it was read.
func TestStoryOfASchedule(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	c, ctx := h.operating(), t.Context()
	body := json.RawMessage(`{"rotation":{"integrations":["acme-*"],"depth":"kek"},"every":"720h","jitter":"1h","max_age":"800h"}`)
	made, err := c.PutSchedule(ctx, "monthly", body, client.WriteOptions{IfAbsent: true})
	if err != nil || made.Version != 1 || made.Run.NextStart == nil {
		t.Fatalf("%+v, %v", made, err)
	}
	list, err := c.ListKeys(ctx)
	if err != nil || list[0].NextRotation == nil || list[0].Schedule != "monthly" || list[len(list)-1].NextRotation != nil {
		t.Errorf("%+v, %v", list, err)
	}
	h.root.do("PUT", "/v1/schedules/monthly", string(body), "If-None-Match", "*").refused(412, "precondition_failed")
	h.root.do("PUT", "/v1/schedules/monthly", string(body), "If-Match", `"7"`).refused(412, "precondition_failed")
	h.root.do("PUT", "/v1/schedules/monthly", `{"rotation":{"integrations":["acme-*"],"depth":"kek"},"every":"a month"}`).refused(400, "malformed_body", "/every")
	h.root.do("PUT", "/v1/schedules/monthly", `{"rotation":{"integrations":["acme-*"],"depth":"kek"}}`).refused(422, "invalid")
	h.root.do("PUT", "/v1/schedules/monthly", `{"rotation":{"integrations":["acme-*"],"depth":"kek"},"cron":"0 3 * * 6","time_zone":"Europe/Zurich","paused":true}`, "If-Match", `"1"`).
		want(200).has(`"paused":true`).header("Etag", `"2"`)
	if err := c.DeleteSchedule(ctx, "monthly"); err != nil {
		t.Fatal(err)
	}
	h.root.do("GET", "/v1/schedules/monthly", "").refused(404, "not_found")
}

// TestStoryOfAnErasure: who may erase asks for it and sees how it stands; what
// takes more than that right does not begin.
func TestStoryOfAnErasure(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.work()
	h.root.do("PUT", customers+"/records/ada", `{"fields":{"email":"ada@example.org"},"labels":{"subject":"x"}}`).want(201)
	h.root.do("PUT", customers+"/records/eve", `{"fields":{"email":"eve@example.org"}}`).want(201)
	service := h.hire("eraser", `{"integrations":["acme-*"],"collections":["*"],"actions":["erase"]}`)
	other := h.hire("other", `{"integrations":["acme-*"],"collections":["*"],"actions":["erase"]}`)
	service.do("POST", "/v1/erasures", `{"integration":"acme-crm","labels":{"subject":"x"},"level":"E3"}`).refused(403, "forbidden")
	service.do("POST", "/v1/erasures", `{"integration":"acme-crm","confirm":"acme-crm"}`).refused(403, "forbidden")
	for _, body := range []string{`{"integration":"acme-crm"}`, `{"integration":"acme-crm","confirm":"acme"}`, `{"integration":"acme-crm","labels":{"subject":"x"},"confirm":"acme-crm"}`} {
		h.root.do("POST", "/v1/erasures", body).refused(400, "malformed_body", "/confirm")
	}
	made := service.do("POST", "/v1/erasures", `{"integration":"acme-crm","labels":{"subject":"x"},"level":"E1"}`).want(201)
	place := made.Header.Get("Location")
	followed := service.do("GET", place, "", "Accept", "text/event-stream").want(200)
	if last := followed.body[strings.LastIndex(followed.body, "event: end"):]; !strings.Contains(last, `"state":"E1"`) || !strings.Contains(last, `"records":1`) {
		t.Errorf("it ended with %s", last)
	}
	h.root.do("GET", customers+"/records/ada", "").refused(404, "not_found")
	h.root.do("GET", customers+"/records/eve", "").want(200)
	other.do("GET", place, "").refused(403, "forbidden")
	h.root.do("GET", "/v1/erasures", "").want(200).has(made.text("id"))
	certificate := service.do("GET", place+"/certificate", "").want(200)
	keys := h.store.AttestKeys()
	if c, err := rotate.VerifyCertificate([]byte(certificate.body), []string{keys[0].Key}); err != nil || c.Records != 1 || c.Level != rotate.LevelLive {
		t.Errorf("the certificate says %+v, %v", c, err)
	}
}

// To the limits a stream of events is one request, and a long one says nothing
// of the load.
func TestAStreamOfEventsIsOneRequest(t *testing.T) {
	h := newGatedHouse(t)
	made := h.root.do("POST", "/v1/rotations", `{"integrations":["acme-crm"],"depth":"kek"}`).want(201) // nobody carries it on
	h.root.do("PUT", "/v1/limits/watchers", `{"per":"client","clients":["root"],"routes":["admin"],"requests":[{"limit":100,"window":"1h"}]}`).want(201)
	before := h.gate.Shedder.UnderWay()
	w := h.root.watch(t, made.Header.Get("Location"))
	if name, _ := w.event(); name != "progress" {
		t.Fatalf("the first event is %q", name)
	}
	if now := h.gate.Shedder.UnderWay(); now != before+1 {
		t.Errorf("%d under way, and %d before", now, before)
	}
	h.root.do("GET", "/v1/limits/watchers", "").want(200).has(`"used":2`).has(`"under_way":2`) // this one too
	close(h.server.stopping)
	if name, _ := w.event(); name != "" {
		t.Errorf("after the end comes %q", name)
	}
	for h.gate.Shedder.UnderWay() != before {
		if t.Context().Err() != nil {
			t.Fatal("its place was not given back")
		}
	}
}

// A stream ends when what let its caller in is taken away.
func TestAWatcherWhoseRoleIsTakenIsToldNoMore(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	made := h.root.do("POST", "/v1/rotations", `{"integrations":["acme-crm"],"depth":"kek"}`).want(201)
	c := h.operating()
	began := false
	for _, err := range c.WatchRotation(t.Context(), made.text("id")) {
		if err != nil {
			if p := (*client.Problem)(nil); !began || !errors.As(err, &p) || p.Code != "forbidden" {
				t.Errorf("it ends with %v", err)
			}
			return
		}
		if !began {
			began = true
			h.root.do("PUT", "/v1/clients/keeper", `{"roles":["approver"]}`).want(200)
			h.root.do("POST", made.Header.Get("Location")+":throttle", `{"rate":9}`).want(200)
		}
	}
	t.Error("it ended as if the rotation had")
}
