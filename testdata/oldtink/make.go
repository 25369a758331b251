package main

import (
	"github.com/google/tink/go/aead"
	"github.com/google/tink/go/aead/subtle"
	"github.com/google/tink/go/keyset"
	"github.com/google/tink/go/prf"
	tinkpb "github.com/google/tink/go/proto/tink_go_proto"
	"github.com/google/tink/go/subtle/random"
	"github.com/google/tink/go/tink"
)

// inputs are what every key is used on: nothing, one byte, a block and more.
var inputs = []string{"", "a", "sixteen bytes ..", `"a longer value, as a field of a record may be"`}

func makeVectors() (*Vectors, error) {
	v := &Vectors{MadeBy: "github.com/google/tink/go v1.7.0", KEK: random.GetRandomBytes(32)}
	kek, err := subtle.NewAESGCM(v.KEK)
	if err != nil {
		return nil, err
	}
	if v.AEAD, err = makeAEAD(kek); err != nil {
		return nil, err
	}
	if v.PRF, err = makePRF(kek); err != nil {
		return nil, err
	}
	v.Field, err = makeField()
	return v, err
}

// makeAEAD uses three keys in turn as primary, so that there are ciphertexts
// of keys that are not primary any more.
func makeAEAD(kek tink.AEAD) (*Keyset, error) {
	v := &Keyset{Associated: Hex("keyset of AEAD keys")}
	m := keyset.NewManager()
	for range 3 {
		h, err := addPrimary(m, aead.AES256GCMKeyTemplate())
		if err != nil {
			return nil, err
		}
		a, err := aead.New(h)
		if err != nil {
			return nil, err
		}
		if err := seal(a, &v.Cases); err != nil {
			return nil, err
		}
	}
	return v, wrap(m, kek, v)
}

func makePRF(kek tink.AEAD) (*Keyset, error) {
	v := &Keyset{Associated: Hex("keyset of PRF keys")}
	m := keyset.NewManager()
	if _, err := addPrimary(m, prf.HMACSHA256PRFKeyTemplate()); err != nil {
		return nil, err
	}
	h, err := addPrimary(m, prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, err
	}
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return nil, err
	}
	for i, in := range inputs {
		out, err := set.ComputePrimaryPRF([]byte(in), uint32(32-8*i))
		if err != nil {
			return nil, err
		}
		v.Cases = append(v.Cases, Case{In: Hex(in), Out: out})
	}
	return v, wrap(m, kek, v)
}

func makeField() (*Raw, error) {
	v := &Raw{Key: random.GetRandomBytes(32)}
	a, err := subtle.NewAESGCM(v.Key)
	if err != nil {
		return nil, err
	}
	return v, seal(a, &v.Cases)
}

func addPrimary(m *keyset.Manager, template *tinkpb.KeyTemplate) (*keyset.Handle, error) {
	id, err := m.Add(template)
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return m.Handle()
}

func seal(a tink.AEAD, cases *[]Case) error {
	for _, in := range inputs {
		c := Case{In: Hex(in), Associated: Hex("associated with " + in)}
		out, err := a.Encrypt(c.In, c.Associated)
		if err != nil {
			return err
		}
		c.Out = out
		*cases = append(*cases, c)
	}
	return nil
}

func wrap(m *keyset.Manager, kek tink.AEAD, v *Keyset) error {
	h, err := m.Handle()
	if err != nil {
		return err
	}
	var memory keyset.MemReaderWriter
	if err := h.WriteWithAssociatedData(&memory, kek, v.Associated); err != nil {
		return err
	}
	v.Wrapped = memory.EncryptedKeyset.GetEncryptedKeyset()
	return nil
}
