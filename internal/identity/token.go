package identity

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/internal/access"
	"strongroom/internal/dpop"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store"
)

// tokenType is the typ header of an access token (RFC 9068, section 2.1): it
// keeps other tokens under the same key from being taken for one.
const tokenType = "at+jwt"

// clockSkew is how far in the future a token may have been issued: another
// node's clock may be a little ahead.
const clockSkew = time.Minute

// claims of an access token: those of RFC 9068, and what names the client and
// its secret beyond the reuse of their names.
type claims struct {
	jwt.Claims
	ClientID  string        `json:"client_id"`
	ClientUID uid.UID       `json:"client_uid"`
	SecretID  string        `json:"secret_id"` // or the credential that it proved
	Scope     string        `json:"scope,omitempty"`
	Confirm   *Confirmation `json:"cnf,omitempty"`
}

// order is what an access token is asked for with.
type order struct {
	proof    *dpop.Proof // nil: none was shown
	scope    *access.Scope
	lifetime time.Duration
}

// issue makes an access token for a client that authenticated.
func (a *Authority) issue(ctx context.Context, c store.VerifiedClient, q *Request, o order) (Token, error) {
	binding, err := a.bind(c, q, o.proof)
	if err != nil {
		return Token{}, err
	}
	set, err := a.keys.get(ctx, 0) // not with a key that was just taken away
	if err != nil {
		return Token{}, err
	}
	now := a.now()
	sign := set.signer(now)
	key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: sign.key, KeyID: sign.id}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return Token{}, err
	}
	text, err := jwt.Signed(signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: a.issuer, Subject: c.Client, Audience: jwt.Audience{a.audience},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(o.lifetime)),
			ID: uid.New().String(),
		},
		ClientID: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID, Scope: o.scope.String(),
		Confirm: confirmationOf(binding),
	}).Serialize()
	if err != nil {
		return Token{}, err
	}
	return Token{Value: secret.New(text), Lifetime: o.lifetime, Scope: o.scope.String(), Type: schemeOf(binding)}, nil
}

// verify checks a token's form, signature and claims. Everything that is wrong
// with it is ErrToken; other errors mean that it could not be checked.
func (a *Authority) verify(ctx context.Context, text string) (*grant, error) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(token.Headers) != 1 || !isAccessToken(token.Headers[0]) {
		return nil, ErrToken
	}
	key, err := a.keys.public(ctx, token.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	var c claims
	if key == nil || token.Claims(key, &c) != nil || !a.acceptable(&c) {
		return nil, ErrToken
	}
	scope, err := access.ParseScope(c.Scope)
	if err != nil {
		return nil, ErrToken
	}
	return &grant{
		TokenRef: store.TokenRef{Client: c.ClientID, ClientUID: c.ClientUID, SecretID: c.SecretID, TokenID: c.ID, SignedBy: token.Headers[0].KeyID, Binding: c.Confirm.binding()},
		issued:   c.IssuedAt.Time(), expires: c.Expiry.Time(), scope: scope, remote: a.remote.holding(c.SecretID),
	}, nil
}

// isAccessToken checks the typ header: "at+jwt" or, as RFC 7515 lets it be
// written out, "application/at+jwt".
func isAccessToken(h jose.Header) bool {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	return typ == tokenType || typ == "application/"+tokenType
}

// acceptable checks the claims. Each is required: a token without an expiry or
// an id is none of ours, whoever signed it.
func (a *Authority) acceptable(c *claims) bool {
	if c.Expiry == nil || c.IssuedAt == nil || c.ID == "" || c.ClientID == "" || c.Subject != c.ClientID {
		return false
	}
	now := a.now()
	return c.Issuer == a.issuer && c.Audience.Contains(a.audience) &&
		now.Before(c.Expiry.Time()) && !c.IssuedAt.Time().After(now.Add(clockSkew))
}
