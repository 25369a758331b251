package identity

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"

	"strongroom/internal/access"
	"strongroom/store"
)

// maxToken bounds the length of a token, in bytes. Ours are half as long.
const maxToken = 2048

// Presented is what a request brings to be known by.
type Presented struct {
	Token  string
	DPoP   bool                 // it came under the scheme DPoP, else Bearer
	Proofs []string             // the DPoP header fields; with DPoP alone
	Method string               // of the request
	Path   string               // escaped; with DPoP alone
	TLS    *tls.ConnectionState // nil: there is none
	From   store.Attempt        // where it comes from; its Client and Method are filled in
}

// Authenticate returns the principal that an access token speaks for, as its
// client is now. A token that is not good, was revoked, whose client or
// credential is gone, or that is bound to a key that the request does not show,
// is ErrToken. A proof that does not count is ErrProof or ErrNonce. Any other
// error means that the token could not be checked.
//
// The principal is the caller's own: it may set the members that describe the
// request.
func (a *Authority) Authenticate(ctx context.Context, q *Presented) (*access.Principal, error) {
	if q.Token == "" || len(q.Token) > maxToken {
		return nil, ErrToken
	}
	g, err := a.grant(ctx, q.Token)
	if err != nil {
		return nil, err
	}
	return a.principal(g, q)
}

// Recall is Authenticate of a token that was verified before and has not
// expired. It pays for no signature of a token; of every other one it returns
// neither a principal nor an error.
func (a *Authority) Recall(q *Presented) (*access.Principal, error) {
	g := a.recalled(q.Token)
	if g == nil {
		return nil, nil
	}
	return a.principal(g, q)
}

// Known reports whether a token was verified before and has not expired. It says
// nothing of whether its client still exists.
func (a *Authority) Known(bearer string) bool { return a.recalled(bearer) != nil }

func (a *Authority) recalled(bearer string) *grant {
	if bearer == "" || len(bearer) > maxToken {
		return nil
	}
	return a.verified.get(digestOf(bearer), a.now())
}

// principal returns whom a verified token speaks for now, and to whoever shows
// the key that it is bound to.
func (a *Authority) principal(g *grant, q *Presented) (*access.Principal, error) {
	p, err := a.directory.Principal(&g.TokenRef)
	if errors.Is(err, store.ErrUnauthenticated) || g.remote != nil && a.remote.gone(g.remote, g.SecretID) {
		a.verified.drop(g) // it is a stranger's from now on, to the limits too
		return nil, ErrToken
	}
	if err != nil {
		return nil, err
	}
	if err := a.checkBinding(g, q); err != nil {
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
