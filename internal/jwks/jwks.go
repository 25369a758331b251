// Package jwks reads JSON Web Key Sets (RFC 7517) that others wrote: the public
// keys by which a client or an outside issuer signs, and the certificates that
// a client shows. It is strict, since what it accepts decides who somebody is.
package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a set.
const (
	MaxBytes   = 64 << 10
	maxKeys    = 32
	minRSABits = 2048
	maxRSABits = 8192 // a longer key costs its verifier more than it proves
)

// ed25519Alg is the name that RFC 9864 gives to what RFC 8037 calls EdDSA, over
// the one curve that is used here.
const ed25519Alg jose.SignatureAlgorithm = "Ed25519"

// Algorithms are the signature algorithms that count (RFC 7518, 8037 and 9864).
// None of them is symmetric: a public key can never be taken for a shared
// secret.
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA, ed25519Alg, jose.ES256, jose.RS256, jose.PS256}
}

// Key is a public key of a set.
type Key struct {
	jose.JSONWebKey
	// ID is the key's thumbprint (RFC 7638, SHA-256, base64url): the same key
	// has the same one whatever its set calls it.
	ID string
	// Certificate is the fingerprint of the certificate that the key was
	// registered with (x5c), empty without one.
	Certificate string
}

// Verifier returns what verifies signatures under the key, for package jose.
func (k Key) Verifier() any {
	if public, ok := k.Key.(ed25519.PublicKey); ok {
		return ed25519Verifier{public}
	}
	return k.Key
}

// ed25519Verifier verifies under either name of the algorithm: package jose
// knows the older one alone.
type ed25519Verifier struct{ public ed25519.PublicKey }

// VerifyPayload implements jose.OpaqueVerifier.
func (v ed25519Verifier) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	if alg != jose.EdDSA && alg != ed25519Alg || !ed25519.Verify(v.public, payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}

// Set is a set of keys. It is never changed. The nil Set holds none.
type Set struct{ keys []Key }

// Keys returns the keys. They must not be changed.
func (s *Set) Keys() []Key {
	if s == nil {
		return nil
	}
	return s.keys
}

// Find returns the key that a signature's header means: that of its kid, or of
// its thumbprint, or the only one when it names none. A key that is meant for something else, or
// for another algorithm, is not found.
func (s *Set) Find(kid, algorithm string) (Key, bool) {
	for _, k := range s.Keys() {
		named := kid != "" && (k.KeyID == kid || k.ID == kid) || kid == "" && len(s.keys) == 1
		if named && k.Verifies(algorithm) {
			return k, true
		}
	}
	return Key{}, false
}

// Verifies reports whether a key may verify signatures of an algorithm.
func (k Key) Verifies(algorithm string) bool {
	if algorithm == string(ed25519Alg) {
		algorithm = string(jose.EdDSA)
	}
	meant := k.Algorithm
	if meant == string(ed25519Alg) {
		meant = string(jose.EdDSA)
	}
	if k.Use != "" && k.Use != "sig" || meant != "" && meant != algorithm {
		return false
	}
	switch k.Key.(type) {
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256)
	case *rsa.PublicKey:
		return algorithm == string(jose.RS256) || algorithm == string(jose.PS256)
	}
	return false
}

// document is a set as RFC 7517 writes it. Members that are not known are
// ignored, as section 5 wants.
type document struct {
	Keys []jsontext.Value `json:"keys"`
}

// ParseRegistered reads a set that was registered with a client: every key in
// it must be one that can be used. Its errors repeat nothing of the text.
func ParseRegistered(text []byte) (*Set, error) {
	return parse(text, func(err error) error { return err })
}

// ParseFetched reads a set that somebody else keeps: keys of a kind that is
// not used here are passed over, as RFC 7517, section 5, wants.
func ParseFetched(text []byte) (*Set, error) {
	return parse(text, func(error) error { return nil })
}

func parse(text []byte, unusable func(error) error) (*Set, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("a key set has at most %d bytes", MaxBytes)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil || doc.Keys == nil {
		return nil, errors.New(`want an object with a list "keys", in which no member stands twice`)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("a key set has at most %d keys", maxKeys)
	}
	set := &Set{}
	for i, raw := range doc.Keys {
		key, err := parseKey(raw)
		if err == nil && set.has(key.KeyID) {
			err = errors.New("its kid is there twice")
		}
		if err != nil {
			if err = unusable(fmt.Errorf("key %d: %w", i, err)); err != nil {
				return nil, err
			}
			continue
		}
		set.keys = append(set.keys, key)
	}
	return set, nil
}

func (s *Set) has(kid string) bool {
	for _, k := range s.keys {
		if k.KeyID == kid && kid != "" {
			return true
		}
	}
	return false
}

func parseKey(raw []byte) (Key, error) {
	var k Key
	if err := k.UnmarshalJSON(raw); err != nil {
		return k, errors.New("it is not a JSON Web Key")
	}
	return Public(k.JSONWebKey)
}

// Public checks a key that somebody wrote: it must be public, and strong enough
// to be used.
func Public(key jose.JSONWebKey) (Key, error) {
	k := Key{JSONWebKey: key}
	if !k.IsPublic() || !k.Valid() {
		return k, errors.New("it is not a public key; keep the private part where it was made")
	}
	if err := checkStrength(k.Key); err != nil {
		return k, err
	}
	thumb, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return k, errors.New("it has no thumbprint")
	}
	k.ID = base64.RawURLEncoding.EncodeToString(thumb)
	if len(k.Certificates) > 0 {
		k.Certificate = Fingerprint(k.Certificates[0].Raw)
	}
	return k, nil
}

func checkStrength(key any) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n >= minRSABits && n <= maxRSABits && key.E >= 3 {
			return nil
		}
	}
	return errors.New("want Ed25519, EC P-256, or RSA of 2048 to 8192 bits")
}

// Fingerprint is the base64url SHA-256 of a certificate's DER encoding, which
// RFC 8705 calls x5t#S256.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
