package store

// Binding is what an access token is bound to: whoever sends the token must
// show that it has the key. The zero Binding binds to nothing.
type Binding struct {
	DPoP        string // the thumbprint of the key that proofs are signed with (RFC 9449: jkt)
	Certificate string // the fingerprint of the certificate that the connection shows (RFC 8705: x5t#S256)
}

// IsZero reports whether there is no binding.
func (b Binding) IsZero() bool { return b == Binding{} }

// The kinds of bindings.
const (
	BoundByDPoP = "dpop"
	BoundByTLS  = "mtls"
)

// Kind returns how the token is bound, and to what; empty when it is not. A
// token that is bound in both ways is called by its proofs.
func (b Binding) Kind() (kind, thumbprint string) {
	switch {
	case b.DPoP != "":
		return BoundByDPoP, b.DPoP
	case b.Certificate != "":
		return BoundByTLS, b.Certificate
	}
	return "", ""
}

// suffices reports whether a token may be bound to this when its client must
// have them bound in one of the ways that are true.
func suffices(tls, dpop bool, b Binding) bool {
	return !tls && !dpop || tls && b.Certificate != "" || dpop && b.DPoP != ""
}

// verified is what whoever authenticated as the client is.
func (cl *client) verified(credential string) VerifiedClient {
	return VerifiedClient{
		Client: cl.name, ClientUID: cl.doc.UID, SecretID: credential,
		TLSBound: cl.doc.TLSBound, DPoPBound: cl.doc.DPoPBound,
	}
}

// Refuse audits that a request was refused for the key that it did not show,
// and returns an *Unproven. The token is the one that it came with; the zero
// TokenRef when there is none.
func (s *Store) Refuse(t TokenRef, a Attempt, reason string) error {
	p := a.principal()
	if t.Client != "" {
		p.Client, p.ClientUID, p.SecretID, p.TokenID = t.Client, t.ClientUID, t.SecretID, t.TokenID
		p.Binding, p.Thumbprint = t.Binding.Kind()
	}
	op := s.start(p, "authenticate", target{})
	op.entry.Detail = a.Method
	return op.endAttempt(&Unproven{reason})
}
