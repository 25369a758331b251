// Package dpop verifies proofs of possession (RFC 9449). A proof is a JSON Web
// Token that a client signs for one request with a key of its own; an access
// token that is bound to that key is worth nothing without one.
//
// Every proof must carry a nonce of this process, and counts once. The process
// remembers the proofs that were used for as long as it accepts the nonce they
// carry: so no proof is accepted that it could have seen and forgotten, be it
// by a restart, by time or for want of memory, and none that was made at
// another process. A client whose nonce is too old is given a new one and tries
// again.
package dpop

import (
	"crypto/sha256"
	"time"
)

const (
	// proofType is the typ header of a proof: it keeps other tokens under the
	// same key from being taken for one.
	proofType = "dpop+jwt"

	maxProof = 4096 // bytes of a proof; one by a key of RSA 4096 has 2,300
	maxJTI   = 256  // bytes

	// maxAge and maxAhead bound how far iat may be from this clock. A nonce
	// bounds the age of a proof already, by this clock alone.
	maxAge   = 5 * time.Minute
	maxAhead = time.Minute
)

// Refused is the error of a proof that does not count. Its reason is fit for
// the audit log, and repeats nothing of the proof.
type Refused struct {
	Reason string
	Nonce  bool // the proof lacks a nonce that counts now, and may be fine otherwise
}

// Error returns the reason.
func (r *Refused) Error() string { return r.Reason }

func refuse(reason string) error { return &Refused{Reason: reason} }

var errNonce = &Refused{Reason: "the proof has no nonce that counts now", Nonce: true}

// Request is what a proof must have been made for.
type Request struct {
	Proofs []string // the DPoP header fields, as they came
	Method string
	Path   string // escaped, as it came
	// Token is the hash of the access token that the request came with; nil
	// for a request that comes with none, as one for a token does.
	Token *[sha256.Size]byte
}

// Proof is a proof that is right in itself. It counts once: see Spend.
type Proof struct {
	Thumbprint string // of its key (RFC 7638, SHA-256, base64url)

	id    [16]byte
	nonce string
}

// Config says what a verifier accepts. Zero values mean the defaults.
type Config struct {
	Origins   []string         // URLs of this server, by every name that its clients know it by; one that is not https is none
	Now       func() time.Time // nil: time.Now
	NonceLife time.Duration    // of a nonce, until the next one; it is accepted twice as long. Default 2 minutes
	MaxUsed   int              // proofs that are remembered of each nonce; default 131,072
}

// Verifier verifies proofs. It is safe for concurrent use.
type Verifier struct {
	now     func() time.Time
	origins []string
	ledger  ledger
}

// New returns a verifier.
func New(c Config) *Verifier {
	v := &Verifier{now: c.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if c.NonceLife <= 0 {
		c.NonceLife = 2 * time.Minute
	}
	if c.MaxUsed <= 0 {
		c.MaxUsed = 1 << 17
	}
	for _, text := range c.Origins {
		if origin, ok := normalOrigin(text); ok {
			v.origins = append(v.origins, origin)
		}
	}
	v.ledger = ledger{life: c.NonceLife, most: c.MaxUsed}
	return v
}

// Nonce returns the nonce that a client should use now.
func (v *Verifier) Nonce() string { return v.ledger.nonce(v.now()) }

// Spend uses up a proof. A second use is refused, whatever it is for.
func (v *Verifier) Spend(p Proof) error { return v.ledger.spend(p, v.now()) }
