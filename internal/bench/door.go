package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"time"
)

// Door is one server's handler twice: with and without what stands between a
// caller and the work. Requests go to it without a network, so that the
// difference is not lost in what a network costs.
type Door struct {
	Guarded, Open http.Handler
	Token         string // of a client that may do everything
	Rounds        int    // of both in turn; the median counts
	Reads         int    // of a round
}

// DoorCost is what a read costs, and what of that the door does.
type DoorCost struct {
	Read       float64 `json:"read_us"`
	Door       float64 `json:"door_us"`
	ReadAllocs float64 `json:"read_allocations"`
	DoorAllocs float64 `json:"door_allocations"`
}

// doorLimits are limits that count every read, with two windows each, and
// refuse none of them.
var doorLimits = []string{"client", "address", "total"}

// Measure makes a record of eight fields and reads it.
func (d *Door) Measure() (cost DoorCost, err error) {
	place, err := d.furnish()
	if err != nil {
		return cost, err
	}
	var with, without []sample
	for range d.Rounds {
		for _, side := range []struct {
			h  http.Handler
			to *[]sample
		}{{d.Guarded, &with}, {d.Open, &without}} {
			s, err := d.reads(side.h, place)
			if err != nil {
				return cost, err
			}
			*side.to = append(*side.to, s)
		}
	}
	a, b := medianSample(with), medianSample(without)
	return DoorCost{Read: a.us, Door: a.us - b.us, ReadAllocs: a.allocs, DoorAllocs: a.allocs - b.allocs}, nil
}

// furnish returns the path of a record.
func (d *Door) furnish() (string, error) {
	for _, per := range doorLimits {
		limit := `{"per":"` + per + `","requests":[{"limit":1000000000,"window":"1s"},{"limit":1000000000,"window":"24h"}]}`
		if _, err := d.do("PUT", "/v1/limits/bench-"+per, limit); err != nil {
			return "", err
		}
	}
	if _, err := d.do("PUT", "/v1/integrations/"+integration, `{}`); err != nil {
		return "", err
	}
	if _, err := d.do("PUT", recordsPath[:len(recordsPath)-len("/records")], `{"schema":`+schema+`}`); err != nil {
		return "", err
	}
	h, err := d.do("POST", recordsPath, string(newMaker(1).record(nil, 1)))
	return h.Get("Location"), err
}

func (d *Door) do(method, path, body string) (http.Header, error) {
	r, err := d.request(method, path)
	if err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	w := &status{header: http.Header{}}
	d.Guarded.ServeHTTP(w, r)
	if w.code >= 300 {
		return nil, fmt.Errorf("bench: %s answered %d", method, w.code)
	}
	return w.header, nil
}

func (d *Door) request(method, path string) (*http.Request, error) {
	r, err := http.NewRequest(method, path, nil)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer "+d.Token)
	return r, nil
}

// sample is the mean of a round's reads.
type sample struct{ us, allocs float64 }

func (d *Door) reads(h http.Handler, place string) (sample, error) {
	r, err := d.request("GET", place)
	if err != nil {
		return sample{}, err
	}
	w := &status{header: http.Header{}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range d.Reads {
		clear(w.header)
		if h.ServeHTTP(w, r); w.code != http.StatusOK {
			return sample{}, fmt.Errorf("bench: a read answered %d", w.code)
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	n := float64(d.Reads)
	return sample{float64(took.Nanoseconds()) / 1e3 / n, float64(after.Mallocs-before.Mallocs) / n}, nil
}

// medianSample takes the median of either figure by itself.
func medianSample(list []sample) sample {
	us, allocs := make([]float64, len(list)), make([]float64, len(list))
	for i, s := range list {
		us[i], allocs[i] = s.us, s.allocs
	}
	slices.Sort(us)
	slices.Sort(allocs)
	return sample{us[len(us)/2], allocs[len(allocs)/2]}
}

// status is a ResponseWriter that keeps the status alone.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(code int)        { s.code = code }

// Check refuses what could not be measured.
func (d *Door) Check() error {
	if d.Rounds < 1 || d.Rounds > 1000 || d.Reads < 1 || d.Reads > 10_000_000 {
		return errors.New("--rounds are from 1 to 1,000 and --reads from 1 to 10,000,000")
	}
	return nil
}
