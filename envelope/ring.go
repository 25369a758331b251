package envelope

import (
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// ring is the AEAD keys of one domain: every key of every generation of its
// keyset. It seals under the key of the primary generation and opens under any
// that is not disabled. It does not change once made.
type ring struct {
	primary KeyRef
	refs    []KeyRef // of all generations, newest first
	sealer  *xaes
	keys    []ringKey // newest generation first; few
}

type ringKey struct {
	id      uint32
	enabled bool
	xaes    *xaes
}

// newRing makes a ring of the generations given, newest first. Of a key that
// several hold, the newest generation says whether it is enabled.
func newRing(newestFirst []generation) (*ring, error) {
	primary, err := resolveStates(newestFirst)
	if err != nil {
		return nil, err
	}
	r := &ring{}
	for _, g := range newestFirst {
		ref, err := g.ref()
		if err != nil {
			return nil, err
		}
		r.refs = append(r.refs, ref)
		if err := r.add(g); err != nil {
			return nil, err
		}
	}
	r.primary = r.refs[primary]
	sealer := r.find(r.primary.KeyID)
	if sealer == nil || !sealer.enabled {
		return nil, damagedKeyset(nil)
	}
	r.sealer = sealer.xaes
	return r, nil
}

func (r *ring) add(g generation) error {
	for i := range g.handle.Len() {
		e, err := g.handle.Entry(i)
		if err != nil || !wraps(e) {
			return damagedKeyset(nil)
		}
		if r.find(e.KeyID()) != nil {
			continue
		}
		x, err := xaesOf(e)
		if err != nil {
			return err
		}
		enabled := e.KeyStatus() == keyset.Enabled && g.state != StateDisabled
		r.keys = append(r.keys, ringKey{e.KeyID(), enabled, x})
	}
	return nil
}

// xaesOf takes a key's bytes out of the keyset. They are in this process's
// memory either way; Tink's own AEAD has them there too.
func xaesOf(e *keyset.Entry) (*xaes, error) {
	k, ok := e.Key().(*xaesgcm.Key)
	if !ok {
		return nil, damagedKeyset(nil)
	}
	secret := k.KeyBytes().Data(insecuresecretdataaccess.Token{})
	defer clear(secret) // it is a copy
	x, err := newXAES(secret)
	if err != nil {
		return nil, damagedKeyset(nil)
	}
	return x, nil
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

// sealedOverhead is how much longer a value in the layout of keyed is than what
// it holds.
const sealedOverhead = 1 + prefixSize + nonceSize + tagSize

// seal appends the plaintext sealed, in the layout of keyed, to dst.
func (r *ring) seal(dst, plaintext, associated []byte) ([]byte, error) {
	if dst == nil {
		dst = make([]byte, 0, sealedOverhead+len(plaintext))
	}
	dst = append(dst, format1, tinkPrefix)
	dst = binary.BigEndian.AppendUint32(dst, r.primary.KeyID)
	sealed, err := r.sealer.seal(dst, plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("envelope: seal: %w", err)
	}
	return sealed, nil
}

// open appends what seal sealed to dst. The key id is looked at first, so that
// a disabled key, an unknown one and a changed value are told apart.
func (r *ring) open(dst []byte, k keyed, associated []byte, in Part, damage Damage) ([]byte, error) {
	key := r.find(k.keyID)
	if key == nil {
		return nil, &IntegrityError{Damage: DamageKeyID, In: in, cause: ErrUnknownKey}
	}
	if !key.enabled {
		return nil, fmt.Errorf("envelope: %s under key %08x: %w", in, k.keyID, ErrKeyDisabled)
	}
	plaintext, err := key.xaes.open(dst, k.text[prefixSize:], associated)
	if err != nil {
		return nil, &IntegrityError{Damage: damage, In: in}
	}
	return plaintext, nil
}
