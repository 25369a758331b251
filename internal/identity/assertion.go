package identity

import (
	"context"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/internal/jwks"
	"strongroom/store"
)

// Bounds of an assertion.
const (
	maxAssertion     = 16 << 10 // bytes
	maxAssertionLife = 10 * time.Minute
	maxJTI           = 256 // bytes
)

func unproven(reason string) error { return &store.Unproven{Reason: reason} }

// byAssertion authenticates by private_key_jwt (RFC 7523, section 3): a JSON
// Web Token that the client signed for this server, and that counts once.
func (a *Authority) byAssertion(ctx context.Context, q Request) (store.VerifiedClient, error) {
	text := q.Form.Get("client_assertion")
	if q.Form.Get("client_assertion_type") != assertionType || text == "" {
		return store.VerifiedClient{}, invalidRequest("want client_assertion and client_assertion_type " + assertionType)
	}
	token, claims, ok := parseAssertion(text)
	if given := q.Form.Get("client_id"); !ok || given != "" && given != claims.Subject || !clientName.MatchString(claims.Subject) {
		return store.VerifiedClient{}, a.misnamed(q)
	}
	from := q.From
	from.Client, from.Method = claims.Subject, store.AuthPrivateKey
	return a.directory.Authenticate(ctx, from, func(r store.Registration) (store.Proven, error) {
		return a.proveAssertion(ctx, token, claims.Subject, r)
	})
}

// parseAssertion reads an assertion that nobody verified yet: who it says it is
// decides whose keys are tried.
func parseAssertion(text string) (token *jwt.JSONWebToken, c jwt.Claims, ok bool) {
	if len(text) > maxAssertion {
		return nil, c, false
	}
	token, err := jwt.ParseSigned(text, jwks.Algorithms())
	if err != nil || len(token.Headers) != 1 || token.UnsafeClaimsWithoutVerification(&c) != nil {
		return nil, c, false
	}
	return token, c, true
}

func (a *Authority) proveAssertion(ctx context.Context, token *jwt.JSONWebToken, client string, r store.Registration) (p store.Proven, err error) {
	key, err := a.keyFor(ctx, r, token.Headers[0])
	if err != nil {
		return p, err
	}
	var c jwt.Claims
	if token.Claims(key.Verifier(), &c) != nil {
		return p, unproven("the signature of the assertion is wrong")
	}
	if reason := a.wrongClaims(&c, client); reason != "" {
		return p, unproven(reason)
	}
	p = store.Proven{Credential: store.KeyCredential(key), TokenID: c.ID, Expires: c.Expiry.Time()}
	if r.JWKSURI != "" {
		p.Credential = store.RemoteCredential(r.JWKSURI, p.Credential)
	}
	return p, nil
}

// keyFor finds the key that a header means among those of the client alone.
func (a *Authority) keyFor(ctx context.Context, r store.Registration, h jose.Header) (jwks.Key, error) {
	var key jwks.Key
	var ok bool
	if r.JWKSURI == "" {
		key, ok = r.Keys.Find(h.KeyID, h.Algorithm)
	} else {
		var err error
		if key, ok, err = a.remote.find(ctx, r.JWKSURI, h.KeyID, h.Algorithm); err != nil {
			return key, err
		}
	}
	if !ok {
		return key, unproven("the client has no key that the assertion can be signed with")
	}
	return key, nil
}

// wrongClaims returns what is wrong with an assertion, empty when nothing is.
// Every audience must be this server: one that is meant for others too could be
// used here by them.
func (a *Authority) wrongClaims(c *jwt.Claims, client string) string {
	now := a.now()
	foreign := func(audience string) bool { return audience != a.issuer && audience != a.endpoint("/oauth2/token") }
	switch {
	case c.Issuer != client || c.Subject != client:
		return "the assertion's iss and sub are not the client"
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, foreign):
		return "the assertion is not for this server alone"
	case c.ID == "" || len(c.ID) > maxJTI:
		return "the assertion has no jti that can be kept"
	case c.Expiry == nil || !now.Before(c.Expiry.Time()):
		return "the assertion has expired, or has no exp"
	case c.Expiry.Time().After(now.Add(maxAssertionLife + clockSkew)):
		return "the assertion lives longer than ten minutes"
	case c.NotBefore != nil && c.NotBefore.Time().After(now.Add(clockSkew)), c.IssuedAt != nil && c.IssuedAt.Time().After(now.Add(clockSkew)):
		return "the assertion is of the future"
	}
	return ""
}
