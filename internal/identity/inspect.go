package identity

import (
	"context"
	"errors"
	"time"

	"strongroom/store"
)

// Inspection is what introspection tells of a token (RFC 7662, section 2.2). Of
// one that is not good, or that the client may not ask about, nothing but that.
type Inspection struct {
	Active  bool
	Client  string
	TokenID string
	Scope   string
	Issued  time.Time
	Expires time.Time
	Type    string // as in Token
	Confirm *Confirmation
}

// Inspect answers an introspection request.
func (a *Authority) Inspect(ctx context.Context, q Request) (Inspection, error) {
	by, g, err := a.aboutToken(ctx, &q)
	if err != nil || g == nil {
		return Inspection{}, err
	}
	good, err := a.directory.InspectToken(ctx, by, q.From, g.issuedToken())
	if err != nil || !good {
		return Inspection{}, err
	}
	return Inspection{
		Active: true, Client: g.Client, TokenID: g.TokenID, Scope: g.scope.String(), Issued: g.issued, Expires: g.expires,
		Type: schemeOf(g.Binding), Confirm: confirmationOf(g.Binding),
	}, nil
}

// Revoke answers a revocation request (RFC 7009). A token that is not good is
// none to be revoked, and that is no error.
func (a *Authority) Revoke(ctx context.Context, q Request) error {
	by, g, err := a.aboutToken(ctx, &q)
	if err != nil || g == nil {
		return err
	}
	err = a.directory.RevokeToken(ctx, by, q.From, g.issuedToken())
	if errors.Is(err, store.ErrForbidden) {
		return errOthers
	}
	return err
}

// aboutToken authenticates the client that asks about a token, and verifies the
// token; nil for one that is not ours or has expired.
func (a *Authority) aboutToken(ctx context.Context, q *Request) (by store.VerifiedClient, g *grant, err error) {
	if err := q.checkForm(); err != nil {
		return by, nil, err
	}
	if by, err = a.authenticateClient(ctx, *q); err != nil {
		return by, nil, err
	}
	q.From.Client = by.Client
	token := q.Form.Get("token")
	if token == "" {
		return by, nil, invalidRequest("token is missing")
	}
	if len(token) > maxToken {
		return by, nil, nil
	}
	g, err = a.grant(ctx, token)
	if errors.Is(err, ErrToken) {
		return by, nil, nil
	}
	return by, g, err
}

func (g *grant) issuedToken() store.IssuedToken {
	return store.IssuedToken{TokenRef: g.TokenRef, Expires: g.expires}
}
