package rotate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/store"
)

func nightly() ScheduleSpec {
	return ScheduleSpec{Request: Request{Integrations: []string{"acme"}, Depth: DepthKEK}, Cron: "0 3 * * *"}
}

func (w *world) put(name string, spec ScheduleSpec, pre store.Precondition) Schedule {
	w.t.Helper()
	s, _, err := w.m.PutSchedule(w.t.Context(), operator, name, spec, pre)
	if err != nil {
		w.t.Fatalf("put the schedule: %v", err)
	}
	return s
}

// pass steps until a moment.
func (w *world) passUntil(at time.Time) {
	for w.clock.Before(at) {
		w.step(max(at.Sub(w.clock), 0))
	}
}

func (w *world) schedule(name string) Schedule {
	w.t.Helper()
	s, err := w.m.GetSchedule(w.t.Context(), operator, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestScheduleDefinitions(t *testing.T) {
	hour, minute, week := spanOf(time.Hour), spanOf(time.Minute), spanOf(168*time.Hour)
	for want, change := range map[string]func(*ScheduleSpec){
		"":                       func(s *ScheduleSpec) { s.Every = hour },
		"/every":                 func(s *ScheduleSpec) { s.Cron, s.Every = "", minute },
		"/cron":                  func(s *ScheduleSpec) { s.Cron = "0 0 30 2 *" },
		"/cron ":                 func(s *ScheduleSpec) { s.Cron = "CRON_TZ=Asia/Tokyo 0 0 * * *" },
		"/cron  ":                func(s *ScheduleSpec) { s.Cron = "@every 1h" },
		"/cron   ":               func(s *ScheduleSpec) { s.Cron = "0 3 * *" },
		"/time_zone":             func(s *ScheduleSpec) { s.TimeZone = "Mars/Base" },
		"/time_zone ":            func(s *ScheduleSpec) { s.TimeZone = "Local" },
		"/start":                 func(s *ScheduleSpec) { s.Cron, s.Every, s.Start = "", hour, &time.Time{} },
		"/jitter":                func(s *ScheduleSpec) { s.Jitter = spanOf(169 * time.Hour) },
		"/jitter ":               func(s *ScheduleSpec) { s.Cron, s.Every, s.Jitter = "", hour, week },
		"/max_age":               func(s *ScheduleSpec) { s.MaxAge = minute },
		"/window/from":           func(s *ScheduleSpec) { s.Window = &Window{From: "25:00", To: "04:00"} },
		"/window/to":             func(s *ScheduleSpec) { s.Window = &Window{From: "22:00", To: "4:00"} },
		"/window/days/1":         func(s *ScheduleSpec) { s.Window = &Window{From: "22:00", To: "04:00", Days: []string{"mon", "moon"}} },
		"/rotation/depth":        func(s *ScheduleSpec) { s.Request.Depth = "deep" },
		"/rotation/integrations": func(s *ScheduleSpec) { s.Request.Integrations = nil },
		"/rotation/compromised":  func(s *ScheduleSpec) { s.Request = Request{Compromised: "0a0b0c0d"} },
		"/rotation/reindex":      func(s *ScheduleSpec) { s.Request.Reindex = true },
	} {
		spec := nightly()
		change(&spec)
		w := newWorld(t, "acme")
		_, _, err := w.m.PutSchedule(t.Context(), operator, "nightly", spec, store.Precondition{})
		bad, ok := errors.AsType[*store.Invalid](err)
		if !ok || len(bad.Issues) != 1 || bad.Issues[0].Pointer != strings.TrimSpace(want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestSchedulePreconditions(t *testing.T) {
	w := newWorld(t, "acme")
	first := w.put("nightly", nightly(), store.Precondition{Absent: true})
	second := w.put("nightly", nightly(), store.Precondition{IfMatch: []uint64{first.Version}})
	for _, pre := range []store.Precondition{{Absent: true}, {IfMatch: []uint64{first.Version}}} {
		if _, _, err := w.m.PutSchedule(t.Context(), operator, "nightly", nightly(), pre); !errors.Is(err, store.ErrPrecondition) {
			t.Errorf("%+v: %v", pre, err)
		}
	}
	if err := w.m.DeleteSchedule(t.Context(), operator, "nightly", store.Precondition{IfMatch: []uint64{first.Version}}); !errors.Is(err, store.ErrPrecondition) {
		t.Errorf("delete another version: %v", err)
	}
	if err := w.m.DeleteSchedule(t.Context(), operator, "nightly", store.Precondition{IfMatch: []uint64{second.Version}}); err != nil {
		t.Error(err)
	}
	w.restart()
	if all, err := w.m.ListSchedules(t.Context(), operator); err != nil || len(all) != 0 {
		t.Errorf("after the delete: %v, %v", all, err)
	}
	again := w.put("nightly", nightly(), store.Precondition{Absent: true})
	if again.Run.LastRotation != "" {
		t.Errorf("a new schedule remembers the old one: %+v", again)
	}
}

func TestPausedScheduleIsNotMadeUpFor(t *testing.T) {
	w := newWorld(t, "acme")
	w.put("nightly", nightly(), store.Precondition{})
	w.passUntil(w.clock.AddDate(0, 0, 3))
	if n := w.model.domains[0].latest; n != 4 {
		t.Fatalf("version %d of the KEK after three nights", n)
	}
	paused := nightly()
	paused.Paused = true
	if s := w.put("nightly", paused, store.Precondition{}); s.Run.NextDue != nil || s.Run.LastRotation == "" {
		t.Fatalf("paused: %+v", s)
	}
	w.passUntil(w.clock.AddDate(0, 0, 10))
	w.put("nightly", nightly(), store.Precondition{})
	w.passUntil(w.clock.Add(10 * time.Hour))
	if n := w.model.domains[0].latest; n != 4 {
		t.Fatalf("version %d of the KEK: nights of the pause were made up for", n)
	}
	w.passUntil(w.clock.AddDate(0, 0, 1))
	if n := w.model.domains[0].latest; n != 5 {
		t.Fatalf("version %d of the KEK after the pause", n)
	}
}

func TestMaximumAge(t *testing.T) {
	w := newWorld(t, "acme")
	spec := nightly()
	spec.MaxAge = spanOf(30 * time.Hour)
	w.put("nightly", spec, store.Precondition{})
	w.passUntil(w.clock.AddDate(0, 0, 2))
	if reasons := w.m.Reasons(); len(reasons) > 0 || len(w.events) > 0 {
		t.Fatalf("reasons: %+v; events: %d", reasons, len(w.events))
	}
	w.model.keysAway = true
	w.passUntil(w.clock.Add(50 * time.Hour))
	overdue := func() bool {
		for _, r := range w.m.Reasons() {
			if r.Code == "rotation_overdue" && r.Degraded && strings.Contains(r.Detail, "nightly") {
				return true
			}
		}
		return false
	}
	if !overdue() || !w.schedule("nightly").Run.Overdue || !w.m.Stats().Schedules[0].Overdue {
		t.Fatalf("after 50 hours: %+v", w.m.Reasons())
	}
	if len(w.events) != 1 || w.events[0].Event != "rotation_overdue" || w.events[0].Target != "schedule/nightly" {
		t.Fatalf("%d events", len(w.events))
	}
	w.model.keysAway = false
	w.passUntil(w.clock.Add(2 * time.Hour))
	if overdue() {
		t.Fatalf("after a rotation: %+v", w.m.Reasons())
	}
}

// A due rotation whose domain another one works on starts when that has ended.
func TestDueWhileAnotherRotationRuns(t *testing.T) {
	w := newWorld(t, "acme")
	w.put("nightly", nightly(), store.Precondition{})
	grace := Span(30 * time.Hour)
	other := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset, Grace: &grace})
	w.passUntil(time.Date(2026, 1, 6, 12, 0, 0, 0, time.UTC))
	if s := w.schedule("nightly"); !strings.Contains(s.Run.Detail, other.ID) || s.Run.LastRotation != "" {
		t.Fatalf("the schedule: %+v", s)
	}
	w.end(other.ID)
	w.passUntil(w.clock.Add(5 * time.Minute))
	s := w.schedule("nightly")
	if s.Run.LastDue == nil || !s.Run.LastDue.Equal(time.Date(2026, 1, 6, 3, 0, 0, 0, time.UTC)) || s.Run.Detail != "" {
		t.Fatalf("the schedule: %+v", s)
	}
	r := w.end(s.Run.LastRotation)
	if r.Schedule != "nightly" || !r.Due.Equal(*s.Run.LastDue) || w.schedule("nightly").Run.LastDone == nil {
		t.Fatalf("the rotation: %+v", r)
	}
}

// Two processes over one store, as when an old one has not ended yet: what is due
// starts once.
func TestTwoProcessesStartOnce(t *testing.T) {
	w := newWorld(t, "acme")
	w.put("nightly", nightly(), store.Precondition{})
	w.passUntil(w.clock.Add(time.Hour))
	other := w.m
	w.restart()
	if _, err := w.m.ListSchedules(t.Context(), operator); err != nil {
		t.Fatal(err)
	}
	w.clock = time.Date(2026, 1, 6, 3, 0, 0, 0, time.UTC)
	other.tick(t.Context())
	w.m.tick(t.Context())
	count := 0
	for _, row := range w.model.rows {
		if row.Kind == store.RowRotation {
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%d rotations were started", count)
	}
}

func TestWindows(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, z) }
	for _, c := range []struct {
		window     Window
		from, want time.Time
	}{
		{Window{From: "22:00", To: "04:00"}, at(10, 12, 0), at(10, 22, 0)},
		{Window{From: "22:00", To: "04:00"}, at(10, 23, 59), at(10, 23, 59)},
		{Window{From: "22:00", To: "04:00"}, at(11, 3, 59), at(11, 3, 59)},
		{Window{From: "22:00", To: "04:00"}, at(11, 4, 0), at(11, 22, 0)},
		{Window{From: "22:00", To: "04:00", Days: []string{"sat"}}, at(11, 3, 0), at(14, 22, 0)},
		{Window{From: "22:00", To: "04:00", Days: []string{"sat"}}, at(15, 3, 0), at(15, 3, 0)},
		{Window{From: "22:00", To: "04:00", Days: []string{"sat"}}, at(14, 3, 0), at(14, 22, 0)},
		{Window{From: "09:30", To: "17:00", Days: []string{"mon", "fri"}}, at(11, 8, 0), at(13, 9, 30)},
		{Window{From: "06:00", To: "06:00", Days: []string{"sun"}}, at(15, 5, 0), at(15, 6, 0)},
		{Window{From: "02:30", To: "05:00"}, at(29, 1, 30), at(29, 3, 0)}, // there is no 02:30 on that day
		{Window{From: "02:15", To: "02:45"}, at(29, 1, 30), at(30, 2, 15)},
	} {
		spec := nightly()
		spec.Window, spec.TimeZone = &c.window, "Europe/Berlin"
		table, err := spec.compile("")
		if err != nil {
			t.Fatal(err)
		}
		if got := table.opens(c.from); !got.Equal(c.want) {
			t.Errorf("%+v from %s: opens at %s, want %s", c.window, c.from, got.In(z), c.want)
		}
	}
}

// An expression that names no hour means each that passes; one that names it
// means once a day, whatever the clock does.
func TestClockSetBack(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		cron string
		want int
	}{{"30 2 * * *", 1}, {"30 * * * *", 25}, {"@hourly", 25}, {"0,30 2 * * *", 2}} {
		spec := nightly()
		spec.Cron, spec.TimeZone = c.cron, "Europe/Berlin"
		table, err := spec.compile("")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		end := time.Date(2026, 10, 25, 23, 59, 0, 0, z)
		for at := table.next(time.Date(2026, 10, 24, 23, 59, 0, 0, z)); !at.After(end); at = table.next(at) {
			n++
		}
		if n != c.want {
			t.Errorf("%s is due %d times on the day on which clocks are set back, want %d", c.cron, n, c.want)
		}
	}
}
