package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"
)

// quietFor is how long a stream of events may be silent before it counts as
// dead: a live one shows itself every 15 seconds.
const quietFor = time.Minute

// sentEvent is one event of a stream (HTML, section 9.2.6).
type sentEvent struct {
	name string
	data []byte
}

// readEvents yields the events of a stream until it ends. An event that has no
// blank line behind it did not arrive whole, and is dropped. alive is called for
// every line.
func readEvents(r io.Reader, alive func()) iter.Seq2[sentEvent, error] {
	return func(yield func(sentEvent, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 16<<10), maxAnswer)
		var e sentEvent
		for lines.Scan() {
			alive()
			line := lines.Bytes()
			if len(line) > 0 {
				e.add(line)
				continue
			}
			if e.data != nil && !yield(e, nil) {
				return
			}
			e = sentEvent{}
		}
		if err := lines.Err(); err != nil {
			yield(sentEvent{}, err)
		}
	}
}

// add takes a line of an event. A comment has no name before its colon.
func (e *sentEvent) add(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.name = string(value)
	case "data":
		if e.data != nil {
			e.data = append(e.data, '\n')
		}
		e.data = append(e.data, value...)
	}
}

// watch yields the documents that a stream of events brings until the job is
// over, which the last of them says. When the connection breaks, the token
// expires or the server stops it asks again: nothing is lost, since each
// document says all.
func watch[T any](ctx context.Context, c *Client, path string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for attempt := 0; ; attempt++ {
			came := false
			ended, err := watchOnce(ctx, c, path, func(doc *T) bool { came = true; return yield(doc, nil) })
			switch {
			case ended:
				return
			case err == nil:
				err = fmt.Errorf("client: %w: the stream of events ended before the job did", ErrUnavailable)
			}
			if came {
				attempt = 0
			}
			again := worthRetrying(ctx, get(path), err) || came && errors.Is(err, ErrUnauthenticated)
			if !again || attempt >= c.retries || !c.sleep(ctx.Done(), pause(attempt, err)) {
				yield(nil, err)
				return
			}
		}
	}
}

// watchOnce reads one stream. ended says that there is no more to come, or that
// nobody wants more.
func watchOnce[T any](ctx context.Context, c *Client, path string, yield func(*T) bool) (ended bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := c.openEvents(ctx, path)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	watchdog := time.AfterFunc(quietFor, cancel)
	defer watchdog.Stop()
	for e, err := range readEvents(res.Body, func() { watchdog.Reset(quietFor) }) {
		if err != nil {
			return false, transportError(err)
		}
		doc, err := documentOf[T](e)
		if err != nil {
			return false, err
		}
		if doc != nil && !yield(doc) || e.name == "end" {
			return true, nil
		}
	}
	return false, nil
}

// documentOf reads the document of an event; of one that this client does not
// know there is none.
func documentOf[T any](e sentEvent) (*T, error) {
	switch e.name {
	case "progress", "end":
		doc := new(T)
		return doc, decodeLine(e.data, doc)
	case "problem":
		p := new(Problem)
		if err := json.Unmarshal(e.data, p); err != nil || p.Code == "" {
			return nil, errors.New("client: the stream of events ended with a problem that can't be read")
		}
		return nil, p
	}
	return nil, nil
}

// openEvents asks for a stream of events, with a newer token once when the one
// it has counts no more.
func (c *Client) openEvents(ctx context.Context, path string) (*http.Response, error) {
	q := get(path)
	q.set("Accept", "text/event-stream")
	res, used, err := c.send(ctx, q, nil, false)
	if errors.Is(err, ErrUnauthenticated) && used != "" {
		c.tokens.drop(used)
		res, _, err = c.send(ctx, q, nil, false)
	}
	return res, err
}
