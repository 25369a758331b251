package rotate

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
	_ "time/tzdata" // a machine without a database of time zones keeps the schedules of those

	cron "github.com/netresearch/go-cron"
)

// timetable says when a schedule is due: a grid of instants that hangs on the
// definition alone. Each of them starts a rotation at an instant of its own,
// later by the jitter and by what keeps it from the window.
type timetable struct {
	every  time.Duration
	start  time.Time
	cron   cron.Schedule
	hourly bool // the cron expression names no hour: it means each one that passes
	zone   *time.Location
	window *window
	jitter time.Duration
	seed   string // of the jitter
}

// next returns the first due instant after a moment; the zero time when there
// is none.
func (t *timetable) next(after time.Time) time.Time {
	if t.cron != nil {
		return t.nextCron(after)
	}
	if after.Before(t.start) {
		return t.start
	}
	return t.start.Add((after.Sub(t.start)/t.every + 1) * t.every)
}

// nextCron leaves out what the clock shows a second time when it was set back:
// an hour that is named comes once a day. One that is skipped when the clock is
// set forward comes right after.
func (t *timetable) nextCron(after time.Time) time.Time {
	at := t.cron.Next(after.In(t.zone))
	for !t.hourly && !at.IsZero() && repeated(at) {
		at = t.cron.Next(at)
	}
	return at.UTC()
}

// repeated reports whether a clock that was set back has shown this before.
func repeated(at time.Time) bool {
	set, _ := at.ZoneBounds()
	if set.IsZero() {
		return false
	}
	_, offset := at.Zone()
	_, before := set.Add(-time.Second).Zone()
	return at.Before(set.Add(time.Duration(before-offset) * time.Second))
}

// starts returns when what is due at an instant starts.
func (t *timetable) starts(due time.Time) time.Time {
	return t.opens(due.Add(t.delay(due)))
}

// opens returns the first moment from one on at which rotations may start.
func (t *timetable) opens(from time.Time) time.Time {
	if t.window == nil {
		return from
	}
	return t.window.opens(from.In(t.zone)).UTC()
}

// delay is the jitter of a due instant: the same whenever it is asked for.
func (t *timetable) delay(due time.Time) time.Duration {
	if t.jitter < time.Second {
		return 0
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(t.seed), uint64(due.Unix())))
	return time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(t.jitter/time.Second)) * time.Second
}

// due returns the latest due instant after dealt whose time to start has come,
// and how many others came before it; the zero time when there is none. Those that
// wait for the same opening of the window share the search for it: there may be
// thousands.
func (t *timetable) due(dealt, now time.Time) (latest time.Time, others uint64) {
	var shut, opens time.Time // the window is closed from the one to the other
	starts := func(at time.Time) time.Time {
		if from := at.Add(t.delay(at)); from.Before(shut) || !from.Before(opens) {
			shut, opens = from, t.opens(from)
			if opens.Equal(from) {
				return from
			}
		}
		return opens
	}
	for at := t.next(dealt); !at.IsZero() && !starts(at).After(now); at = t.next(at) {
		if !latest.IsZero() {
			others++
		}
		latest = at
	}
	return latest, others
}

// cronParser reads the five fields of crontab(5), of whose two kinds of days
// either suffices when both are named, and @daily and the like.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)

// parseCron reads a cron expression. Time zones and intervals have members of
// their own.
func parseCron(text string) (_ cron.Schedule, hourly, ok bool) {
	if strings.Contains(text, "=") || strings.HasPrefix(text, "@every") || len(text) > 256 {
		return nil, false, false
	}
	s, err := cronParser.Parse(text)
	if err != nil {
		return nil, false, false
	}
	fields := strings.Fields(text)
	return s, text == "@hourly" || len(fields) == 5 && fields[1] == "*", true
}

// minutes of the day between which a window is open. When until is not after
// from, it closes on the next day.
type window struct {
	days        [7]bool
	from, until int
}

// open reports whether a window is at a moment, in its zone.
func (w *window) open(at time.Time) bool {
	minute, day := at.Hour()*60+at.Minute(), at.Weekday()
	if w.from < w.until {
		return w.days[day] && minute >= w.from && minute < w.until
	}
	return w.days[day] && minute >= w.from || w.days[(day+6)%7] && minute < w.until
}

// windowSearch is how far ahead an opening is looked for. One that a change of
// the clock swallows comes a week later.
const windowSearch = 15 * 24 * time.Hour

// opens returns the first moment from one on at which the window is open.
func (w *window) opens(from time.Time) time.Time {
	if w.open(from) {
		return from
	}
	at := from.Truncate(time.Minute)
	for at = at.Add(time.Minute); !w.open(at) && at.Sub(from) < windowSearch; {
		at = at.Add(time.Minute)
	}
	return at
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

// parseClock reads a time of the day like 04:30, as minutes.
func parseClock(text string) (int, bool) {
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil && len(text) == 5
}
