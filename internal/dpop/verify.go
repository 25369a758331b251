package dpop

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"strongroom/internal/jwks"
)

// claims of a proof (RFC 9449, section 4.2).
type claims struct {
	ID     string   `json:"jti"`
	Method string   `json:"htm"`
	Target string   `json:"htu"`
	Issued *float64 `json:"iat"` // seconds, maybe with a fraction
	Token  string   `json:"ath"`
	Nonce  string   `json:"nonce"`
}

// Verify checks a proof against the request that it came with. What is wrong
// with it is a *Refused. The cheap checks come first, the signature last.
func (v *Verifier) Verify(q Request) (Proof, error) {
	switch {
	case len(q.Proofs) == 0:
		return Proof{}, refuse("there is no proof")
	case len(q.Proofs) > 1:
		return Proof{}, refuse("there is more than one proof")
	case len(q.Proofs[0]) > maxProof:
		return Proof{}, refuse("the proof is too long")
	}
	signed, err := jose.ParseSignedCompact(q.Proofs[0], jwks.Algorithms())
	if err != nil {
		return Proof{}, refuse("the proof is not well-formed, or not signed by an algorithm that is taken")
	}
	header := &signed.Signatures[0].Header
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != proofType || header.JSONWebKey == nil {
		return Proof{}, refuse("the token is not a proof: want the type " + proofType + " and a public key in its header")
	}
	var c claims
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &c); err != nil {
		return Proof{}, refuse("the proof's claims are not well-formed, or one stands there twice")
	}
	if reason := v.wrong(&c, &q); reason != "" {
		return Proof{}, refuse(reason)
	}
	if !v.ledger.accepts(c.Nonce, v.now()) {
		return Proof{}, errNonce
	}
	key, err := jwks.Public(*header.JSONWebKey)
	if err != nil || !key.Verifies(header.Algorithm) {
		return Proof{}, refuse("the proof's key is not one that is taken, or not of its algorithm")
	}
	if _, err := signed.Verify(key.Verifier()); err != nil {
		return Proof{}, refuse("the signature of the proof is wrong")
	}
	return Proof{Thumbprint: key.ID, id: idOf(key.ID, c.ID), nonce: c.Nonce}, nil
}

// wrong returns what is wrong with the claims, empty when nothing is.
func (v *Verifier) wrong(c *claims, q *Request) string {
	switch {
	case c.ID == "" || len(c.ID) > maxJTI:
		return "the proof has no jti that can be kept"
	case c.Method != q.Method:
		return "the proof is for another method"
	case !v.isTarget(c.Target, q.Path):
		return "the proof is for another URI"
	case c.Issued == nil:
		return "the proof has no iat"
	case q.Token != nil && !isHash(c.Token, q.Token):
		return "the proof is for another access token"
	}
	// Seconds as a float are exact far beyond any date that passes.
	age := float64(v.now().UnixMilli())/1000 - *c.Issued
	switch {
	case age > maxAge.Seconds():
		return "the proof is too old"
	case age < -maxAhead.Seconds():
		return "the proof is of the future"
	}
	return ""
}

// isHash reports whether text is a hash in base64url.
func isHash(text string, hash *[sha256.Size]byte) bool {
	var b [43]byte
	base64.RawURLEncoding.Encode(b[:], hash[:])
	return text == string(b[:])
}

// idOf is what a proof is remembered by: the same jti under another key is
// another proof.
func idOf(thumbprint, jti string) (id [16]byte) {
	var b [43 + maxJTI]byte
	n := copy(b[:], thumbprint)
	n += copy(b[n:], jti)
	sum := sha256.Sum256(b[:n])
	copy(id[:], sum[:])
	return id
}
