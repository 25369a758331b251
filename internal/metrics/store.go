package metrics

import "strongroom/store"

// Watch adds what the store itself counts, wherever it came across it: a
// damaged record in a list is no problem document, and a damaged role is found
// before anybody asks.
func (m *Metrics) Watch(stats func() store.Stats) {
	for _, c := range []struct {
		name, help string
		count      func(store.Stats) uint64
	}{
		{"strongroom_integrity_failures_total", "Stored values that did not authenticate, each time that one was met.",
			func(s store.Stats) uint64 { return s.IntegrityFailures }},
		{"strongroom_denials_total", "Calls that no role of the caller allowed, and failed authentications.",
			func(s store.Stats) uint64 { return s.Denials }},
		{"strongroom_stale_writes_total", "Writes that were made again because what they were made from had changed.",
			func(s store.Stats) uint64 { return s.StaleWrites }},
	} {
		m.Figure(c.name, c.help, true, func() float64 { return float64(c.count(stats())) })
	}
}
