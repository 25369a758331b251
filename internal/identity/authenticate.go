package identity

import (
	"context"
	"crypto/sha256"
	"errors"

	"strongroom/internal/access"
	"strongroom/store"
)

// maxToken bounds the length of a token, in bytes. Ours are half as long.
const maxToken = 2048

// Authenticate returns the principal that a bearer token speaks for, as its
// client is now. A token that is not good, was revoked, or whose client or
// credential is gone, is ErrToken; any other error means that it could not be checked.
//
// The principal is the caller's own: it may set the members that describe the
// request.
func (a *Authority) Authenticate(ctx context.Context, bearer string) (*access.Principal, error) {
	if bearer == "" || len(bearer) > maxToken {
		return nil, ErrToken
	}
	g, err := a.grant(ctx, bearer)
	if err != nil {
		return nil, err
	}
	p, err := a.directory.Principal(&g.TokenRef)
	if errors.Is(err, store.ErrUnauthenticated) || g.remote != nil && a.remote.gone(g.remote, g.SecretID) {
		a.verified.drop(g) // it is a stranger's from now on, to the limits too
		return nil, ErrToken
	}
	if err != nil {
		return nil, err
	}
	if g.scope != nil {
		p.Policy, p.Scopes = g.narrow(p.Policy), g.scope.Names()
	}
	return p, nil
}

// grant returns what a token says, from the cache when it was verified before.
func (a *Authority) grant(ctx context.Context, bearer string) (*grant, error) {
	now := a.now()
	id := digestOf(bearer)
	if g := a.verified.get(id, now); g != nil {
		return g, nil
	}
	g, err := a.verify(ctx, bearer)
	if err != nil {
		return nil, err
	}
	g.token = id
	a.verified.put(g, now)
	return g, nil
}

// digestOf hashes a token of at most maxToken bytes. The copy on the stack
// spares an allocation a request.
func digestOf(token string) digest {
	var b [maxToken]byte
	n := copy(b[:], token)
	return sha256.Sum256(b[:n])
}
