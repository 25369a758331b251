package rotate

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"strongroom/store"
)

// yearly is a schedule of the simulated year, with when it is due as somebody
// else would say it.
type yearly struct {
	name  string
	spec  ScheduleSpec
	due   []time.Time
	zone  *time.Location
	open  func(local time.Time) bool // nil: always
	spans time.Duration              // of the jitter
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func spanOf(d time.Duration) *Span { s := Span(d); return &s }

// daily returns what a clock shows once on each day of the year for which keep
// says so; where it shows it twice, the first.
func daily(z *time.Location, hour, minute int, keep func(time.Time) bool) (out []time.Time) {
	for day := time.Date(2026, 1, 1, 12, 0, 0, 0, z); day.Year() == 2026; day = day.AddDate(0, 0, 1) {
		at := time.Date(2026, day.Month(), day.Day(), hour, minute, 0, 0, z)
		if first := at.Add(-time.Hour); first.Hour() == at.Hour() {
			at = first
		}
		if at.UTC().Year() == 2026 && (keep == nil || keep(day)) {
			out = append(out, at.UTC())
		}
	}
	return out
}

func every(start time.Time, d time.Duration) (out []time.Time) {
	for at := start; at.Year() < 2027; at = at.Add(d) {
		out = append(out, at)
	}
	return out
}

func yearlies(t *testing.T, start time.Time) []yearly {
	berlin, york := zone(t, "Europe/Berlin"), zone(t, "America/New_York")
	later := start.Add(100 * time.Hour)
	sunday := func(d time.Time) bool { return d.Weekday() == time.Sunday }
	night := func(l time.Time) bool { return l.Hour() >= 22 || l.Hour() < 4 }
	return []yearly{
		{name: "daily", spec: ScheduleSpec{Every: spanOf(24 * time.Hour)}, due: every(start.Add(24*time.Hour), 24*time.Hour)},
		{name: "odd", spec: ScheduleSpec{Every: spanOf(37 * time.Hour), Start: &later, Jitter: spanOf(5 * time.Hour)}, due: every(later, 37*time.Hour), spans: 5 * time.Hour},
		{name: "night", spec: ScheduleSpec{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Jitter: spanOf(20 * time.Minute)}, due: daily(berlin, 2, 30, nil), spans: 20 * time.Minute},
		{name: "weekly", spec: ScheduleSpec{Cron: "15 1 * * sun", TimeZone: "America/New_York"}, due: daily(york, 1, 15, sunday)},
		{name: "window", spec: ScheduleSpec{Cron: "@daily", TimeZone: "Europe/Berlin", Jitter: spanOf(9 * time.Hour), Window: &Window{From: "22:00", To: "04:00"}},
			due: daily(berlin, 0, 0, nil), zone: berlin, open: night, spans: 9 * time.Hour},
		{name: "monthly", spec: ScheduleSpec{Cron: "0 12 1 * *", Window: &Window{Days: []string{"sat"}, From: "06:00", To: "07:30"}},
			due:  daily(time.UTC, 12, 0, func(d time.Time) bool { return d.Day() == 1 }),
			zone: time.UTC, open: func(l time.Time) bool {
				m := l.Hour()*60 + l.Minute()
				return l.Weekday() == time.Saturday && m >= 360 && m < 450
			}},
	}
}

// outage is a time in which no process runs.
type outage struct{ from, to time.Time }

// begun is a rotation that a schedule has started.
type begun struct{ due, at time.Time }

// A year passes, with restarts, processes that are killed and writes that fail in
// the middle of a start, days without a process, and clocks that are set forward
// and back. Every rotation happens once, at its time or soon after the process is
// there again, and none drifts.
func TestYearOfSchedules(t *testing.T) {
	for seed := range years() {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		all := yearlies(t, start)
		var names []string
		for _, y := range all {
			names = append(names, y.name)
		}
		w := newWorld(t, names...)
		w.clock = start
		for _, y := range all {
			y.spec.Request = Request{Integrations: []string{y.name}, Depth: DepthKEK}
			if _, created, err := w.m.PutSchedule(t.Context(), operator, y.name, y.spec, store.Precondition{}); err != nil || !created {
				t.Fatalf("schedule %s: %v", y.name, err)
			}
		}
		got, outages := w.pass(rand.New(rand.NewPCG(seed, 1)), start.AddDate(1, 0, 0))
		if err := w.m.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, y := range all {
			total += len(got[y.name])
			y.compare(t, w, got[y.name], outages)
		}
		if total < 1000 || len(outages) < 20 {
			t.Fatalf("seed %d: %d rotations, %d outages", seed, total, len(outages))
		}
		for _, d := range w.model.domains {
			if n := len(got[d.Integration]); d.latest != n+1 && d.latest != n {
				t.Errorf("%s: %d rotations, and version %d of the KEK", d.KeyDomain, n, d.latest)
			}
		}
		w.sound(t)
	}
}

// years is how many years are simulated, each with other troubles.
func years() uint64 {
	if os.Getenv("STRONGROOM_LONG") != "" {
		return 40
	}
	return 2
}

// pass lets time pass until the year is over.
func (w *world) pass(random *rand.Rand, until time.Time) (map[string][]begun, []outage) {
	got, seen := map[string][]begun{}, map[string]bool{}
	var outages []outage
	for w.clock.Before(until) {
		switch n := random.IntN(400); {
		case n < 2:
			w.rest()
			from := w.clock
			w.clock = w.clock.Add(time.Duration(1+random.Int64N(int64(70*time.Hour)/1e9)) * time.Second)
			outages = append(outages, outage{from, w.clock})
			w.restart()
		case n < 6:
			w.restart()
		case n < 20:
			w.failOnce(random)
		}
		w.step(2 * time.Hour)
		if w.model.crashed {
			w.restart()
		}
		w.collect(got, seen)
	}
	return got, outages
}

// rest lets what failed be tried again, and does what is to be done then.
func (w *world) rest() {
	w.model.fail = nil
	for until := w.clock.Add(5 * time.Minute); w.clock.Before(until); {
		if w.model.crashed {
			w.restart()
		}
		w.step(time.Minute)
	}
	for range 1000 {
		if w.m.advance(w.t.Context()) > 0 {
			return
		}
	}
	w.t.Fatal("there is no end of what is to be done")
}

func (w *world) failOnce(random *rand.Rand) {
	at := w.model.calls + 1 + random.IntN(12)
	err := []error{errCrash, store.ErrNotPersisted, store.ErrOutcomeUnknown}[random.IntN(3)]
	late := random.IntN(2) == 0 && !errors.Is(err, store.ErrNotPersisted)
	w.model.fail = func(_ string, after bool) error {
		if w.model.calls != at || after != late {
			return nil
		}
		w.model.crashed = errors.Is(err, errCrash)
		return err
	}
}

// collect notes rotations that are new among the rows.
func (w *world) collect(got map[string][]begun, seen map[string]bool) {
	for _, row := range w.model.rows {
		if row.Kind != store.RowRotation || seen[row.ID] {
			continue
		}
		seen[row.ID] = true
		var doc rotationDoc
		if err := json.Unmarshal(row.Doc, &doc); err != nil {
			w.t.Fatal(err)
		}
		got[doc.Schedule] = append(got[doc.Schedule], begun{*doc.Due, doc.CreatedAt})
	}
}

// ready returns the first moment from one on at which a process runs and the
// window is open.
func (y *yearly) ready(from time.Time, outages []outage) time.Time {
	for at := from; ; {
		moved := false
		for _, o := range outages {
			if at.After(o.from) && at.Before(o.to) {
				at, moved = o.to, true
			}
		}
		for y.open != nil && !y.open(at.In(y.zone)) {
			at, moved = at.Add(time.Minute).Truncate(time.Minute), true
		}
		if !moved {
			return at
		}
	}
}

// compare holds what was started against what should have been: of several due
// instants that come to start at one moment, the last.
func (y *yearly) compare(t *testing.T, w *world, got []begun, outages []outage) {
	t.Helper()
	table := w.m.schedules[y.name].table
	var want []begun
	delays := map[time.Duration]bool{}
	for _, due := range y.due {
		delay := table.delay(due)
		if delays[delay] = true; delay < 0 || delay > 0 && delay >= y.spans {
			t.Fatalf("%s: a jitter of %s", y.name, delay)
		}
		at := y.ready(due.Add(delay), outages)
		if n := len(want); n > 0 && !want[n-1].at.Before(at) {
			want = want[:n-1]
		}
		want = append(want, begun{due, at})
	}
	if y.spans > 0 && len(delays) < 50 {
		t.Errorf("%s: jitters of %d lengths", y.name, len(delays))
	}
	slices.SortFunc(got, func(a, b begun) int { return a.at.Compare(b.at) })
	late := func(b begun) bool { return b.due.YearDay() > 350 || b.due.Year() > 2026 } // it may begin next year
	want, got = slices.DeleteFunc(want, late), slices.DeleteFunc(got, late)
	for i, b := range got {
		// A write that failed is tried again after a minute, when the window may
		// have closed.
		if i >= len(want) || !b.due.Equal(want[i].due) || b.at.Before(want[i].at) || b.at.Sub(y.ready(want[i].at.Add(retryDue), outages)) > 3*time.Minute {
			t.Fatalf("%s: rotation %d was for %s and began at %s; of %d wanted: %v", y.name, i, b.due, b.at, len(want), want[max(0, min(i, len(want))-1):min(i+2, len(want))])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d rotations, want %d", y.name, len(got), len(want))
	}
}
