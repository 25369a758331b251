package envelope

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ring is the AEAD keys of one domain: every key of every generation of its
// keyset. It seals under the key of the primary generation and opens under any
// that is not disabled. It does not change once made.
type ring struct {
	primary KeyRef
	refs    []KeyRef // of all generations, newest first
	sealer  tink.AEAD
	keys    []ringKey // newest generation first; few
}

type ringKey struct {
	id      uint32
	enabled bool
	aead    tink.AEAD
}

// newRing makes a ring of the generations given, newest first. Of a key that
// several hold, the newest generation says whether it is enabled.
func newRing(newestFirst []generation) (*ring, error) {
	primary, err := resolveStates(newestFirst)
	if err != nil {
		return nil, err
	}
	r := &ring{}
	for i, g := range newestFirst {
		primitive, err := aead.New(g.handle)
		if err != nil {
			return nil, damagedKeyset(nil)
		}
		if err := r.add(g, primitive); err != nil {
			return nil, err
		}
		if i == primary {
			r.sealer, r.primary = primitive, r.refs[i]
		}
	}
	return r, nil
}

func (r *ring) add(g generation, primitive tink.AEAD) error {
	ref, err := g.ref()
	if err != nil {
		return err
	}
	r.refs = append(r.refs, ref)
	for i := range g.handle.Len() {
		e, err := g.handle.Entry(i)
		if err != nil {
			return damagedKeyset(nil)
		}
		if !wraps(e) {
			return damagedKeyset(nil)
		}
		if r.find(e.KeyID()) == nil {
			enabled := e.KeyStatus() == keyset.Enabled && g.state != StateDisabled
			r.keys = append(r.keys, ringKey{e.KeyID(), enabled, primitive})
		}
	}
	return nil
}

// wraps reports whether a key is XAES-256-GCM with Tink's prefix and the whole
// salt. A keyset with any other key is refused: without a prefix a key would
// be tried on every ciphertext, and its id told nothing.
func wraps(e *keyset.Entry) bool {
	p, ok := e.Key().Parameters().(*xaesgcm.Parameters)
	return ok && p.Variant() == xaesgcm.VariantTink && p.SaltSizeInBytes() == nonceSize-ivSize
}

func (r *ring) find(id uint32) *ringKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// seal appends the plaintext sealed, in the layout of keyed, to dst.
func (r *ring) seal(dst, plaintext, associated []byte) ([]byte, error) {
	text, err := r.sealer.Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("envelope: seal: %w", err)
	}
	return append(append(dst, format1), text...), nil
}

// open opens what seal sealed. The key id is looked at first, because to Tink
// a disabled key, an unknown one and a changed value look alike.
func (r *ring) open(k keyed, associated []byte, in Part, damage Damage) ([]byte, error) {
	key := r.find(k.keyID)
	if key == nil {
		return nil, &IntegrityError{Damage: DamageKeyID, In: in, cause: ErrUnknownKey}
	}
	if !key.enabled {
		return nil, fmt.Errorf("envelope: %s under key %08x: %w", in, k.keyID, ErrKeyDisabled)
	}
	plaintext, err := key.aead.Decrypt(k.text, associated)
	if err != nil {
		return nil, &IntegrityError{Damage: damage, In: in}
	}
	return plaintext, nil
}
