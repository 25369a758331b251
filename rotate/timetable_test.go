package rotate

import (
	"testing"
	"time"
)

// Wherever a grid begins, the next due instant comes after the moment that is
// asked for; else what is due would never end.
func TestTimetableComesAfter(t *testing.T) {
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	for _, start := range []time.Time{{}, time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1699, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), now} {
		every := Span(time.Hour)
		spec := ScheduleSpec{Request: Request{System: true, Depth: DepthKEK}, Every: &every, Start: &start}
		table, err := spec.compile("seed")
		if err != nil {
			continue
		}
		if next := table.next(now); !next.After(now) {
			t.Errorf("from %s on: due at %s, which is not after %s", start, next, now)
		}
	}
}

// Instants that wait for the same opening of a window share the search for it, and
// are found to be due as if each had looked by itself.
func TestDueInAWindow(t *testing.T) {
	jitter := Span(time.Hour)
	for _, days := range [][]string{{"sun"}, {"mon", "thu"}, nil} {
		spec := ScheduleSpec{
			Request: Request{System: true, Depth: DepthKEK}, Cron: "*/20 * * * *", Jitter: &jitter, TimeZone: "Europe/Zurich",
			Window: &Window{Days: days, From: "23:30", To: "02:30"},
		}
		table, err := spec.compile("seed")
		if err != nil {
			t.Fatal(err)
		}
		dealt := time.Date(2026, 3, 25, 7, 0, 30, 0, time.UTC) // before the clock is set forward
		for hours := range 8 * 24 / 5 {
			now := dealt.Add(time.Duration(hours) * 5 * time.Hour)
			latest, others := table.due(dealt, now)
			var want time.Time
			n := uint64(0)
			for at := table.next(dealt); !table.starts(at).After(now); at = table.next(at) {
				want, n = at, n+1
			}
			if !latest.Equal(want) || others != max(n, 1)-1 {
				t.Fatalf("%v at %s: due %s and %d others, want %s and %d", days, now, latest, others, want, max(n, 1)-1)
			}
		}
	}
}

// Many instants that wait for the same window are found without going through
// the minutes for each of them.
func BenchmarkDueInAWindow(b *testing.B) {
	spec := ScheduleSpec{Request: Request{System: true, Depth: DepthKEK}, Cron: "* * * * *", Window: &Window{Days: []string{"sun"}, From: "00:00", To: "00:01"}}
	table, err := spec.compile("seed")
	if err != nil {
		b.Fatal(err)
	}
	sunday := time.Date(2026, 1, 4, 0, 0, 30, 0, time.UTC)
	for b.Loop() {
		table.due(sunday, sunday.AddDate(0, 0, 7))
	}
}
