package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventsAreRead(t *testing.T) {
	for text, want := range map[string][]sentEvent{
		"event: progress\ndata: {}\n\n":                       {{"progress", []byte("{}")}},
		": beat\n\nevent: end\ndata: 1\n\n":                   {{"end", []byte("1")}},
		"data: a\ndata: b\n\n":                                {{"", []byte("a\nb")}},
		"event:end\r\ndata:x\r\n\r\n":                         {{"end", []byte("x")}},
		"id: 7\nretry: 10\nevent: a\n\nevent: b\ndata: 1\n\n": {{"b", []byte("1")}},
		"event: end\ndata: cut off":                           nil,
		"event: end\ndata: cut off\n":                         nil,
		"":                                                    nil,
	} {
		var got []sentEvent
		lines := 0
		for e, err := range readEvents(strings.NewReader(text), func() { lines++ }) {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			got = append(got, sentEvent{e.name, append([]byte{}, e.data...)})
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sentEvent{})); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
		if text != "" && lines == 0 {
			t.Errorf("%q shows no life", text)
		}
	}
}

func sayEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < len(events); i += 2 {
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", events[i], events[i+1])
	}
}

// states watches a rotation and returns what it was told.
func states(t *testing.T, c *Client) (list []string, err error) {
	t.Helper()
	for r, e := range c.WatchRotation(t.Context(), "r1") {
		if e != nil {
			return list, e
		}
		list = append(list, r.State)
	}
	return list, nil
}

// A stream that breaks off, or a token that ends, is no end of the job.
func TestAWatchGoesOnUntilTheJobEnds(t *testing.T) {
	asked := 0
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("it asks for %q", r.Header.Get("Accept"))
		}
		switch asked++; asked {
		case 1:
			sayEvents(w, "progress", `{"state":"running"}`)
		case 2:
			problem(w, 503, "not_persisted")
		case 3:
			sayEvents(w, "news", `?`, "progress", `{"state":"waiting"}`, "problem", `{"code":"invalid_token","status":401}`)
		case 4:
			problem(w, 401, "invalid_token")
		default:
			sayEvents(w, "progress", `{"state":"paused"}`, "end", `{"state":"done"}`, "progress", `{"state":"never"}`)
		}
	})
	got, err := states(t, c)
	if diff := cmp.Diff([]string{"running", "waiting", "paused", "done"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if n := len(f.seen()); n != 5 {
		t.Errorf("%d requests", n)
	}
}

func TestAWatchThatCannotGoOnSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		want   error
		calls  int
	}{
		"nothing there":  {func(w http.ResponseWriter) { problem(w, 404, "not_found") }, ErrNotFound, 1},
		"a problem":      {func(w http.ResponseWriter) { sayEvents(w, "problem", `{"code":"forbidden","status":403}`) }, ErrForbidden, 1},
		"never a word":   {func(w http.ResponseWriter) { sayEvents(w) }, ErrUnavailable, 4},
		"no document":    {func(w http.ResponseWriter) { sayEvents(w, "end", `[]`) }, nil, 4},
		"a line too far": {func(w http.ResponseWriter) { io.WriteString(w, "data: ") }, ErrUnavailable, 4},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFake(t, func(w http.ResponseWriter, _ *http.Request) { test.answer(w) })
			got, err := states(t, c)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || len(got) > 0 {
				t.Errorf("%v, %v", got, err)
			}
			if n := len(f.seen()); n != test.calls {
				t.Errorf("%d requests, not %d", n, test.calls)
			}
		})
	}
}
