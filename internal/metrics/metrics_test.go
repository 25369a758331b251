package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom/store"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	m := New("1.2.3", nil)
	e := m.Endpoint("/v1/things/{thing}", "GET")
	e.Begin()
	e.Begin()
	e.Begin()
	e.End(200, 3*time.Millisecond)
	e.End(404, time.Millisecond)
	m.Problem("not_found")
	m.TokenIssued()
	m.Imported(7, 2)
	wantLines(t, scrape(t, m),
		`strongroom_http_requests_in_flight 1`,
		`strongroom_http_request_duration_seconds_count{method="GET",route="/v1/things/{thing}",status="200"} 1`,
		`strongroom_http_request_duration_seconds_bucket{method="GET",route="/v1/things/{thing}",status="200",le="0.0025"} 0`,
		`strongroom_http_request_duration_seconds_bucket{method="GET",route="/v1/things/{thing}",status="200",le="0.005"} 1`,
		`strongroom_http_request_duration_seconds_count{method="GET",route="/v1/things/{thing}",status="404"} 1`,
		`strongroom_http_problems_total{code="not_found"} 1`,
		`strongroom_tokens_issued_total 1`,
		`strongroom_import_lines_total{result="stored"} 7`,
		`strongroom_import_lines_total{result="failed"} 2`,
		`strongroom_build_info{version="1.2.3"} 1`)
}

func TestHealthFollowsTheStore(t *testing.T) {
	var reasons []store.Reason
	m := New("", func() []store.Reason { return reasons })
	wantLines(t, scrape(t, m), `strongroom_ready 1`)
	reasons = []store.Reason{{Code: "key_service", Degraded: true}, {Code: "key_service", Degraded: true}}
	wantLines(t, scrape(t, m), `strongroom_ready 1`, `strongroom_degraded{code="key_service"} 2`)
	reasons = append(reasons, store.Reason{Code: "closed"})
	wantLines(t, scrape(t, m), `strongroom_ready 0`, `strongroom_degraded{code="closed"} 1`)
}

func TestObservingDoesNotAllocate(t *testing.T) {
	e := New("", nil).Endpoint("/r", "GET")
	if n := testing.AllocsPerRun(100, func() { e.Begin(); e.End(200, time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestTheStoresCountsAreShown(t *testing.T) {
	m := New("", nil)
	m.Watch(func() store.Stats { return store.Stats{IntegrityFailures: 3, Denials: 2, StaleWrites: 1} })
	wantLines(t, scrape(t, m), `strongroom_integrity_failures_total 3`, `strongroom_denials_total 2`, `strongroom_stale_writes_total 1`)
}
