package store

import (
	"strings"

	"strongroom/internal/access"
)

// renewed returns the caller of a long job as it is now: its token may have been
// revoked since, its client disabled or its roles changed, and a stream can go on
// for hours. What the scope of its token narrows stays narrowed. The machine's
// owner has no token.
func (s *Store) renewed(c Caller) (Caller, error) {
	if c.ClientUID.IsZero() || c.SecretID == "" {
		return c, nil
	}
	now, err := s.Principal(&TokenRef{Client: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID, TokenID: c.TokenID, SignedBy: c.SignedBy, Binding: stillBound(c)})
	if err != nil {
		return nil, err
	}
	scope, err := access.ParseScope(strings.Join(c.Scopes, " "))
	if err != nil {
		return nil, ErrUnauthenticated
	}
	next := *c
	next.Policy, next.Roles, next.Labels = now.Policy.Narrow(scope), now.Roles, now.Labels
	return &next, nil
}

// stillBound is the binding of a caller's token, which was shown when the job
// began. A token that is bound in both ways is told as bound in one, so either
// way that its client may have to have it bound counts as met.
func stillBound(c Caller) Binding { return Binding{DPoP: c.Thumbprint, Certificate: c.Thumbprint} }

// authoriseAgain is authorise in the course of a long job.
func (s *Store) authoriseAgain(c Caller, action access.Action, ref CollectionRef) (scope, error) {
	c, err := s.renewed(c)
	if err != nil {
		return scope{}, err
	}
	return s.authorise(c, action, ref)
}

// Renew is renewed for an answer that goes on outside of the store. It neither
// authorises nor audits anything: whoever calls it ends what goes on when the
// caller is no more, or is not what it was.
func (s *Store) Renew(c Caller) (Caller, error) { return s.renewed(c) }
