package store_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/storetest"
)

// benchRecords is how many records the sweeps of the benchmarks go through:
// STRONGROOM_SWEEP_RECORDS, or 20,000.
func benchRecords(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("STRONGROOM_SWEEP_RECORDS"))
	if err != nil {
		return 20_000
	}
	return n
}

// sweepField is 64 bytes of JSON.
var sweepField = `"` + strings.Repeat("v", 62) + `"`

// stocked makes a store with records of 8 fields of 64 bytes, indexed so.
func stocked(b *testing.B, n int, index string) (*storetest.Fixture, store.KeyDomain) {
	b.Helper()
	f := storetest.OpenWith(b, storetest.Options{Unchecked: true})
	_, _, err := f.PutIntegration(always, f.Root(), "acme", store.IntegrationSpec{}, store.Precondition{})
	need(b, err)
	schema := `{"type":"object","properties":{"f0":{"type":"string"` + index + `}`
	for i := range 7 {
		schema += fmt.Sprintf(`,"f%d":{"type":"string"}`, i+1)
	}
	_, _, err = f.PutCollection(always, f.Root(), customers, store.CollectionSpec{Schema: []byte(schema + "}}"), ExpectedRecords: uint64(n)}, store.Precondition{})
	need(b, err)
	line := 0
	next := func() (store.ImportLine, bool) { line++; return store.ImportLine{Number: line}, line <= n }
	decode := func([]byte) (store.RecordInput, error) {
		fields := fmt.Sprintf(`{"f0":"%062d"`, line)
		for i := range 7 {
			fields += fmt.Sprintf(`,"f%d":%s`, i+1, sweepField)
		}
		return store.RecordInput{Fields: []byte(fields + "}")}, nil
	}
	need(b, f.ImportRecords(always, f.Root(), customers, store.ImportOptions{Decode: decode}, next, func(r store.ImportResult) error { return r.Err }))
	domains, err := f.KeyDomains(f.Root())
	need(b, err)
	return f, domains[0]
}

// BenchmarkSweep measures whole sweeps of an idle store on bbolt, fsync
// included: values a second, the processor time of each, which a busy machine
// changes little, and how long the write lock was held at once.
func BenchmarkSweep(b *testing.B) {
	for _, c := range []struct {
		name, index string
		o           store.SweepOptions
		entries     int
	}{
		{"rewrap", "", store.SweepOptions{}, 5000},
		{"rewrap-1000", "", store.SweepOptions{}, 1000},
		{"reseal", "", store.SweepOptions{Reseal: true}, 5000},
		{"reindex", `,"x-index":"exact"`, store.SweepOptions{Reindex: true}, 5000},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := benchRecords(b)
			f, d := stocked(b, n, c.index)
			var held, used time.Duration
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				refs, err := f.AddKeysets(always, runner, d, bothKinds)
				need(b, err)
				need(b, f.PromoteKeysets(always, runner, d, refs))
				b.StartTimer()
				used -= cpuTime(b)
				w := f.Sweeper(runner, d, c.o)
				for done := false; !done; {
					delta, err := w.Step(always, store.Budget{Entries: c.entries}, nil)
					need(b, err)
					done, held = delta.Done, max(held, delta.Held)
				}
				used += cpuTime(b)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
			b.ReportMetric(float64(used.Nanoseconds())/1000/float64(n)/float64(b.N), "cpu-us/value")
			b.ReportMetric(float64(held.Microseconds())/1000, "ms-held-max")
		})
	}
}

// cpuTime is the processor time that the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	need(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
