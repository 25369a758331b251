// Package identity is an OAuth 2.0 authorisation server for machines. It turns
// what a client can prove (a secret, a signature, a certificate, the word of an
// outside issuer) into an access token, and an access token into the principal
// that the store decides by.
//
// Access tokens are JSON Web Tokens as RFC 9068 profiles them, signed with
// Ed25519. A token proves who asks and, by its scope, what it may be used for
// at most: roles and labels are looked up again at every request, so a change
// of them, a credential that was taken away, a revoked token and a deleted
// client count at once.
package identity

import (
	"context"
	"errors"
	"strings"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/dpop"
	"strongroom/internal/outbound"
	"strongroom/internal/secret"
	"strongroom/store"
)

// Directory knows the clients. The store is one. Its methods are safe for
// concurrent use.
type Directory interface {
	// AuthMethod returns how a client authenticates, empty when there is none.
	AuthMethod(client string) string
	// VerifySecret checks and audits a client's secret, in a time that does
	// not tell why it failed. A failure is store.ErrUnauthenticated.
	VerifySecret(ctx context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error)
	// Authenticate judges and audits every other way to be a client.
	Authenticate(ctx context.Context, a store.Attempt, prove func(store.Registration) (store.Proven, error)) (store.VerifiedClient, error)
	// AuthenticateVouched judges and audits the word of an outside issuer.
	AuthenticateVouched(ctx context.Context, a store.Attempt, url string, verify func(store.Issuer) (store.Vouched, error)) (store.VerifiedClient, error)
	// Principal returns a fresh principal of the client as it is now, or
	// store.ErrUnauthenticated when the token counts no more.
	Principal(t *store.TokenRef) (*access.Principal, error)
	// SigningKeys returns the keys that tokens are signed with; at least one.
	SigningKeys(ctx context.Context) ([]store.SigningKey, error)
	// Refuse audits a request that lacks the key of its token, or that its
	// client must show, and returns a *store.Unproven.
	Refuse(t store.TokenRef, a store.Attempt, reason string) error
	// RevokeToken ends a token, and InspectToken tells whether it is good, as
	// far as the client that asks may do so. Both are audited.
	RevokeToken(ctx context.Context, by store.VerifiedClient, a store.Attempt, t store.IssuedToken) error
	InspectToken(ctx context.Context, by store.VerifiedClient, a store.Attempt, t store.IssuedToken) (bool, error)
}

// ErrToken comes when a bearer token is not one that this server issued for
// itself, has expired or was revoked: which of these is not told.
var ErrToken = errors.New("the access token is not valid")

// Config says how tokens are made. Zero values mean the defaults.
type Config struct {
	Directory Directory
	Issuer    string           // the iss claim; required
	Audience  string           // the aud claim; default: the issuer
	Lifetime  time.Duration    // of a token; default 15 minutes
	CacheSize int              // verified tokens held; default 4096, at most that many
	Now       func() time.Time // nil: time.Now
	Origins   []string         // further URLs that clients reach the server by, for the proofs that they sign
	Outbound  *outbound.Guard  // fetches keys that are kept elsewhere; nil: from public addresses
}

// Authority issues and checks access tokens. It is safe for concurrent use.
type Authority struct {
	directory Directory
	issuer    string
	audience  string
	lifetime  time.Duration
	now       func() time.Time
	keys      keyring
	verified  *cache
	outbound  *outbound.Guard
	remote    remoteKeys
	providers providers
	proofs    *dpop.Verifier
}

// New returns an authority. It asks its directory for nothing yet: signing
// keys are fetched when the first token is made or checked.
func New(c Config) (*Authority, error) {
	if c.Directory == nil || c.Issuer == "" {
		return nil, errors.New("identity: a directory and an issuer are required")
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.Lifetime <= 0 {
		c.Lifetime = 15 * time.Minute
	}
	if c.CacheSize <= 0 {
		c.CacheSize = 4096
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Outbound == nil {
		c.Outbound = outbound.New(outbound.Options{})
	}
	return &Authority{
		directory: c.Directory, issuer: c.Issuer, audience: c.Audience,
		lifetime: c.Lifetime, now: c.Now, verified: newCache(c.CacheSize),
		keys:     keyring{directory: c.Directory, now: c.Now},
		proofs:   dpop.New(dpop.Config{Origins: append([]string{c.Issuer}, c.Origins...), Now: c.Now}),
		outbound: c.Outbound, remote: remoteKeys{fetch: c.Outbound.Fetch, now: c.Now},
	}, nil
}

// endpoint returns the URL of one of the server's own paths.
func (a *Authority) endpoint(path string) string { return strings.TrimSuffix(a.issuer, "/") + path }
