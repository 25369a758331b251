package api

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tenant makes a client that may do everything to records of its owner.
func (h *house) tenant(name, owner string) actor {
	h.t.Helper()
	a := h.hire(name, `{"integrations":["acme-*"],"collections":["customers"],
		"actions":["read","list","search","create","update","delete","erase","history","rollback","import","export"],
		"read":{"*":"clear","email":"clear"},"write":["*"],"write_labels":["*"],"search":["*"],
		"when":"record.labels.owner == client.labels.owner"}`)
	h.root.do("PUT", "/v1/clients/"+name, `{"roles":["`+name+`"],"labels":{"owner":"`+owner+`"}}`).want(200)
	return a
}

var random = regexp.MustCompile(`[0-9a-f]{32}|[A-Z][a-z]{2}, .* GMT`)

// sameAnswer is an answer without what differs each time.
func sameAnswer(a answer) string {
	var b strings.Builder
	header := a.Header.Clone()
	header.Del("Date")
	_ = header.Write(&b)
	return random.ReplaceAllString(http.StatusText(a.StatusCode)+"\n"+b.String()+a.body, "RANDOM")
}

// Over HTTP as well a record that a condition denies is answered as one that is
// not there, to the letter.
func TestStoryOfARecordOfAnother(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	for _, id := range []string{"mine", "theirs"} {
		h.root.do("POST", customers+"/records", `{"id":"`+id+`","fields":{"email":"`+id+`@example.org"},"labels":{"owner":"`+id+`"}}`).want(201)
		h.root.do("PATCH", customers+"/records/"+id, `{"fields":{"plan":"gold"}}`, "Content-Type", mediaMerge).want(200)
	}
	tenant := h.tenant("tenant", "mine")
	tag := h.root.do("GET", customers+"/records/theirs", "").want(200).Header.Get("ETag")
	for _, try := range []struct {
		method, path, body string
		headers            []string
	}{
		{"GET", "", "", nil}, {"HEAD", "", "", nil},
		{"GET", "", "", []string{"If-None-Match", "*"}}, {"GET", "", "", []string{"If-None-Match", tag}},
		{"GET", "?revision=1", "", nil}, {"GET", "?revision=previous", "", nil}, {"GET", "?view=metadata", "", nil},
		{"GET", "/fields/email", "", nil}, {"GET", "/fields/plan", "", nil}, {"GET", "/fields/ssn", "", nil}, {"GET", "/revisions", "", nil},
		{"PUT", "", `{"fields":{"email":"x@example.org"}}`, nil}, {"PUT", "", `{"fields":{"email":7}}`, nil},
		{"PUT", "", `{"fields":{"email":"x@example.org"}}`, []string{"If-Match", tag}}, {"PUT", "", `{"fields":{"email":"x@example.org"}}`, []string{"If-None-Match", "*"}},
		{"PATCH", "", `{"fields":{"plan":"lead"}}`, []string{"Content-Type", mediaMerge}}, {"PATCH", "", `{"labels":{"owner":"mine"}}`, []string{"Content-Type", mediaMerge}},
		{"DELETE", "", "", nil}, {"DELETE", "", "", []string{"If-Match", tag}},
		{"POST", ":rollback", `{"revision":1}`, nil}, {"POST", ":undelete", "", nil}, {"POST", ":expunge", "", nil},
	} {
		denied := sameAnswer(tenant.do(try.method, customers+"/records/theirs"+try.path, try.body, try.headers...))
		absent := sameAnswer(tenant.do(try.method, customers+"/records/absent"+try.path, try.body, try.headers...))
		if diff := cmp.Diff(absent, denied); diff != "" {
			t.Errorf("%s %s %v is answered by another than an absent record (-absent +denied):\n%s", try.method, try.path, try.headers, diff)
		}
	}
	h.root.do("GET", customers+"/records/theirs", "").want(200).has(`"revision":2`)
	tenant.do("GET", customers+"/records/mine", "").want(200).has(`"plan":"gold"`)
	tenant.do("GET", customers+"/records?limit=1", "").want(200).has(`"id":"mine"`).has(`"next_cursor":null`)
}

// What was explained, and then a change of the role: both count at once, with
// the token that the client has.
func TestStoryOfAnExplanation(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	h.root.do("POST", customers+"/records", `{"id":"one","fields":{"email":"one@example.org","card":"4242424242424242"},"labels":{"owner":"label-value"}}`).want(201)
	tenant := h.tenant("tenant", "label-value")
	ask := `{"client":"tenant","integration":"acme-crm","collection":"customers","record":"one"}`
	got := h.root.do("POST", "/v1/access:explain", ask).want(200).has(`"outcome":"holds"`).has(`"allowed":true`).has(`"grant":"mask:last4"`)
	for _, value := range []string{"label-value", "one@", "4242"} {
		if strings.Contains(got.body, value) {
			t.Errorf("%s is told: %s", value, got.body)
		}
	}
	tenant.do("POST", "/v1/access:explain", ask).refused(403, "forbidden")
	h.root.do("POST", "/v1/access:explain", `{"client":"tenant","integration":"acme-crm"}`).refused(400, "malformed_body")
	h.root.do("POST", "/v1/access:explain", strings.Replace(ask, "one", "absent", 1)).refused(404, "not_found")
	tenant.do("GET", customers+"/records/one", "").want(200)
	h.root.do("PUT", "/v1/roles/tenant", `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["read"],"read":{"*":"clear"},"when":"record.labels.owner != client.labels.owner"}]}`).want(200)
	tenant.do("GET", customers+"/records/one", "").refused(404, "not_found")
	h.root.do("POST", "/v1/access:explain", ask).want(200).has(`"outcome":"fails"`).has(`"allowed":false`)
	h.root.do("PUT", "/v1/roles/tenant", `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["read"],"when":"record.labels.owner == "}]}`).
		refused(422, "invalid", "/rules/0/when")
}
