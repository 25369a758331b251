package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/jwks"
	"strongroom/internal/ledger"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
)

// Registration is what a client registered to be known by.
type Registration struct {
	ClientUID   uid.UID
	Method      string
	Keys        *jwks.Set
	JWKSURI     string      // where its keys are, instead of Keys
	Certificate Certificate // of tls_client_auth
}

// Unproven is the error of a proof that does not hold. The reason is for the
// audit log alone: whoever asks is told that it could not be authenticated. It
// is an ErrUnauthenticated.
type Unproven struct{ Reason string }

// Error returns the reason, which repeats nothing that was sent.
func (e *Unproven) Error() string { return e.Reason }

// Is makes it an ErrUnauthenticated.
func (e *Unproven) Is(target error) bool { return target == ErrUnauthenticated }

// Proven is what an attempt proved: the credential and, where that was done by a
// token that counts once, which one and until when.
type Proven struct {
	Credential string
	TokenID    string
	Expires    time.Time
}

// Authenticate judges and audits an attempt to be a client by another way than
// a secret. prove is given what the client registered and returns what it found
// proven; for a client that does not exist, or registered another way, it is
// given nothing to prove by, so that the time it takes does not tell. A token
// that counts once is spent: the disk remembers it until it expires.
func (s *Store) Authenticate(ctx context.Context, a Attempt, prove func(Registration) (Proven, error)) (out VerifiedClient, err error) {
	op := s.start(a.principal(), "authenticate", target{})
	op.entry.Detail = a.Method
	defer func() { err = op.endAttempt(err) }()
	cat := s.catalog.Load()
	if cat.damage(kindClient, a.Client) != nil {
		return out, fmt.Errorf("%w: client %s", ErrIntegrity, a.Client)
	}
	cl := cat.clients[a.Client]
	known := Registration{Method: a.Method}
	if cl.proves(a.Method) {
		known = cl.registration()
	}
	proven, err := prove(known)
	if err != nil {
		return out, err
	}
	if !cl.proves(a.Method) || !cl.proof.holds(proven.Credential) {
		return out, ErrUnauthenticated
	}
	if proven.TokenID != "" {
		if err := s.spend(ctx, cl.doc.UID, proven.TokenID, proven.Expires); err != nil {
			return out, err
		}
	}
	op.entry.ClientUID, op.entry.SecretID = cl.doc.UID, proven.Credential
	return cl.verified(proven.Credential), nil
}

// proves reports whether a client may authenticate in a way now.
func (cl *client) proves(method string) bool {
	return cl != nil && !cl.doc.Disabled && cl.proof.method == method
}

func (cl *client) registration() Registration {
	p := &cl.proof
	return Registration{ClientUID: cl.doc.UID, Method: p.method, Keys: p.keys, JWKSURI: p.uri, Certificate: p.certificate}
}

func (a Attempt) principal() *access.Principal {
	return &access.Principal{Client: auditableName(a.Client), Address: a.Address, RequestID: a.RequestID, TraceParent: a.TraceParent}
}

// endAttempt ends an attempt: why it failed goes into the audit log.
func (op *operation) endAttempt(err error) error {
	var unproven *Unproven
	if errors.As(err, &unproven) {
		op.entry.Detail = strings.TrimPrefix(op.entry.Detail+": "+unproven.Reason, ": ")
	}
	return op.end(err)
}

// AuthMethod returns the way in which a client authenticates, empty when there
// is no such client: what a request that could mean several ways is held to.
func (s *Store) AuthMethod(client string) string {
	if cl := s.catalog.Load().clients[client]; cl != nil {
		return cl.proof.method
	}
	return ""
}

// VerifySecret authenticates a client by its secret, in a time that does not
// tell which of the two was wrong. A failure is audited.
func (s *Store) VerifySecret(ctx context.Context, a Attempt, value secret.Text) (out VerifiedClient, err error) {
	op := s.start(a.principal(), "authenticate", target{})
	op.entry.Detail = AuthSecret
	defer func() { err = op.end(err) }()
	cat := s.catalog.Load()
	if cat.damage(kindClient, a.Client) != nil {
		return out, fmt.Errorf("%w: client %s", ErrIntegrity, a.Client)
	}
	cl := cat.clients[a.Client]
	id, ok := cl.matchSecret(value, s.now())
	if !ok || !cl.proves(AuthSecret) {
		return out, ErrUnauthenticated
	}
	cl.secrets[id].use.note(s.now())
	op.entry.ClientUID, op.entry.SecretID = cl.doc.UID, id
	return cl.verified(id), nil
}

// Principal returns the client of a verified token as it stands now: the roles
// and labels of this moment, and ErrUnauthenticated once the token was revoked,
// the key that signed it was taken away, the client is gone or disabled, the
// credential that the token was issued for counts no more, or the token is not
// bound as the client's must be. It takes no lock. The caller adds what belongs to
// the request.
func (s *Store) Principal(t *TokenRef) (*access.Principal, error) {
	if s.ended.has(t.TokenID) {
		return nil, ErrUnauthenticated
	}
	cat := s.catalog.Load()
	if t.SignedBy != "" && !cat.signedWith(t.SignedBy) {
		return nil, ErrUnauthenticated
	}
	if cat.damage(kindClient, t.Client) != nil {
		return nil, s.refuseDamaged(t.Client, kindClient+"/"+t.Client)
	}
	cl := cat.clients[t.Client]
	if cl == nil || cl.doc.UID != t.ClientUID || cl.doc.Disabled || !s.counts(cat, cl, t.SecretID) ||
		!suffices(cl.doc.TLSBound, cl.doc.DPoPBound, t.Binding) {
		return nil, ErrUnauthenticated
	}
	if role, bad := cat.damagedRole(cl.doc.Roles); bad {
		return nil, s.refuseDamaged(t.Client, kindRole+"/"+role)
	}
	kind, thumbprint := t.Binding.Kind()
	return &access.Principal{
		Client: cl.name, ClientUID: cl.doc.UID, Roles: cl.doc.Roles, Policy: cl.policy, Labels: cl.doc.Labels,
		SecretID: t.SecretID, TokenID: t.TokenID, SignedBy: t.SignedBy, Binding: kind, Thumbprint: thumbprint,
	}, nil
}

// counts reports whether a credential of a client counts now.
func (s *Store) counts(cat *catalog, cl *client, credential string) bool {
	if sec := cl.secrets[credential]; sec != nil {
		return cl.proof.method == AuthSecret && sec.valid(s.now())
	}
	return cl.proof.holds(credential) || cat.vouchers[credential] == cl.doc.UID && !cl.doc.UID.IsZero()
}

// refuseDamaged refuses a client of whose definition a part failed its
// integrity check, audited and counted.
func (s *Store) refuseDamaged(client, control string) error {
	op := s.start(&access.Principal{Client: client}, "authenticate", target{control: control})
	return op.end(fmt.Errorf("%w: %s", ErrIntegrity, control))
}

// RevokeToken ends an access token before its time: from the next request on it
// is worth nothing. A client may end its own tokens; whoever manages clients
// may end every token. A token that was revoked before stays so.
func (s *Store) RevokeToken(ctx context.Context, by VerifiedClient, a Attempt, t IssuedToken) (err error) {
	op := s.start(s.caller(by, a), "revoke", target{control: kindClient + "/" + t.Client})
	op.entry.Detail = "token " + t.TokenID
	defer func() { err = op.end(err) }()
	if by.ClientUID != t.ClientUID && !canAny(op.caller, access.ManageClients) {
		return ErrForbidden
	}
	if err := op.intent(); err != nil {
		return err
	}
	op.notes = []ledger.Note{{Kind: ledger.TokenRevoked, Client: t.ClientUID, Token: t.TokenID, Expires: new(t.Expires.UTC())}}
	return s.endToken(ctx, op, t.TokenID, t.ClientUID, t.Expires)
}

// InspectToken tells whether a token is good now. A client may ask of its own
// tokens; whoever manages clients or reads the audit log of every token. To
// anybody else no token is good.
func (s *Store) InspectToken(_ context.Context, by VerifiedClient, a Attempt, t IssuedToken) (good bool, err error) {
	op := s.start(s.caller(by, a), "introspect", target{control: kindClient + "/" + t.Client})
	op.entry.Detail = "token " + t.TokenID
	defer func() { err = op.end(err) }()
	if by.ClientUID != t.ClientUID && !canAny(op.caller, access.ManageClients, access.ReadAudit) {
		return false, nil
	}
	_, err = s.Principal(&t.TokenRef)
	if errors.Is(err, ErrUnauthenticated) {
		return false, nil
	}
	return err == nil, err
}

// caller is the principal of a client that just authenticated.
func (s *Store) caller(by VerifiedClient, a Attempt) Caller {
	p := a.principal()
	p.Client, p.ClientUID, p.SecretID = by.Client, by.ClientUID, by.SecretID
	if cl := s.catalog.Load().clients[by.Client]; cl != nil && cl.doc.UID == by.ClientUID {
		p.Policy, p.Roles = cl.policy, slices.Clone(cl.doc.Roles)
	}
	return p
}
