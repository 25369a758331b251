package api

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"strongroom/internal/limits"
	"strongroom/store"
)

// mediaEvents is the media type of server-sent events (HTML, section 9.2).
const mediaEvents = "text/event-stream"

// beatEvery is how often a stream that has nothing to say shows that it is
// alive, and looks whether its caller may be told more: sooner than proxies give
// up.
const beatEvery = 15 * time.Second

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
	return e, e.beat() // so that the caller knows at once that it is heard
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

// finish sends the last event of a stream.
func (e *eventStream) finish(doc any) error {
	_ = e.send("end", doc)                                            // to nobody, when the client has gone
	_ = e.control.SetWriteDeadline(time.Now().Add(e.c.s.StreamStall)) // for the end that net/http writes
	return nil
}

// follow sends the documents of a job, and ends with the one after which nothing
// happens by itself. A stream that the server ends because it stops has no such
// end, and the client asks again.
func follow[T any](c *call, subscribe func(context.Context, store.Caller, string) (<-chan T, error), id string, over func(*T) bool) error {
	ctx, cancel := context.WithCancel(c.ctx())
	defer cancel()
	docs, err := subscribe(ctx, c.who, id)
	if err != nil {
		return err
	}
	e, err := c.openEvents()
	if err != nil {
		return err // or nobody is left to tell
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case doc, more := <-docs:
			if !more {
				return nil
			}
			if over(&doc) {
				return e.finish(doc)
			}
			err = e.send("progress", doc)
		case <-beat.C:
			err = e.beat()
		case <-ctx.Done():
			return nil
		case <-c.s.stopping:
			return nil
		}
		if err != nil {
			return nil // nobody is left to tell
		}
		if err = c.stillThere(); err != nil {
			return e.fail(err)
		}
	}
}

// stillThere reports whether the caller of an answer that goes on may be told
// more: its token is good yet, and its roles are those it came with.
func (c *call) stillThere() error {
	now, err := c.s.Store.Renew(c.who)
	if err != nil {
		return errBadToken
	}
	if !slices.Equal(now.Roles, c.who.Roles) {
		return store.ErrForbidden
	}
	return nil
}
