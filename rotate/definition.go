package rotate

import (
	"fmt"
	"time"

	"strongroom/store"
)

// Bounds of schedules.
const (
	leastEvery   = time.Hour
	mostEvery    = 10 * 365 * 24 * time.Hour
	maxSchedules = 256
	leastYear    = 2000 // a grid is counted in a Duration from its start: it must not
	mostYear     = 2199 // overflow
)

// compile checks a schedule and makes its timetable. The seed tells the jitters
// of schedules of several stores apart.
func (s *ScheduleSpec) compile(seed string) (*timetable, error) {
	var bad faults
	s.Request.check("/rotation", &bad)
	if s.Request.Compromised != "" {
		bad.add("/rotation/compromised", "is found out once: it goes with no schedule")
	}
	t := &timetable{zone: time.UTC, seed: seed}
	if zone, err := time.LoadLocation(s.TimeZone); err == nil && s.TimeZone != "Local" {
		t.zone = zone
	} else {
		bad.add("/time_zone", "is no name of the IANA database of time zones")
	}
	s.compileGrid(t, &bad)
	s.compileWindow(t, &bad)
	if !s.Jitter.Whole(0, 7*24*time.Hour) {
		bad.add("/jitter", "must be whole seconds, from 0s to 168h")
	}
	if s.MaxAge != nil && !s.MaxAge.Whole(leastEvery, mostEvery) {
		bad.add("/max_age", "must be whole seconds, from 1h to 87600h")
	}
	t.jitter = s.Jitter.Or(0)
	if t.every > 0 && t.jitter > t.every {
		bad.add("/jitter", "is longer than the interval")
	}
	return t, bad.err()
}

func (s *ScheduleSpec) compileGrid(t *timetable, bad *faults) {
	if (s.Every == nil) == (s.Cron == "") {
		bad.add("", "name one of every and cron")
		return
	}
	if s.Every != nil {
		if !s.Every.Whole(leastEvery, mostEvery) {
			bad.add("/every", "must be whole seconds, from 1h to 87600h")
		}
		t.every = s.Every.Or(leastEvery)
		if s.Start != nil {
			t.start = s.Start.UTC()
			if y := t.start.Year(); y < leastYear || y > mostYear {
				bad.add("/start", "must be in the years 2000 to 2199")
			}
		}
		return
	}
	if s.Start != nil {
		bad.add("/start", "goes with every")
	}
	var ok bool
	if t.cron, t.hourly, ok = parseCron(s.Cron); !ok {
		bad.add("/cron", "is no cron expression of five fields, nor @daily, @weekly, @monthly, @yearly, @hourly")
	} else if t.cron.Next(time.Now()).IsZero() {
		bad.add("/cron", "is never due")
	}
}

func (s *ScheduleSpec) compileWindow(t *timetable, bad *faults) {
	if s.Window == nil {
		return
	}
	w := &window{}
	var ok bool
	if w.from, ok = parseClock(s.Window.From); !ok {
		bad.add("/window/from", "is no time of the day like 22:00")
	}
	if w.until, ok = parseClock(s.Window.To); !ok {
		bad.add("/window/to", "is no time of the day like 04:00")
	}
	for i := range w.days {
		w.days[i] = len(s.Window.Days) == 0
	}
	for i, name := range s.Window.Days {
		day, ok := weekdays[name]
		if !ok {
			bad.add(fmt.Sprintf("/window/days/%d", i), "is no day: mon, tue, wed, thu, fri, sat or sun")
		}
		w.days[day] = w.days[day] || ok
	}
	t.window = w
}

// sameTimes reports whether two definitions are due at the same instants.
func (s *ScheduleSpec) sameTimes(o *ScheduleSpec) bool {
	same := func(a, b *time.Time) bool { return a == nil && b == nil || a != nil && b != nil && a.Equal(*b) }
	return s.Every.Or(0) == o.Every.Or(0) && same(s.Start, o.Start) && s.Cron == o.Cron && s.TimeZone == o.TimeZone && s.Paused == o.Paused
}

func invalidName() error {
	var bad faults
	bad.add("", "the name of a schedule has 1 to 63 characters a-z, 0-9 and -, and does not begin with -")
	return bad.err()
}

// holds refuses a write over a schedule that is not as the caller says.
func holds(pre store.Precondition, version uint64) error {
	match := len(pre.IfMatch) == 0
	for _, v := range pre.IfMatch {
		match = match || v == version && version > 0
	}
	if !match || pre.Exists && version == 0 || pre.Absent && version > 0 {
		return store.ErrPrecondition
	}
	return nil
}
