// Package identity turns a client's secret into an access token (OAuth 2.0
// client credentials, RFC 6749, section 4.4) and an access token into the
// principal that the store decides by.
//
// Access tokens are JSON Web Tokens as RFC 9068 profiles them, signed with
// Ed25519. A token proves who asks and nothing more: roles and labels are
// looked up again at every request, so a change of them, a deleted secret and a
// deleted client count at once.
package identity

import (
	"context"
	"errors"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store"
)

// Directory knows the clients. The store is one. Its methods are safe for
// concurrent use.
type Directory interface {
	// VerifySecret checks and audits a client's secret, in a time that does
	// not tell why it failed. A failure is store.ErrUnauthenticated.
	VerifySecret(ctx context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error)
	// Principal returns a fresh principal of the client as it is now, or
	// store.ErrUnauthenticated when the client or the secret is gone.
	Principal(client string, clientUID uid.UID, secretID string) (*access.Principal, error)
	// SigningKeys returns the keys that tokens are signed with; at least one.
	SigningKeys(ctx context.Context) ([]store.SigningKey, error)
}

// ErrToken comes when a bearer token is not one that this server issued for
// itself, or has expired: which of these is not told.
var ErrToken = errors.New("the access token is not valid")

// Config says how tokens are made. Zero values mean the defaults.
type Config struct {
	Directory Directory
	Issuer    string           // the iss claim; required
	Audience  string           // the aud claim; default: the issuer
	Lifetime  time.Duration    // of a token; default 15 minutes
	CacheSize int              // verified tokens held; default 4096, at most that many
	Now       func() time.Time // nil: time.Now
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
	return &Authority{
		directory: c.Directory, issuer: c.Issuer, audience: c.Audience,
		lifetime: c.Lifetime, now: c.Now, verified: newCache(c.CacheSize),
		keys: keyring{directory: c.Directory, now: c.Now},
	}, nil
}
