package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/metrics"
	"strongroom/store"
)

// endpoint is one method of a route.
type endpoint struct {
	method string
	run    func(*call) error
	params []string // the query parameters that it takes; "label.*" for any label
	body   string   // the media type that its body must have; empty: it takes none
	rule   rule
	route  string
	seen   *metrics.Endpoint
	group  limits.Group // what the limits take it for
	pace   limits.Pace
}

// rule is what is special about an endpoint.
type rule uint8

const (
	public   rule = 1 << iota // needs no token
	keyed                     // takes an Idempotency-Key
	unkeyed                   // refuses one: it could not keep the promise
	optional                  // the body may be left out
	stream                    // reads its body by itself
	vital                     // is answered whatever the load
)

// call is one request on its way through. It is reused by later requests once
// its handler has returned.
type call struct {
	s     *Server
	e     *endpoint
	w     http.ResponseWriter
	r     *http.Request
	who   *access.Principal
	shown identity.Presented // what it is to be known by
	vars  map[string]string
	query query
	id    string // the request id
	trace string // the traceparent, empty unless well-formed
	from  string // the address that the request came from
	start time.Time

	status  int
	written int64
	gate    passage
	code    string // of the problem, if one was sent
	cause   error  // what went wrong inside, for the log alone
	out     []byte // the answer's body is put together here
}

var calls = sync.Pool{New: func() any { return &call{out: make([]byte, 0, 4096)} }}

// maxKept bounds the buffers that are kept for the next request, in bytes.
const maxKept = 256 << 10

// serve answers one request.
func (s *Server) serve(e *endpoint, w http.ResponseWriter, r *http.Request, vars map[string]string) {
	c := calls.Get().(*call)
	c.s, c.e, c.w, c.r, c.vars, c.start = s, e, w, r, vars, time.Now()
	c.from = s.caller(r)
	e.seen.Begin()
	defer c.finish()
	c.answerHeaders()
	err := c.admit()
	if err == nil {
		err = c.heldBack(e.run(c))
	}
	if err != nil {
		c.fail(err)
	}
}

// admit checks all that can be checked before the body is looked at.
func (c *call) admit() error {
	if err := c.checkHeaders(); err != nil {
		return err
	}
	if err := c.passAddress(); err != nil {
		return err
	}
	if c.e.rule&public == 0 {
		err := c.authenticate()
		if c.noteAuthentication(err); err == nil {
			err = c.passClient()
		}
		if err != nil {
			return err
		}
	}
	if c.r.URL.RawQuery != "" || c.r.URL.ForceQuery {
		if err := c.query.parse(c.r.URL.RawQuery, c.e.params); err != nil {
			return err
		}
	}
	return nil
}

// finish counts and logs the request, answers a panic, and gives the call back.
func (c *call) finish() {
	aborted := false
	if p := recover(); p != nil {
		aborted = p == http.ErrAbortHandler
		c.afterPanic(p)
	}
	took := time.Since(c.start)
	c.e.seen.End(c.status, took)
	c.leave(took)
	c.log(took)
	c.release()
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

// afterPanic answers for a handler that panicked. The panic's value may hold
// anything, so only a run-time error's is told to the log.
func (c *call) afterPanic(p any) {
	if p == http.ErrAbortHandler {
		return
	}
	what := "a value that is not shown"
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	c.s.Logger.Error("panic", slog.String("panic", what), slog.String("request_id", c.id),
		slog.String("route", c.e.route), slog.String("stack", string(debug.Stack())))
	if c.status == 0 {
		c.fail(errInternal)
		return
	}
	c.cause = errInternal
}

func (c *call) release() {
	clear(c.out) // it held values in the clear
	out := c.out[:0]
	if cap(out) > maxKept {
		out = make([]byte, 0, 4096)
	}
	*c = call{out: out, query: c.query[:0], gate: passage{ticket: c.gate.ticket}}
	calls.Put(c)
}

// log writes the access log: a success for whoever debugs, all else for
// everybody. It names the route and never what stood in the request's place of
// it, its query or its body.
func (c *call) log(took time.Duration) {
	level := slog.LevelDebug
	switch {
	case c.status >= 500 || c.cause != nil:
		level = slog.LevelError
	case c.status >= 300:
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !c.s.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", c.id), slog.String("method", knownMethod(c.r.Method)),
		slog.String("route", c.e.route), slog.Int("status", c.status),
		slog.Int64("bytes", c.written), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("address", c.from), slog.String("proto", c.r.Proto),
	}
	if c.trace != "" {
		attrs = append(attrs, slog.String("traceparent", c.trace))
	}
	if c.who != nil {
		attrs = append(attrs, slog.String("client", c.who.Client))
	}
	if c.code != "" {
		attrs = append(attrs, slog.String("code", c.code))
	}
	if c.cause != nil {
		attrs = append(attrs, slog.String("cause", c.cause.Error()))
	}
	c.s.Logger.LogAttrs(ctx, level, "request", attrs...)
}

// knownMethod keeps an invented method out of the log.
func knownMethod(m string) string {
	switch m {
	case "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "other"
}

// ctx ends when the client goes away.
func (c *call) ctx() context.Context { return c.r.Context() }

// integration, collection and record name what the path names.
func (c *call) integration() string { return c.vars["integration"] }

func (c *call) collection() store.CollectionRef {
	return store.CollectionRef{Integration: c.vars["integration"], Collection: c.vars["collection"]}
}

func (c *call) record() store.RecordRef {
	return store.RecordRef{CollectionRef: c.collection(), Record: c.vars["record"]}
}

// send writes an answer whole. The body must not be used afterwards if it is
// the call's own buffer.
func (c *call) send(status int, contentType string, body []byte) error {
	h := c.w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.status, c.written = status, int64(len(body))
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	if _, err := c.w.Write(body); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		c.cause = errClientGone // nobody is left to tell
	}
	return nil
}

// sendNothing answers with a status alone.
func (c *call) sendNothing(status int) error {
	c.status = status
	c.w.WriteHeader(status)
	return nil
}
