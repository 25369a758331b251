package api

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"strongroom/internal/limits"
)

// mediaEvents is the media type of server-sent events (HTML, section 9.2).
const mediaEvents = "text/event-stream"

const (
	// eventsEvery is how close two events follow each other at most.
	eventsEvery = time.Second
	// beatEvery is how often a stream that has nothing to say shows that it is
	// alive: sooner than proxies give up.
	beatEvery = 15 * time.Second
)

// wantsEvents reports whether the caller asked for events in place of a
// document.
func (c *call) wantsEvents() bool {
	if c.r.Method != http.MethodGet {
		return false
	}
	for _, given := range c.r.Header["Accept"] {
		for part := range strings.SplitSeq(given, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == mediaEvents {
				return true
			}
		}
	}
	return false
}

// eventStream is an answer that goes on for as long as something happens. To
// the limits it is one request; it counts among the bulk, and how long it takes
// says nothing of the load.
type eventStream struct {
	c       *call
	control *http.ResponseController
}

func (c *call) openEvents() (*eventStream, error) {
	if c.s.Gate != nil {
		if err := c.enter(limits.Bulk); err != nil {
			return nil, err
		}
		c.gate.measured = false
	}
	e := &eventStream{c, http.NewResponseController(c.w)}
	liftDeadlines(e.control)
	return e, nil
}

// send writes an event whose data is the JSON text of a value: one line.
func (e *eventStream) send(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	b := append(append(e.c.out[:0], "event: "...), name...)
	b = append(append(b, "\ndata: "...), text...)
	e.c.out = append(b, "\n\n"...)
	return e.write(e.c.out)
}

// beat writes a comment, which the other end ignores.
func (e *eventStream) beat() error { return e.write([]byte(": beat\n\n")) }

// write sends bytes at once. Who takes none of them for too long is cut.
func (e *eventStream) write(b []byte) error {
	if e.c.status == 0 {
		e.c.w.Header()["Content-Type"] = []string{mediaEvents}
		e.c.status = http.StatusOK
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(e.c.s.StreamStall))
	n, err := e.c.w.Write(b)
	e.c.written += int64(n)
	if err == nil {
		err = e.control.Flush()
	}
	_ = e.control.SetWriteDeadline(time.Time{})
	if err != nil {
		return errClientGone
	}
	return nil
}

// fail ends a stream that cannot go on with an event that says why.
func (e *eventStream) fail(err error) error {
	if e.c.status == 0 {
		return err
	}
	p := e.c.problemFor(err)
	_ = e.send("problem", p)
	return nil
}

// await waits until something changed, and shows meanwhile that the stream is
// alive. It reports whether to go on: not when the client went away, and not
// when the server stops.
func (e *eventStream) await(changed <-chan struct{}) bool {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	soonest := time.After(eventsEvery)
	wake := (<-chan struct{})(nil) // not before the last event has stood for a while
	for {
		select {
		case <-wake:
			return true
		case <-soonest:
			wake = changed
		case <-beat.C:
			if e.beat() != nil {
				return false
			}
		case <-e.c.ctx().Done():
			return false
		case <-e.c.s.stopping:
			return false
		}
	}
}

// follow sends the document of a job now and whenever it changed, and one last
// time when it is over. A stream that the server ends because it stops has no
// such end, and the client asks again.
func follow[T any](c *call, changed <-chan struct{}, read func() (T, error), over func(*T) bool) error {
	doc, err := read()
	if err != nil {
		return err
	}
	e, err := c.openEvents()
	if err != nil {
		return err
	}
	for !over(&doc) {
		if e.send("progress", doc) != nil || !e.await(changed) {
			return nil // nobody is left to tell, or the server stops
		}
		if doc, err = read(); err != nil {
			return e.fail(err)
		}
	}
	_ = e.send("end", doc)
	_ = e.control.SetWriteDeadline(time.Now().Add(c.s.StreamStall)) // for the end that net/http writes
	return nil
}
