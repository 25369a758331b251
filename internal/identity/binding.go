package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"strongroom/internal/dpop"
	"strongroom/internal/jwks"
	"strongroom/store"
)

// The errors of proofs of possession (RFC 9449, section 7.1).
var (
	// ErrProof comes when the proof that came with a token does not count.
	ErrProof = errors.New("the DPoP proof is not valid")
	// ErrNonce comes when a proof lacks a nonce that counts now: see
	// Authority.Nonce.
	ErrNonce = errors.New("the DPoP proof must carry the nonce that this answer gives")
)

// InvalidProof is an ErrProof that says what is wrong with the proof, to whoever
// made it.
type InvalidProof struct{ Reason string }

// Error returns the reason, which repeats nothing of the proof.
func (e *InvalidProof) Error() string { return e.Reason }

// Is makes it an ErrProof.
func (e *InvalidProof) Is(target error) bool { return target == ErrProof }

// The schemes that a token is sent under.
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// Confirmation is the cnf claim (RFC 7800) that says what a token is bound to.
type Confirmation struct {
	Key         string `json:"jkt,omitempty"`      // RFC 9449, section 6.1
	Certificate string `json:"x5t#S256,omitempty"` // RFC 8705, section 3.1
}

func confirmationOf(b store.Binding) *Confirmation {
	if b.IsZero() {
		return nil
	}
	return &Confirmation{Key: b.DPoP, Certificate: b.Certificate}
}

func (c *Confirmation) binding() store.Binding {
	if c == nil {
		return store.Binding{}
	}
	return store.Binding{DPoP: c.Key, Certificate: c.Certificate}
}

// schemeOf is the scheme that a token is sent under, and its token_type.
func schemeOf(b store.Binding) string {
	if b.DPoP != "" {
		return schemeDPoP
	}
	return schemeBearer
}

// Nonce returns the nonce that proofs should carry now (RFC 9449, section 8).
func (a *Authority) Nonce() string { return a.proofs.Nonce() }

// ProofAlgorithms returns the algorithms that proofs may be signed by, as a
// challenge names them.
func (a *Authority) ProofAlgorithms() string { return strings.Join(algorithmNames(), " ") }

// proofOf verifies the proof of a token request, nil when it has none. It is
// looked at before the client authenticates, so that an assertion that counts
// once is not spent on a request that will be made again with a nonce; it is
// used up when the client has.
func (a *Authority) proofOf(q *Request) (*dpop.Proof, error) {
	if len(q.Proofs) == 0 {
		return nil, nil
	}
	proof, err := a.proofs.Verify(dpop.Request{Proofs: q.Proofs, Method: http.MethodPost, Path: q.Path})
	if err != nil {
		return nil, a.refuseRequest(q, store.VerifiedClient{Client: q.claimedClient()}, err)
	}
	return &proof, nil
}

// claimedClient is who a request says that it is from, before that is proven.
func (q *Request) claimedClient() string {
	name, _, ok := basic(q.Authorization)
	if !ok {
		name = q.Form.Get("client_id")
	}
	if !clientName.MatchString(name) {
		return ""
	}
	return name
}

// bind decides what the token of a client is bound to: to the key of the proof
// that the request brings, and to the certificate of its connection where the
// client is marked for that.
func (a *Authority) bind(c store.VerifiedClient, q *Request, proof *dpop.Proof) (b store.Binding, err error) {
	if proof != nil {
		if err := a.proofs.Spend(*proof); err != nil {
			return b, a.refuseRequest(q, c, err)
		}
		b.DPoP = proof.Thumbprint
	}
	if c.TLSBound && q.TLS != nil && len(q.TLS.PeerCertificates) > 0 {
		b.Certificate = jwks.Fingerprint(q.TLS.PeerCertificates[0].Raw)
	}
	if !c.Suffices(b) {
		return b, a.refuseRequest(q, c, errUnbound)
	}
	return b, nil
}

var errUnbound = errors.New("the client's tokens must be bound to a key of its own")

// refuseRequest audits why a token request is refused for the key that it did
// not show, and says it in OAuth's words.
func (a *Authority) refuseRequest(q *Request, c store.VerifiedClient, why error) error {
	from := q.From
	from.Client, from.Method = c.Client, "token"
	ref := store.TokenRef{Client: c.Client, ClientUID: c.ClientUID, SecretID: c.SecretID}
	if c.ClientUID.IsZero() {
		ref = store.TokenRef{}
	}
	if err := a.directory.Refuse(ref, from, why.Error()); !errors.Is(err, store.ErrUnauthenticated) {
		return err
	}
	var refused *dpop.Refused
	switch {
	case !errors.As(why, &refused):
		return errMustBind
	case refused.Nonce:
		return errTokenNonce
	}
	return &Refusal{"invalid_dpop_proof", refused.Reason}
}

// checkBinding checks that whoever sent a token has the key that it is bound
// to. The token is good, so each refusal is audited as its client's: somebody
// may have stolen it.
func (a *Authority) checkBinding(g *grant, q *Presented) error {
	if g.Binding.IsZero() && !q.DPoP {
		return nil
	}
	switch {
	case q.DPoP && g.Binding.DPoP == "":
		return a.refuseToken(g, q, ErrToken, "a token that is not bound to a key came under the scheme DPoP")
	case !q.DPoP && g.Binding.DPoP != "":
		return a.refuseToken(g, q, ErrToken, "a token that is bound to a key came without a proof")
	case g.Binding.Certificate != "" && !q.shows(g.Binding.Certificate):
		return a.refuseToken(g, q, ErrToken, "the connection does not show the certificate that the token is bound to")
	case q.DPoP:
		return a.checkProof(g, q)
	}
	return nil
}

// shows reports whether the connection shows a certificate. The handshake has
// proved that the other side has its key.
func (q *Presented) shows(fingerprint string) bool {
	if q.TLS == nil || len(q.TLS.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(q.TLS.PeerCertificates[0].Raw)
	var b [43]byte
	base64.RawURLEncoding.Encode(b[:], sum[:])
	return fingerprint == string(b[:])
}

func (a *Authority) checkProof(g *grant, q *Presented) error {
	proof, err := a.proofs.Verify(dpop.Request{Proofs: q.Proofs, Method: q.Method, Path: q.Path, Token: (*[sha256.Size]byte)(&g.token)})
	if err == nil && proof.Thumbprint != g.Binding.DPoP {
		return a.refuseToken(g, q, ErrToken, "the proof is by another key than the token is bound to")
	}
	if err == nil {
		err = a.proofs.Spend(proof)
	}
	var refused *dpop.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Nonce:
		return a.refuseToken(g, q, ErrNonce, refused.Reason)
	}
	return a.refuseToken(g, q, &InvalidProof{err.Error()}, err.Error())
}

// refuseToken audits why a good token is refused, and returns what its sender
// is told.
func (a *Authority) refuseToken(g *grant, q *Presented, told error, reason string) error {
	from := q.From
	from.Client, from.Method = g.Client, "access token"
	if err := a.directory.Refuse(g.TokenRef, from, reason); !errors.Is(err, store.ErrUnauthenticated) {
		return err
	}
	return told
}
