package api

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom/internal/identity"
	"strongroom/rotate"
	"strongroom/store"
)

const aRotationPath = "/v1/rotations/rotation-1"

func TestARotationIsFollowed(t *testing.T) {
	f := newScripted(t)
	a := f.me().do("GET", aRotationPath, "", "Accept", "text/event-stream").want(200)
	if kind := a.Header.Get("Content-Type"); kind != mediaEvents {
		t.Errorf("the content type is %q", kind)
	}
	events := strings.SplitAfter(a.body, "\n\n")
	if len(events) != 4 || !strings.HasPrefix(events[1], "event: progress\ndata: {") || !strings.HasPrefix(events[2], "event: end\ndata: {") || events[3] != "" {
		t.Errorf("the events are %q", events)
	}
	for _, accept := range []string{"application/json", "*/*", "", "text/event-streams", "text/html;q=0.1"} {
		f.me().do("GET", aRotationPath, "", "Accept", accept).want(200).has(`"state":"running"`)
	}
	f.me().do("GET", aRotationPath, "", "Accept", "text/html, text/event-stream; charset=utf-8").want(200).has("event: end")
	f.me().do("HEAD", aRotationPath, "", "Accept", "text/event-stream").want(200)
	f.script.err = store.ErrNotFound
	f.me().do("GET", aRotationPath, "", "Accept", "text/event-stream").refused(404, "not_found")
}

// watcher is a client of a stream of events, line by line.
type watcher struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

// watch opens a stream.
func (f *fixture) watch(t *testing.T) *watcher {
	t.Helper()
	return f.me().watch(t, aRotationPath)
}

// watchOn opens a stream of another server over the same script.
func (f *fixture) watchOn(t *testing.T, base string) *watcher {
	t.Helper()
	return f.me().watchOn(t, base, aRotationPath)
}

// watch opens a stream, past the recorder, which would wait for its end.
func (a actor) watch(t *testing.T, path string) *watcher {
	t.Helper()
	return a.watchOn(t, a.f.web.URL, path)
}

func (a actor) watchOn(t *testing.T, base, path string) *watcher {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Accept", mediaEvents)
	resp, err := a.f.client.Transport.(*recorder).next.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &watcher{t, resp, lines}
}

// event returns the name and the data of the next event; none at the end.
func (w *watcher) event() (name, data string) {
	w.t.Helper()
	for w.lines.Scan() {
		line := w.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		case line == "" && name != "":
			return name, data
		}
	}
	return "", ""
}

// Each document is there as soon as it is told, and what does not end by itself
// goes on.
func TestEventsComeWhenTheyHappen(t *testing.T) {
	f := newScripted(t)
	f.script.rotations = make(chan rotate.Rotation)
	w := f.watch(t)
	for _, state := range []rotate.State{rotate.StateRunning, rotate.StatePaused, rotate.StateWaiting} {
		doc := aRotation
		doc.State = state
		f.script.rotations <- doc
		if name, data := w.event(); name != "progress" || !strings.Contains(data, `"state":"`+string(state)+`"`) {
			t.Fatalf("%s: %s %s", state, name, data)
		}
	}
	failed := aRotation
	failed.State, failed.Detail = rotate.StateFailed, "a line\nand another"
	f.script.rotations <- failed
	if name, data := w.event(); name != "end" || !strings.Contains(data, `a line\nand another`) {
		t.Errorf("the last event is %s %s", name, data)
	}
	if name, _ := w.event(); name != "" {
		t.Errorf("after the end comes %s", name)
	}
}

// Who is no longer who it was is told no more.
func TestEventsEndWithTheToken(t *testing.T) {
	f := newScripted(t)
	f.script.rotations = make(chan rotate.Rotation)
	w := f.watch(t)
	f.script.rotations <- aRotation
	w.event()
	f.script.mu.Lock()
	f.script.gone = identity.ErrToken
	f.script.mu.Unlock()
	f.script.rotations <- aRotation
	if name, data := w.event(); name != "progress" {
		t.Fatalf("%s %s", name, data)
	}
	if name, data := w.event(); name != "problem" || !strings.Contains(data, `"code":"invalid_token"`) {
		t.Errorf("the last event is %s %s", name, data)
	}
	if name, _ := w.event(); name != "" {
		t.Errorf("after it comes %s", name)
	}
}

// A server that stops does not wait for whoever watches.
func TestEventsEndWhenTheServerStops(t *testing.T) {
	f := newScripted(t)
	f.script.rotations = make(chan rotate.Rotation)
	w := f.watch(t)
	f.script.rotations <- aRotation
	w.event()
	close(f.server.stopping)
	if name, data := w.event(); name != "" {
		t.Errorf("it says %s %s", name, data)
	}
	if err := w.lines.Err(); err != nil {
		t.Errorf("the answer ended with %v, not as a whole one", err)
	}
}

// A job that is watched takes no place that its end does not give back.
func TestEventsThatNobodyReadsEnd(t *testing.T) {
	f := newScripted(t)
	f.script.rotations = make(chan rotate.Rotation)
	w := f.watch(t)
	f.script.rotations <- aRotation
	w.event()
	w.resp.Body.Close()
	for deadline := time.Now().Add(30 * time.Second); ; {
		select {
		case f.script.rotations <- aRotation:
		case <-time.After(10 * time.Millisecond):
		}
		if strings.Contains(f.log.text(), `"route":"/v1/rotations/{rotation}"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the request did not end")
		}
	}
}

func TestKeyRecordsAreCutWhenTheyFail(t *testing.T) {
	f := newScripted(t)
	f.me().do("GET", "/v1/keys/0a1b2c3d/records", "").want(200).has(`{"end":true,"count":2}`)
	f.script.midway = errors.New("marker-7f3a")
	a := f.me().do("GET", "/v1/keys/0a1b2c3d/records", "")
	if a.err == nil && strings.Contains(a.body, `"end":true`) || strings.Contains(a.body, "marker-7f3a") {
		t.Errorf("a list that broke off is taken for whole: %v, %s", a.err, a.body)
	}
	for _, id := range []string{"1", "0a1b2c3", "0a1b2c3d4", "0x1b2c3d", "-a1b2c3d", "zzzzzzzz", "0A1B2C3D"} {
		f.me().do("GET", "/v1/keys/"+id+"/records", "").refused(404, "not_found")
	}
}
