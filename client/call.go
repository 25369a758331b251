package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	mergePatch = "application/merge-patch+json"
	ndjson     = "application/x-ndjson"
	maxAnswer  = 64 << 20 // bytes of an answer that does not stream
)

// call is one request as it will be sent, more than once if need be.
type call struct {
	method string
	path   string   // escaped
	query  []string // name=value, escaped
	header http.Header
	body   []byte
	// safe says that sending it again does no harm when the first sending's
	// fate is unknown.
	safe bool
}

func get(path string) *call { return &call{method: http.MethodGet, path: path, safe: true} }

// put and del replace and remove by name: repeating one ends in the same state.
func put(path string, body any) (*call, error) { return withBody(http.MethodPut, path, body, true) }
func del(path string) *call                    { return &call{method: http.MethodDelete, path: path, safe: true} }

func post(path string, body any) (*call, error) { return withBody(http.MethodPost, path, body, false) }

func withBody(method, path string, body any, safe bool) (*call, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("client: encode the request: %w", err)
	}
	c := &call{method: method, path: path, body: raw, safe: safe}
	c.set("Content-Type", "application/json")
	return c, nil
}

func (c *call) set(name, value string) {
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set(name, value)
}

func (c *call) param(name, value string) {
	c.query = append(c.query, url.QueryEscape(name)+"="+url.QueryEscape(value))
}

// list sets a parameter that has commas between its values; one inside a value
// is escaped.
func (c *call) list(name string, values []string) {
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = url.QueryEscape(v)
	}
	c.query = append(c.query, name+"="+strings.Join(escaped, ","))
}

// conditions sets the preconditions. A conditional write is not safe to send
// again by itself: the second would fail because the first succeeded.
func (c *call) conditions(o WriteOptions) {
	if o.IfRevision != 0 {
		c.set("If-Match", strconv.Quote(strconv.FormatUint(o.IfRevision, 10)))
		c.safe = false
	}
	if o.IfAbsent {
		c.set("If-None-Match", "*")
		c.safe = false
	}
}

// once makes the call safe to send again by an idempotency key.
func (c *call) once(o WriteOptions) {
	c.conditions(o)
	key := o.IdempotencyKey
	if key == "" {
		key = rand.Text()
	}
	c.set("Idempotency-Key", key)
	c.safe = true
}

// escape joins path segments, each escaped. Names never hold what needs it, but
// what a caller passes on may.
func escape(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the body of a success.
func (a *answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("client: the server's answer is not what was expected: %w", err)
	}
	return nil
}

// do sends a call until it is answered, its attempts are used up, or sending it
// again would not be right.
func (c *Client) do(ctx context.Context, q *call) (*answer, error) {
	renewed := false
	for attempt := 0; ; attempt++ {
		a, used, err := c.attempt(ctx, q)
		if err == nil {
			return a, nil
		}
		if errors.Is(err, ErrUnauthenticated) && used != "" && !renewed {
			c.tokens.drop(used) // a token can be revoked, or its key rotated, before it expires
			renewed = true
			continue
		}
		if attempt >= c.retries || !worthRetrying(ctx, q, err) {
			return nil, err
		}
		if !c.sleep(ctx.Done(), pause(attempt, err)) {
			return nil, err
		}
	}
}

// attempt sends a call once and reads its answer. used is the token that the
// server judged; empty when none was sent.
func (c *Client) attempt(ctx context.Context, q *call) (a *answer, used string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, used, err := c.send(ctx, q, bytes.NewReader(q.body), q.body != nil)
	if err != nil {
		return nil, used, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, used, fmt.Errorf("client: read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, used, errors.New("client: the answer is too large")
	}
	a = &answer{status: res.StatusCode, header: res.Header, body: body}
	if p := pendingOf(a); p != nil {
		return nil, used, p
	}
	return a, used, nil
}

// send does one round trip with a token, and a second one when the server wants
// a newer nonce in its proof; an answer that is no success becomes its
// *Problem.
func (c *Client) send(ctx context.Context, q *call, body io.Reader, hasBody bool) (*http.Response, string, error) {
	res, used, err := c.sendOnce(ctx, q, body, hasBody)
	if used != "" && c.prover.wantsNonce(err) && rewind(body) {
		return c.sendOnce(ctx, q, body, hasBody)
	}
	return res, used, err
}

func (c *Client) sendOnce(ctx context.Context, q *call, body io.Reader, hasBody bool) (*http.Response, string, error) {
	token, err := c.tokens.get(ctx)
	if err != nil {
		return nil, "", err
	}
	if !hasBody {
		body = nil
	}
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + strings.Join(q.query, "&")
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return nil, "", fmt.Errorf("client: %w", err)
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", c.prover.scheme()+" "+token.Reveal())
	if err := c.prover.prove(req.Header, q.method, c.base+q.path, token.Reveal()); err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", c.userAgent)
	said, _ := ctx.Value(readingKey{}).(reading)
	said.say(req)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, "", transportError(err)
	}
	c.prover.heed(res)
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, token.Reveal(), readProblem(res)
	}
	return res, token.Reveal(), nil
}

// unreached is an error of a call that got no answer.
type unreached struct{ err error }

func (u *unreached) Error() string { return "the server could not be asked: " + u.err.Error() }
func (u *unreached) Unwrap() []error {
	return []error{ErrUnavailable, u.err}
}

// transportError drops the URL that net/http puts before its errors: a search
// path may say more than an error should.
func transportError(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &unreached{err}
}

func readProblem(res *http.Response) error {
	p := &Problem{Status: res.StatusCode}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		p = &Problem{Status: res.StatusCode, Code: "unexpected", Title: "the server answered " + res.Status}
	}
	p.Status = res.StatusCode
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// worthRetrying reports whether sending the call again can help and can't harm.
func worthRetrying(ctx context.Context, q *call, err error) bool {
	var p *Problem
	refused := errors.As(err, &p) && p.Status == http.StatusTooManyRequests // before anything was done
	said, _ := ctx.Value(readingKey{}).(reading)
	if ctx.Err() != nil || !q.safe && !refused || said.approval != "" || errors.Is(err, ErrPending) {
		return false // each read under an approval spends a use
	}
	if p != nil {
		return p.Retryable && p.RetryAfter <= maxPause
	}
	return true // no answer, or half of one
}

// maxPause is how long a server may ask to wait that an attempt is worth it: who
// is told to come again in an hour is better told so.
const maxPause = 10 * time.Second

// pause is how long to wait before the next attempt: what the server asked for,
// or else a random time that doubles from about 100 ms.
func pause(attempt int, err error) time.Duration {
	var p *Problem
	if errors.As(err, &p) && p.RetryAfter > 0 {
		return p.RetryAfter
	}
	ceiling := min(100*time.Millisecond<<min(attempt, 6), 5*time.Second)
	return ceiling/2 + mathrand.N(ceiling/2+1)
}
