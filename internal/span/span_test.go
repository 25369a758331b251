package span

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What is written is read again, in the largest unit that fits.
func TestSpansAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "30m": 30 * time.Minute, "36h": 36 * time.Hour, "0h": 0} {
		if got := Span(want).String(); got != text {
			t.Errorf("%v is written %s, want %s", want, got, text)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Span(time.Duration(rapid.Int64Range(0, 1<<33).Draw(t, "seconds")) * time.Second)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Span
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%s is read as %s: %v", text, back, err)
		}
	})
}

// A span that is not there is what counts then.
func TestBounds(t *testing.T) {
	var none *Span
	half, hour := Span(500*time.Millisecond), Span(time.Hour)
	switch {
	case none.Or(time.Minute) != time.Minute, hour.Or(0) != time.Hour:
		t.Error("the fallback")
	case !none.Whole(0, time.Minute), half.Whole(0, time.Minute), hour.Whole(0, time.Minute), !hour.Whole(0, time.Hour):
		t.Error("the bounds")
	}
}
