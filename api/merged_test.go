package api

import "testing"

// Each of these crosses features that were made apart: what one refuses, another
// must not let in.
func TestStoryOfAScopedTokenAndABudget(t *testing.T) {
	h := newGatedHouse(t)
	h.root.do("PUT", customers+"/records/r-1", `{"fields":{"email":"a@b.c","balance":1}}`).want(201)
	h.root.do("PUT", customers+"/records/r-2", `{"fields":{"email":"b@b.c","balance":2}}`).want(201)
	h.root.do("PUT", "/v1/limits/reads", `{"per":"client","clients":["clerk"],"exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`).want(201)
	h.hire("clerk", `{"integrations":["*"],"collections":["*"],"actions":["read","list","export","update"],"read":{"*":"clear"},"write":["balance"]}`)
	secret := h.root.do("POST", "/v1/clients/clerk/secrets", `{"ttl":"1h"}`).want(201).text("client_secret")
	narrow := func(scope string) actor {
		body := "grant_type=client_credentials&client_id=clerk&client_secret=" + secret + "&scope=" + scope
		return h.as(h.as("").do("POST", "/oauth2/token", body, "Content-Type", mediaForm).want(200).text("access_token"))
	}
	// A budget is the client's: tokens of other scopes spend it together.
	clear := narrow("read").do("GET", customers+"/records/r-1", "").want(200).has(`"balance":1`)
	masked := narrow("read list").do("GET", customers+"/records/r-2", "").want(200).has(`"balance":"****"`)
	narrow("list").do("GET", customers+"/records/r-2", "").refused(403, "forbidden")
	narrow("read list").do("HEAD", customers+"/records/r-2", "").want(200).header("ETag", masked.Header.Get("ETag"))
	// The tag of what is masked is none of what is clear, and the other way round.
	other := narrow("read").do("GET", customers+"/records/r-2", "", "If-None-Match", clear.Header.Get("ETag")).want(200)
	other.has(`"balance":"****"`)
	narrow("read").do("GET", customers+"/records/r-2/fields/balance", "").want(200).header("Strongroom-Masked", "true").has("****")
	// Written back, with the tag that it was shown with, it destroys nothing.
	narrow("update").do("PATCH", customers+"/records/r-2", `{"fields":{"balance":"****"}}`, "Content-Type", mediaMerge, "If-Match", masked.Header.Get("ETag")).want(422)
	narrow("update").do("PATCH", customers+"/records/r-2", `{"erase_at":"2999-01-01T00:00:00Z"}`, "Content-Type", mediaMerge).refused(403, "forbidden", "/erase_at")
	narrow("export").do("GET", customers+"/records:export", "").want(200).has(`"balance":1`).has(`"balance":"****"`)
}

// What waits for a second person, and what the caller may not decide, over HTTP:
// limits like roles and clients.
func TestStoryOfAnAdministratorWithABudget(t *testing.T) {
	h := newGatedHouse(t)
	const budget = `{"per":"client","exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"refuse"}}`
	h.root.do("PUT", "/v1/limits/reads", budget).want(201)
	h.root.do("PUT", "/v1/roles/mixed", `{"rules":[`+readsCustomers+`]}`).want(201)
	h.root.do("PUT", "/v1/clients/mixed", `{"roles":["administrator","mixed"]}`).want(201)
	secret := h.root.do("POST", "/v1/clients/mixed/secrets", `{"ttl":"1h"}`).want(201).text("client_secret")
	mixed := h.as(h.signIn("mixed", secret))
	mixed.do("PUT", "/v1/limits/reads", `{"per":"client","exposure":{"records":[{"limit":9,"window":"1h"}],"when_exhausted":"refuse"}}`).refused(403, "self_edit")
	mixed.do("DELETE", "/v1/limits/reads", "").refused(403, "self_edit")
	mixed.do("PUT", "/v1/limits/reads", `{"per":"client","exposure":{"records":[{"limit":1,"window":"1h"}],"fields":[{"limit":1,"window":"1h"}],"when_exhausted":"refuse"}}`).want(200)
	h.root.do("PUT", "/v1/governance", `{"two_person":true}`).want(200)
	mixed.do("PUT", "/v1/limits/rate", `{"per":"client","requests":[{"limit":999,"window":"1h"}]}`).want(201) // a rate does not wait
	pending := h.root.do("DELETE", "/v1/limits/reads", "").want(202).has(`"kind":"delete-limit"`).has(`"target":"limit/reads"`)
	change := pending.Header.Get("Location")
	h.root.do("POST", change+":approve", "").refused(403, "same_hand")
	mixed.do("POST", change+":approve", "").refused(403, "same_hand") // root made it
	h.root.do("GET", "/v1/limits/reads", "").want(200)
	h.root.do("POST", change+":withdraw", "").want(200)
}
