// Package span is how durations are written in documents of the API.
package span

import (
	"strconv"
	"time"
)

// Span is a duration of whole seconds that is written like 90s, 36h or 30m.
type Span time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// MarshalText writes what UnmarshalText reads, without zero units.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the shortest text of the span in hours, minutes or seconds.
func (s Span) String() string {
	d := time.Duration(s)
	switch {
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// Or returns the span as a duration, or what counts when there is none.
func (s *Span) Or(fallback time.Duration) time.Duration {
	if s == nil {
		return fallback
	}
	return time.Duration(*s)
}

// Whole reports whether a span is of whole seconds within bounds.
func (s *Span) Whole(least, most time.Duration) bool {
	d := s.Or(least)
	return d >= least && d <= most && d%time.Second == 0
}
