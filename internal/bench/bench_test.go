package bench

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"strongroom/store/bolt/floor"
)

func TestHistogramIsOffByLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		up := upper(bucketOf(d))
		if up < d || float64(up) > float64(d)*(1+1.0/sub)+1 {
			t.Fatalf("%d is in the bucket up to %d", d, up)
		}
	})
}

func TestQuantiles(t *testing.T) {
	var a, b histogram
	for i := 1; i <= 1000; i++ {
		h := &a
		if i%2 == 0 {
			h = &b
		}
		h.record(time.Duration(i) * time.Microsecond)
	}
	a.merge(&b)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		got := a.quantile(q)
		if got < want || float64(got) > float64(want)*1.04 {
			t.Errorf("the %v quantile is %v, want %v", q, got, want)
		}
	}
	if a.n != 1000 || a.max != time.Millisecond {
		t.Errorf("%d recorded, %v at most", a.n, a.max)
	}
}

func serve(t *testing.T, h http.HandlerFunc) *target {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &target{address: s.Listener.Addr().String(), token: "tok", tls: &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13}}
}

func TestConnectionSpeaksHTTP(t *testing.T) {
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer tok" {
			w.WriteHeader(401)
		}
		text := fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), body)
		if strings.Contains(r.URL.Path, "chunked") {
			w.(http.Flusher).Flush()
			io.WriteString(w, text[:5])
			w.(http.Flusher).Flush()
			io.WriteString(w, text[5:])
			return
		}
		io.WriteString(w, text)
	})
	c, err := to.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for range 2 { // on one connection, so that each answer must be read to its end
		for _, path := range []string{"/plain", "/chunked"} {
			for _, keep := range []bool{true, false} {
				status, err := c.roundTrip(to.request(nil, "POST", path, "text/x", []byte("hello")), keep)
				want := ""
				if keep {
					want = "POST " + path + " text/x hello"
				}
				if err != nil || status != 200 || string(c.body) != want {
					t.Fatalf("%s: %d %q %v", path, status, c.body, err)
				}
			}
		}
	}
}

func TestStreamWritesAndReadsAtOnce(t *testing.T) {
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		buffer := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(buffer[:n]) // as much comes back: neither side's buffers hold it all
			if err != nil {
				return
			}
		}
	})
	c, err := to.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	body := []byte(strings.Repeat("x", 16<<20))
	status, err := c.stream(to.request(nil, "POST", "/", "text/x", body))
	if err != nil || status != 200 || len(c.body) != len(body) {
		t.Errorf("%d, %d bytes, %v", status, len(c.body), err)
	}
}

func TestRecordsAreWhatTheSchemaSays(t *testing.T) {
	var body struct{ Fields map[string]string }
	text := newMaker(1).record(nil, 42)
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	if len(body.Fields) != 8 || body.Fields["email"] != emailOf(42) {
		t.Errorf("got %v", body.Fields)
	}
	for name, value := range body.Fields {
		if len(value) < 48 || len(value) > 72 {
			t.Errorf("%s has %d bytes, not about 64", name, len(value))
		}
	}
	var search struct{ Where map[string]string }
	if err := json.Unmarshal(newMaker(2).search(nil, 42), &search); err != nil || search.Where["email"] != emailOf(42) {
		t.Errorf("a search asks for %v (%v)", search.Where, err)
	}
}

func TestBareServerAnswersTheSameBytes(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	cert, roots := s.TLS.Certificates[0], x509.NewCertPool()
	roots.AddCert(s.Certificate())
	s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store, err := floor.Open(filepath.Join(t.TempDir(), "floor.db"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	bare := &Bare{Read: json.RawMessage(`{"id":"a","fields":{"a":"b"}}`), Write: json.RawMessage(`{"id":"a"}`), Stored: 100}
	go func() { ended <- bare.Serve(l, cert, store) }()
	to := &target{address: l.Addr().String(), tls: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	c, err := to.connect()
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{"GET": "200 " + string(bare.Read), "POST": "201 " + string(bare.Write)} {
		status, err := c.roundTrip(to.request(nil, method, "/x", "", nil), true)
		if got := fmt.Sprintf("%d %s", status, c.body); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", method, got, err, want)
		}
	}
	c.close()
	l.Close()
	<-ended
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestSampleOfIDsIsEven(t *testing.T) {
	b := &Bench{}
	const n = 4 * sampled
	for i := range n {
		b.remember(fmt.Sprint(i))
	}
	if len(b.ids) != sampled {
		t.Fatalf("%d ids are kept", len(b.ids))
	}
	late := 0
	for _, id := range b.ids {
		if len(id) == 6 && id >= "200000" {
			late++
		}
	}
	if share := float64(late) / sampled; share < 0.48 || share > 0.52 {
		t.Errorf("%.2f of the sample is from the later half", share)
	}
}

func TestRatiosAndMedians(t *testing.T) {
	round := func(read, bare float64) []Result {
		return []Result{{Workload: Read, Connections: 16, Rate: read}, {Workload: BareHTTP, Connections: 16, Rate: bare}}
	}
	var r Report
	r.add([][]Result{round(60, 100), round(10, 100), round(35, 50)})
	want := Report{
		Results: []Result{{Workload: Read, Connections: 16, Rate: 35}, {Workload: BareHTTP, Connections: 16, Rate: 100}},
		Ratios:  []Ratio{{Read, BareHTTP, 16, 0.6}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if m := median([]Result{{Rate: 9}, {Rate: 1}, {Rate: 5}}); m.Rate != 5 {
		t.Errorf("the median is %v", m.Rate)
	}
}
