package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/limits"
)

func newGatedHouse(t *testing.T) *house {
	h := newHouseBehind(t, limits.NewGate(time.Now, nil))
	h.furnish()
	return h
}

const readsCustomers = `{"integrations":["*"],"collections":["*"],"actions":["read","list","search","export"],"read":{"*":"clear"}}`

func TestStoryOfALimit(t *testing.T) {
	h := newGatedHouse(t)
	h.root.do("PUT", customers+"/records/r", `{"fields":{"email":"a@b.c"}}`).want(201)
	service := h.hire("invoicing", readsCustomers)
	free := service.do("GET", customers+"/records/r", "").want(200)
	if free.Header.Get("RateLimit") != "" {
		t.Error("nothing counts, and yet a RateLimit is told")
	}
	h.root.do("PUT", "/v1/limits/invoicing-daily", `{"per":"client","clients":["invoicing"],"routes":["read"],"requests":[{"limit":3,"window":"1h"},{"limit":1000,"window":"24h"}]}`).want(201)
	for left := 2; left >= 0; left-- {
		a := service.do("GET", customers+"/records/r", "").want(200)
		a.header("RateLimit-Policy", `"invoicing-daily-1h";q=3;w=3600, "invoicing-daily-24h";q=1000;w=86400`)
		if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, fmt.Sprintf(`"invoicing-daily-1h";r=%d;t=`, left)) {
			t.Errorf("RateLimit is %s with %d left", got, left)
		}
	}
	refused := service.do("GET", customers+"/records/r", "").refused(429, "rate_limited").has(`"limit":"invoicing-daily"`).has(`"retryable":true`)
	if wait, _ := strconv.Atoi(refused.Header.Get("Retry-After")); wait < 3300 || wait > 3900 {
		t.Errorf("Retry-After is %d", wait)
	}
	if !strings.HasPrefix(refused.Header.Get("RateLimit"), `"invoicing-daily-1h";r=0;t=`) {
		t.Errorf("RateLimit is %s", refused.Header.Get("RateLimit"))
	}
	service.do("GET", customers+"/records", "").refused(429, "rate_limited")
	service.do("POST", customers+"/records:search", `{"where":{"email":"a@b.c"}}`).want(403) // another group, and no right to that field
	h.root.do("GET", customers+"/records/r", "").want(200)

	use := h.root.do("GET", "/v1/limits/invoicing-daily", "").want(200).has(`"who":"invoicing"`).has(`"used":3`).has(`"refused":2`)
	tag := use.Header.Get("ETag")
	h.root.do("PUT", "/v1/limits/invoicing-daily", `{"per":"client","requests":[{"limit":9,"window":"1h"}]}`, "If-Match", `"77"`).refused(412, "precondition_failed")
	h.root.do("PUT", "/v1/limits/invoicing-daily", `{"per":"client","clients":["invoicing"],"routes":["read"],"requests":[{"limit":4,"window":"1h"},{"limit":1000,"window":"24h"}]}`, "If-Match", tag).want(200)
	service.do("GET", customers+"/records/r", "").want(200) // raised at run time, and not reset
	service.do("GET", customers+"/records/r", "").refused(429, "rate_limited")
	h.root.do("GET", "/v1/limits", "").want(200).has(`"name":"default-token"`).has(`"builtin":true`)
	h.root.do("DELETE", "/v1/limits/invoicing-daily", "").want(204)
	service.do("GET", customers+"/records/r", "").want(200)
	h.root.do("PUT", "/v1/limits/bad", `{"per":"client","requests":[{"limit":0,"window":"1s"}]}`).refused(422, "invalid", "/requests/0/limit")
	service.do("GET", "/v1/limits", "").refused(403, "forbidden")
}

func TestStoryOfABudget(t *testing.T) {
	h := newGatedHouse(t)
	for i := range 5 {
		h.root.do("PUT", fmt.Sprintf("%s/records/r-%d", customers, i), fmt.Sprintf(`{"fields":{"email":"c%d@b.c","balance":1}}`, i)).want(201)
	}
	h.root.do("PUT", "/v1/limits/reads", `{"per":"client","roles":["thief"],"exposure":{"records":[{"limit":2,"window":"1h"}],"when_exhausted":"refuse"}}`).want(201)
	thief := h.hire("thief", readsCustomers)
	thief.do("GET", customers+"/records/r-0", "").want(200)
	thief.do("GET", customers+"/records/r-1/fields/balance", "").want(200)
	refused := thief.do("GET", customers+"/records/r-2", "").refused(429, "exposure_exhausted").has(`"limit":"reads"`)
	if refused.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	thief.do("GET", customers+"/records/r-0", "").want(200)
	page := thief.do("GET", customers+"/records?fields=*", "").want(200)
	if strings.Count(page.body, `"id"`) != 2 || page.text("next_cursor") == "" {
		t.Errorf("a page that ends with the budget: %s", page.body)
	}
	thief.do("GET", customers+"/records", "").want(200).has("r-4") // metadata is free
}

func TestStoryOfGuessing(t *testing.T) {
	h := newGatedHouse(t)
	h.root.do("PUT", "/v1/clients/victim", `{"roles":[]}`).want(201)
	guess := func() answer {
		return h.as("").do("POST", "/oauth2/token", "grant_type=client_credentials&client_id=victim&client_secret=guess", "Content-Type", mediaForm)
	}
	for range 5 {
		guess().want(401)
	}
	refused := guess()
	refused.refused(429, "too_many_failures")
	if refused.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.root.do("GET", "/v1/roles", "").want(200)
}

func TestStoryOfNoise(t *testing.T) {
	h := newGatedHouse(t)
	service := h.hire("invoicing", readsCustomers)
	service.do("GET", customers+"/records", "").want(200)
	for i := 0; h.gate.Guard.Blocked(loopback(t, h)) == 0; i++ {
		if i > 1000 {
			t.Fatal("a thousand requests without a token block nobody")
		}
		h.as("").do("GET", customers+"/records", "").refused(401, "token_required")
	}
	noise := h.as("").do("GET", customers+"/records", "").refused(429, "too_many_failures")
	if !noise.Close && noise.ProtoMajor == 1 {
		t.Error("the connection stays")
	}
	h.as("").do("GET", "/livez", "").want(200)
	service.do("GET", customers+"/records", "").want(200) // with a token that was seen before, from the same address
	unknown := 0
	for range 30 {
		if h.as("ey.unknown.token").do("GET", customers+"/records", "").StatusCode == 429 {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("any number of unknown tokens is verified for a blocked address")
	}
}

// A client that has been here gets on with all three OAuth endpoints while what
// somebody else did at its address blocks strangers there.
func TestStoryOfAClientAtABlockedAddress(t *testing.T) {
	h := newGatedHouse(t)
	h.root.do("PUT", "/v1/clients/honest", `{"roles":[]}`).want(201)
	secret := h.root.do("POST", "/v1/clients/honest/secrets", `{}`).want(201).text("client_secret")
	token := h.signIn("honest", secret)
	for range 500 {
		h.gate.Guard.Failed("", loopback(t, h))
	}
	h.as("").do("GET", customers+"/records", "").refused(429, "too_many_failures")
	h.signIn("honest", secret)
	form := "client_id=honest&client_secret=" + secret + "&token=" + token
	h.as("").do("POST", "/oauth2/introspect", form, "Content-Type", mediaForm).want(200).has(`"active":true`)
	h.as("").do("POST", "/oauth2/revoke", form, "Content-Type", mediaForm).want(200)
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"} {
		body := "grant_type=client_credentials&client_id=other&client_secret=guess&token=" + token
		h.as("").do("POST", path, body, "Content-Type", mediaForm).refused(429, "too_many_failures")
	}
}

// Who is blocked behind a proxy must not have the proxy's connections closed,
// over HTTP/2 with everybody's requests on them, nor use up how many it may open.
func TestAProxysConnectionOutlivesAStranger(t *testing.T) {
	h := newGatedHouse(t)
	h.server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	from := func(remote, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", customers+"/records", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.server.Handler().ServeHTTP(w, r)
		return w
	}
	for range 500 {
		h.gate.Guard.Failed("", netip.MustParseAddr("203.0.113.9"))
	}
	h.gate.Guard.Try(netip.MustParseAddr("203.0.113.9")) // the one unknown token that is let through
	for _, token := range []string{"", "ey.unknown.token"} {
		w := from("10.0.0.5:80", token)
		if w.Code != 429 || w.Header().Get("Connection") != "" {
			t.Errorf("by a proxy with %q: %d, Connection %q", token, w.Code, w.Header().Get("Connection"))
		}
		w = from("203.0.113.9:80", token)
		if w.Code != 429 || w.Header().Get("Connection") != "close" {
			t.Errorf("directly with %q: %d, Connection %q", token, w.Code, w.Header().Get("Connection"))
		}
	}
}

func loopback(t *testing.T, h *house) (a netip.Addr) {
	t.Helper()
	r, err := http.NewRequest("GET", h.web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = r.URL.Host
	return otherEnd(r)
}

func TestCompressedBodiesAreRefusedUnread(t *testing.T) {
	h := newGatedHouse(t)
	h.root.do("POST", customers+"/records", strings.Repeat("\x1f\x8b", 500), "Content-Encoding", "gzip").refused(415, "unsupported_media_type")
	deep := `{"fields":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "}"
	h.root.do("POST", customers+"/records", deep).refused(400, "malformed_body")
}
