package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/uid"
)

// passage is what a call has to do with the gate.
type passage struct {
	ticket   limits.Ticket
	address  netip.Addr
	entered  bool // the shedder counts it
	measured bool
	read     int64 // bytes of a body whose length was not told
}

// class is how much an endpoint matters once its caller is authenticated.
func (e *endpoint) class() limits.Class {
	switch {
	case e.rule&vital != 0:
		return limits.Vital
	case e.rule&public != 0:
		return limits.Anonymous
	case e.rule&stream != 0:
		return limits.Bulk
	}
	return limits.Interactive
}

// address is where the request came from.
func (c *call) address() netip.Addr {
	if !c.gate.address.IsValid() {
		c.gate.address = c.s.origin(c.r)
	}
	return c.gate.address
}

// caller is the address as text. Only behind proxies is it worked out for that:
// the connection's own is there as text already.
func (c *call) caller() string {
	if len(c.s.TrustedProxies) == 0 {
		return host(c.r.RemoteAddr)
	}
	return c.address().String()
}

// request describes the call to the limits.
func (c *call) request() limits.Request {
	q := limits.Request{Group: c.e.group, Route: c.e.route, Address: c.address(), Bytes: c.r.ContentLength}
	if c.who != nil {
		q.Client, q.ClientUID, q.Roles = c.who.Client, c.who.ClientUID, c.who.Roles
	}
	return q
}

// passAddress checks what can be checked before the caller is known: the limits
// of its address. Whoever needs no token is a stranger.
func (c *call) passAddress() error {
	g := c.s.Gate
	if g == nil || c.e.rule&vital != 0 {
		return nil
	}
	q := c.request()
	if err := g.AdmitAddress(&c.gate.ticket, &q); err != nil {
		return err
	}
	if c.r.ContentLength < 0 {
		c.r.Body = &countedBody{c.r.Body, &c.gate.read}
	}
	if c.e.rule&public != 0 {
		return c.enter(limits.Anonymous)
	}
	return nil
}

// passStranger checks whether somebody may come in with a token that was not
// verified before.
func (c *call) passStranger() error {
	g := c.s.Gate
	if g == nil || c.e.rule&vital != 0 {
		return nil
	}
	if wait := g.Guard.Blocked(c.address()); wait > 0 && !g.Guard.Try(c.address()) {
		return &limits.Refusal{Is: limits.ErrFailures, Wait: wait}
	}
	return c.enter(limits.Anonymous)
}

// enter lets the shedder judge.
func (c *call) enter(class limits.Class) error {
	g := c.s.Gate
	ok := true
	switch {
	case !c.gate.entered:
		ok = (class != limits.Anonymous || g.Shedder.Stranger()) && g.Shedder.Enter(class)
	default:
		ok = g.Shedder.Move(class)
	}
	c.gate.entered = ok
	if !ok {
		return &limits.Refusal{Is: limits.ErrOverload, Wait: time.Second}
	}
	return nil
}

// noteAuthentication tells the guard how an authentication by token ended.
func (c *call) noteAuthentication(err error) {
	if c.s.Gate != nil && (errors.Is(err, errNoToken) || errors.Is(err, errBadToken) || errors.Is(err, identity.ErrProof)) {
		c.s.Gate.Guard.Failed("", c.address())
	}
}

// passClient checks the limits of the client and its roles, and whether there is
// room for what it asks.
func (c *call) passClient() error {
	g := c.s.Gate
	if g == nil {
		return nil
	}
	if err := c.enter(c.e.class()); err != nil {
		return err
	}
	c.gate.measured = c.e.rule&stream == 0 && c.e.group != limits.GroupWrite && !g.Throttles(c.who.Client, c.who.Roles)
	q := c.request()
	err := g.AdmitClient(&c.gate.ticket, &q)
	c.tellLimits()
	return err
}

// tellLimits sets the RateLimit fields
// (draft-ietf-httpapi-ratelimit-headers-10).
func (c *call) tellLimits() {
	policy := c.gate.ticket.Policy()
	if policy == nil {
		return
	}
	h := c.w.Header()
	h["Ratelimit-Policy"] = policy
	var room [128]byte
	if state := c.gate.ticket.AppendState(room[:0]); len(state) > 0 {
		h["Ratelimit"] = []string{string(state)}
	}
}

// leave gives back what the call took of the gate.
func (c *call) leave(took time.Duration) {
	g := c.s.Gate
	if g == nil {
		return
	}
	g.Finish(&c.gate.ticket, c.gate.read, c.written)
	if c.who == nil && c.status >= 400 && c.status < 500 && c.status != http.StatusUnauthorized && c.status != http.StatusTooManyRequests &&
		c.code != codeNonce {
		g.Guard.Failed("", c.address()) // who looks for a way in, 401 apart, which was noted
	}
	if !c.gate.entered {
		return
	}
	pace := &c.e.pace
	if !c.gate.measured || c.status >= 400 {
		pace = nil
	}
	g.Shedder.Leave(pace, took)
}

// partWith ends the connection of a stranger that was refused: to come again
// costs another one, of which there are limits. A proxy's connection carries
// others too, and stays.
func (c *call) partWith(code string) {
	switch code {
	case "rate_limited", "too_many_failures", "overloaded":
		if c.s.Gate != nil && !c.s.proxied(c.r) && !c.isKnown() {
			c.w.Header()["Connection"] = headerClose
		}
	}
}

// isKnown reports whether the caller is, or would be at next to no cost.
func (c *call) isKnown() bool {
	if c.who != nil {
		return true
	}
	_, token := authorization(c.r.Header)
	return c.s.Tokens.Known(token)
}

var headerClose = []string{"close"}

// authorization returns the scheme and the token of an Authorization header of
// two words; empty ones when there is none.
func authorization(h http.Header) (scheme, token string) {
	given := h["Authorization"]
	if len(given) != 1 {
		return "", ""
	}
	scheme, token, _ = strings.Cut(given[0], " ")
	return scheme, token
}

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	n *int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.n += int64(n)
	return n, err
}

// front turns strangers away at the least cost, before a request has a name or
// a route: those from a blocked address, and all when there is no room. The
// answer was encoded when the server was made, and ends the connection, unless
// that is a proxy's: to come again costs another one, of which there are limits
// too.
func (s *Server) front(next http.Handler) http.Handler {
	if s.Gate == nil {
		return next
	}
	blocked, full := s.turnedAway(limits.ErrFailures), s.turnedAway(limits.ErrOverload)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Authorization"] == nil && r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
			switch {
			case s.blockedStranger(r):
				blocked.send(w, r)
				return
			case !s.Gate.Shedder.Stranger():
				full.send(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// blockedStranger reports whether a request without an Authorization header is
// to be turned away. One to the OAuth endpoints may name its client in the body:
// it is judged when that is known.
func (s *Server) blockedStranger(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/oauth2/") && s.Gate.Guard.Blocked(s.origin(r)) > 0
}

// encoded is an answer that is always the same, but for the id of the request.
type encoded struct {
	s             *Server
	code          string
	status        int
	header        http.Header
	before, after []byte
}

func (s *Server) turnedAway(err error) *encoded {
	p, _ := problemOf(&limits.Refusal{Is: err, Wait: 5 * time.Second})
	p.RequestID = uid.Zero.String()
	body := p.encode()
	before, after, _ := bytes.Cut(body, []byte(p.RequestID))
	h := http.Header{
		"Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(len(body))},
		"Cache-Control": headerNoStore, "Vary": headerVary, "X-Content-Type-Options": headerNoSniff,
		"Content-Security-Policy": headerCSP, "Retry-After": {strconv.Itoa(p.retryAfter)}, "Connection": headerClose,
	}
	if !s.Dev {
		h["Strict-Transport-Security"] = headerHSTS
	}
	return &encoded{s, p.Code, p.Status, h, before, after}
}

func (e *encoded) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range e.header {
		h[name] = values
	}
	if e.s.proxied(r) {
		delete(h, "Connection")
	}
	id := uid.New().String()
	h["X-Request-Id"] = []string{id}
	e.s.Metrics.Problem(e.code)
	w.WriteHeader(e.status)
	_, _ = w.Write(slices.Concat(e.before, []byte(id), e.after))
}
