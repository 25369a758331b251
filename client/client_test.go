package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestErrorsKeepTheirMeaning(t *testing.T) {
	for code, want := range codes {
		_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { problem(w, 400, code) })
		_, err := c.GetRecord(t.Context(), event, ReadOptions{})
		var p *Problem
		if !errors.Is(err, want) || !errors.As(err, &p) || p.Code != code || p.RequestID != "r1" {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

func TestProblemSaysWhereAndWhat(t *testing.T) {
	p := &Problem{Title: "the input is not valid", Code: "invalid", RequestID: "r7", Errors: []Issue{
		{Pointer: "/fields/email", Detail: "must be a string"}, {Detail: "something else"},
	}}
	want := "the input is not valid: /fields/email: must be a string; something else (invalid, request r7)"
	if p.Error() != want {
		t.Errorf("got  %s\nwant %s", p.Error(), want)
	}
}

func TestRetriesOnlyWhatMayBe(t *testing.T) {
	write := RecordInput{Fields: map[string]string{"a": "b"}}
	ref := CollectionRef{"shop", "events"}
	for name, tt := range map[string]struct {
		code string
		do   func(*Client) error
		want int // requests
	}{
		"a read":        {"not_persisted", func(c *Client) error { _, err := c.GetRecord(t.Context(), event, ReadOptions{}); return err }, 4},
		"a keyed write": {"not_persisted", func(c *Client) error { _, err := c.CreateRecord(t.Context(), ref, write, WriteOptions{}); return err }, 4},
		"not retryable": {"outcome_unknown", func(c *Client) error { _, err := c.GetRecord(t.Context(), event, ReadOptions{}); return err }, 1},
		"a put of a role": {"not_persisted", func(c *Client) error {
			_, err := c.PutRole(t.Context(), "r", json.RawMessage(`{}`), WriteOptions{})
			return err
		}, 4},
		"a conditional put": {"not_persisted", func(c *Client) error {
			_, err := c.PutRole(t.Context(), "r", json.RawMessage(`{}`), WriteOptions{IfRevision: 3})
			return err
		}, 1},
		"a search": {"timeout", func(c *Client) error {
			_, err := c.SearchRecords(t.Context(), ref, SearchOptions{Where: map[string]any{"a": 1}})
			return err
		}, 4},
		"an import": {"not_persisted", func(c *Client) error {
			return drain(c.Import(t.Context(), ref, ImportOptions{}, strings.NewReader("{}\n")))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { problem(w, 503, tt.code) })
			if err := tt.do(c); err == nil {
				t.Fatal("it succeeded")
			}
			calls := f.seen()
			if len(calls) != tt.want {
				t.Fatalf("%d requests, want %d", len(calls), tt.want)
			}
			key := calls[0].header.Get("Idempotency-Key")
			for _, again := range calls {
				if again.header.Get("Idempotency-Key") != key {
					t.Error("a repetition came with another idempotency key: it would write twice")
				}
			}
			if name == "a keyed write" && key == "" {
				t.Error("the write had no idempotency key")
			}
		})
	}
}

func TestRetryAfterIsHeard(t *testing.T) {
	if got := pause(0, &Problem{RetryAfter: 7 * time.Second}); got != 7*time.Second {
		t.Errorf("waits %v", got)
	}
	for wait, want := range map[time.Duration]int{time.Second: 4, time.Hour: 1} { // an hour is not worth waiting for
		f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(429)
			_, _ = io.WriteString(w, `{"title":"t","status":429,"code":"rate_limited","limit":"daily","request_id":"r","retryable":true,"errors":[]}`)
		})
		_, err := c.SearchRecords(t.Context(), CollectionRef{"shop", "events"}, SearchOptions{Where: map[string]any{"a": 1}})
		p, _ := errors.AsType[*Problem](err)
		if !errors.Is(err, ErrRateLimited) || p == nil || p.RetryAfter != wait || p.Limit != "daily" || len(f.seen()) != want {
			t.Errorf("told to wait %v: %d requests, %v", wait, len(f.seen()), err)
		}
	}
	for attempt := range 40 {
		if got := pause(attempt, errors.New("x")); got < 50*time.Millisecond || got > 5*time.Second {
			t.Errorf("attempt %d waits %v", attempt, got)
		}
	}
}

func TestRequests(t *testing.T) {
	ref := CollectionRef{"shop", "events"}
	for name, tt := range map[string]struct {
		do     func(*Client) error
		method string
		path   string
		header map[string]string
		body   string
	}{
		"read": {func(c *Client) error {
			_, err := c.GetRecord(t.Context(), event, ReadOptions{Fields: []string{"email", "a,b", "customer/name"}, Previous: true})
			return err
		}, "GET", "/v1/integrations/shop/collections/events/records/r1?revision=previous&fields=email,a%2Cb,customer%2Fname", nil, ""},
		"field": {func(c *Client) error { _, err := c.GetField(t.Context(), event, "customer/e mail"); return err },
			"GET", "/v1/integrations/shop/collections/events/records/r1/fields/customer%2Fe%20mail", nil, ""},
		"list": {func(c *Client) error {
			_, err := c.ListRecords(t.Context(), ref, ListOptions{Labels: map[string]string{"owner": "a&b"}, Limit: 7, Cursor: "c+1"})
			return err
		}, "GET", "/v1/integrations/shop/collections/events/records?label.owner=a%26b&limit=7&cursor=c%2B1", nil, ""},
		"create": {func(c *Client) error {
			_, err := c.CreateRecord(t.Context(), ref, RecordInput{ID: "mine", Fields: NewFields([]byte(`{"n":1.50}`)), Labels: map[string]string{}, EraseAt: &time.Time{}}, WriteOptions{IdempotencyKey: "k1"})
			return err
		}, "POST", "/v1/integrations/shop/collections/events/records", map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k1"},
			`{"erase_at":null,"fields":{"n":1.50},"id":"mine","labels":{}}`},
		"patch": {func(c *Client) error {
			_, err := c.PatchRecord(t.Context(), event, RecordInput{LabelChanges: map[string]*string{"a": nil}}, WriteOptions{IfRevision: 4})
			return err
		}, "PATCH", "/v1/integrations/shop/collections/events/records/r1", map[string]string{"Content-Type": mergePatch, "If-Match": `"4"`}, `{"labels":{"a":null}}`},
		"delete": {func(c *Client) error { _, err := c.DeleteRecord(t.Context(), event, WriteOptions{}); return err },
			"DELETE", "/v1/integrations/shop/collections/events/records/r1", nil, ""},
		"rollback": {func(c *Client) error { _, err := c.RollbackRecord(t.Context(), event, 2, WriteOptions{}); return err },
			"POST", "/v1/integrations/shop/collections/events/records/r1:rollback", nil, `{"revision":2}`},
		"expunge": {func(c *Client) error { return c.ExpungeRecord(t.Context(), event) },
			"POST", "/v1/integrations/shop/collections/events/records/r1:expunge", map[string]string{"Idempotency-Key": ""}, ""},
		"upsert": {func(c *Client) error {
			_, err := c.UpsertRecord(t.Context(), ref, "external_id", "merge", RecordInput{Fields: map[string]int{"a": 1}}, WriteOptions{})
			return err
		}, "POST", "/v1/integrations/shop/collections/events/records:upsert", nil, `{"fields":{"a":1},"key":"external_id","on_conflict":"merge"}`},
		"lookup": {func(c *Client) error {
			_, err := c.LookupRecord(t.Context(), ref, map[string]any{"external_id": "e1"})
			return err
		},
			"POST", "/v1/integrations/shop/collections/events/records:lookup", nil, `{"where":{"external_id":"e1"}}`},
		"delete of an integration": {func(c *Client) error { _, err := c.DeleteIntegration(t.Context(), "shop", true); return err },
			"DELETE", "/v1/integrations/shop?confirm=shop&now=true", nil, ""},
		"secret": {func(c *Client) error {
			_, err := c.CreateSecret(t.Context(), "svc", time.Hour, WriteOptions{})
			return err
		},
			"POST", "/v1/clients/svc/secrets", nil, `{"ttl":"1h0m0s"}`},
		"client with keys": {func(c *Client) error {
			auth := PrincipalAuth{Method: "private_key_jwt", JWKS: []byte(`{"keys":[]}`), DPoPBound: true}
			_, err := c.PutClient(t.Context(), "svc", PrincipalSpec{Roles: []string{}, PrincipalAuth: auth}, WriteOptions{})
			return err
		},
			"PUT", "/v1/clients/svc", nil, `{"roles":[],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]},"dpop_bound_access_tokens":true}`},
		"issuer": {func(c *Client) error {
			spec := IssuerSpec{URL: "https://i.example", Audiences: []string{"a"}, Rules: []IssuerRule{{Claims: map[string]string{"sub": "x"}, Client: "svc"}}}
			_, err := c.PutIssuer(t.Context(), "github", spec, WriteOptions{IfRevision: 3})
			return err
		},
			"PUT", "/v1/issuers/github", map[string]string{"If-Match": `"3"`}, `{"issuer":"https://i.example","audiences":["a"],"rules":[{"claims":{"sub":"x"},"client":"svc"}]}`},
		"delete of an issuer": {func(c *Client) error { return c.DeleteIssuer(t.Context(), "github") }, "DELETE", "/v1/issuers/github", nil, ""},
		"creation only": {func(c *Client) error {
			_, err := c.PutClient(t.Context(), "svc", PrincipalSpec{Roles: []string{"a"}}, WriteOptions{IfAbsent: true})
			return err
		},
			"PUT", "/v1/clients/svc", map[string]string{"If-None-Match": "*"}, `{"roles":["a"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var body bytes.Buffer
			f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				body.ReadFrom(r.Body)
				w.Header().Set("ETag", `"5-aa"`)
				io.WriteString(w, `{"id":"r1","revision":5,"secret_id":"s","client_secret":"v","items":[]}`)
			})
			if err := tt.do(c); err != nil {
				t.Fatal(err)
			}
			got := f.seen()[0]
			if got.method != tt.method || got.path != tt.path || body.String() != tt.body {
				t.Errorf("got  %s %s %s\nwant %s %s %s", got.method, got.path, &body, tt.method, tt.path, tt.body)
			}
			for name, want := range tt.header {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
				}
			}
		})
	}
}

func TestReadsKeepWhatTheServerSaid(t *testing.T) {
	raw := `{"id":"r1","revision":7,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:06Z","labels":{"a":"b"},"fields":{"n":1.50,"email":"o****@x.example"},"masked":["email"],"withheld":["ssn"]}`
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"7-ab"`)
		io.WriteString(w, raw)
	})
	r, err := c.GetRecord(t.Context(), event, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Fields.Reveal()) != `{"n":1.50,"email":"o****@x.example"}` || string(r.Reveal()) != raw || r.ETag != `"7-ab"` {
		t.Errorf("got %s, %s, %s", r.Fields.Reveal(), r.Reveal(), r.ETag)
	}
	if diff := cmp.Diff([][]string{{"email"}, {"ssn"}}, [][]string{r.Masked, r.Withheld}); diff != "" {
		t.Error(diff)
	}
}

func TestListsAreReadToTheirEnd(t *testing.T) {
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			io.WriteString(w, `{"items":[{"name":"a"}],"next_cursor":"2"}`)
			return
		}
		io.WriteString(w, `{"items":[{"name":"b"}],"next_cursor":null}`)
	})
	list, err := c.ListIntegrations(t.Context())
	if err != nil || len(list) != 2 || list[1].Name != "b" {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	secret := NewSecret("do-not-print")
	r := Record{ID: "r1", Fields: NewFields([]byte(`{"a":"do-not-print"}`))}
	config := Config{ClientSecret: secret}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", secret, "b", r.Fields, "c", config)
	encoded, err := json.Marshal(map[string]any{"a": secret, "b": r})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded) + fmt.Sprintf("%v %+v %#v %s %q %x", secret, r, config, r.Fields, secret, r.Fields)
	if strings.Contains(all, "do-not-print") || strings.Contains(all, hex.EncodeToString([]byte("do-not"))) {
		t.Errorf("it was printed: %s", all)
	}
}

func TestConfigurationIsRefused(t *testing.T) {
	for _, url := range []string{"", "http://127.0.0.1:8443", "127.0.0.1:8443", "https://x/v1", "https://u:p@x", "https://x?a=b"} {
		if _, err := New(Config{URL: url, ClientID: "a", ClientSecret: NewSecret("b")}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	if _, err := New(Config{URL: "https://x", ClientID: "a"}); err == nil {
		t.Error("a client without a secret was made")
	}
}

func TestFromEnv(t *testing.T) {
	for _, name := range []string{EnvURL, EnvCACert, EnvClientID, EnvClientSecret} {
		t.Setenv(name, "")
	}
	t.Setenv(EnvURL, "https://x")
	if _, err := FromEnv(); err == nil || !strings.Contains(err.Error(), EnvClientID+", "+EnvClientSecret) {
		t.Errorf("got %v", err)
	}
	t.Setenv(EnvClientID, "a")
	t.Setenv(EnvClientSecret, "b")
	if c, err := FromEnv(); err != nil || c.ClientSecret.Reveal() != "b" {
		t.Errorf("got %v", err)
	}
}

func TestUnreachedServerIsUnavailable(t *testing.T) {
	f, c := newFake(t, nil)
	f.Close()
	_, err := c.GetRecord(t.Context(), event, ReadOptions{})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
