// Package api is the door of the store: its routes over HTTP, what it accepts
// from a caller and what it says when it refuses.
//
// Handlers are thin. One pipeline (call.serve) names the request, authenticates
// its caller, checks headers, query and body, runs the handler and turns what
// it returns into an answer; one table turns errors into problem documents
// (RFC 9457). Authorisation is not done here: every method of the store takes
// the caller first and decides by itself.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/access"
	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/metrics"
	"strongroom/store"
)

// Tokens issues and checks access tokens; identity.Authority is one. Its
// methods are safe for concurrent use.
type Tokens interface {
	Authenticate(ctx context.Context, q *identity.Presented) (*access.Principal, error)
	Nonce() string
	ProofAlgorithms() string
	Exchange(ctx context.Context, q identity.Request) (identity.Token, error)
	Inspect(ctx context.Context, q identity.Request) (identity.Inspection, error)
	Revoke(ctx context.Context, q identity.Request) error
	Metadata() identity.Metadata
	JWKS(ctx context.Context) (jose.JSONWebKeySet, error)
	// Recall is Authenticate of a token that was found good before, without the
	// cost of its signature; of any other it returns neither a principal nor an
	// error. Known reports whether there would be one.
	Recall(q *identity.Presented) (*access.Principal, error)
	Known(bearer string) bool
}

// Store is what the handlers ask of package store, in the parts that their
// files name.
type Store interface {
	integrations
	collections
	records
	finder
	transfer
	roles
	clients
	limiting
	secrets
	issuers
	explainer
	governor
	approver
	keeper
	attested
	// Renew returns a caller as it is now, for answers that go on.
	Renew(store.Caller) (store.Caller, error)
}

// Config says what a server serves and how. Zero values mean the defaults.
type Config struct {
	Store    Store
	Tokens   Tokens
	Jobs     Jobs
	Keys     Inventory
	Erasures Erasures
	Metrics  *metrics.Metrics // nil: counted for nobody
	Gate     *limits.Gate     // nil: nothing is limited
	Logger   *slog.Logger     // nil: slog.Default
	TLS      *tls.Config      // of both listeners; required by Listen

	Listen    string // default 127.0.0.1:8443; port 0 picks one
	OpsListen string // default 127.0.0.1:8444; "-" opens none

	MaxBody      int64         // bytes of a request body, or of a line of an import; default 1 MiB
	StreamStall  time.Duration // an import, export or backup that stands still so long is cut; default 60 s
	DrainDelay   time.Duration // between 'not ready' and closing the listener; default 0
	DrainTimeout time.Duration // for requests under way when asked to stop; default 30 s

	// TrustedProxies are the networks whose word on a caller's address counts:
	// in X-Forwarded-For, or with ForwardedHeader in Forwarded (RFC 7239).
	TrustedProxies  []netip.Prefix
	ForwardedHeader bool

	Ready    func() []store.Reason // what /readyz tells; nil: Store.Ready
	Timeouts Timeouts

	Dev bool // leaves out Strict-Transport-Security, which would reach every server on localhost
}

// Server answers requests. Its handlers are safe for concurrent use; Listen and
// Run are called once.
type Server struct {
	Config
	api, ops http.Handler
	tree     []*resource // every resource of both listeners
	draining atomic.Bool
	stopping chan struct{} // closed when no more connections are taken: what would go on for ever ends
	running  listeners
}

// New returns a server that does not listen yet.
func New(c Config) (*Server, error) {
	if c.Store == nil || c.Tokens == nil || c.Jobs == nil || c.Keys == nil || c.Erasures == nil {
		return nil, errors.New("api: a store, tokens, jobs, an inventory of keys and erasures are required")
	}
	c.defaults()
	s := &Server{Config: c, stopping: make(chan struct{})}
	s.api = s.front(s.apiRouter())
	s.watchGate()
	s.ops = s.opsRouter()
	return s, nil
}

func (c *Config) defaults() {
	if c.Metrics == nil {
		c.Metrics = metrics.New("", c.Store.Ready)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	set(&c.Listen, "127.0.0.1:8443")
	set(&c.OpsListen, "127.0.0.1:8444")
	set(&c.MaxBody, 1<<20)
	set(&c.StreamStall, time.Minute)
	set(&c.DrainTimeout, 30*time.Second)
	if c.Ready == nil {
		c.Ready = c.Store.Ready
	}
	c.Timeouts.defaults()
}

// set gives a setting its default.
func set[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

// Handler answers the API, for a test or a listener of one's own.
func (s *Server) Handler() http.Handler { return s.api }
