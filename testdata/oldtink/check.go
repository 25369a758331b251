package main

import (
	"bytes"
	"fmt"

	"github.com/google/tink/go/aead"
	"github.com/google/tink/go/aead/subtle"
	"github.com/google/tink/go/keyset"
	"github.com/google/tink/go/prf"
	tinkpb "github.com/google/tink/go/proto/tink_go_proto"
	"github.com/google/tink/go/tink"
)

// check reads with the old library what the new one wrote. Something that is
// missing is an error: a check that checked nothing must not pass.
func check(v *Vectors) error {
	if v.AEAD == nil || v.PRF == nil || v.Field == nil {
		return fmt.Errorf("want vectors of all three kinds")
	}
	kek, err := subtle.NewAESGCM(v.KEK)
	if err != nil {
		return err
	}
	if err := checkAEAD(kek, v.AEAD); err != nil {
		return fmt.Errorf("AEAD keyset: %w", err)
	}
	if err := checkPRF(kek, v.PRF); err != nil {
		return fmt.Errorf("PRF keyset: %w", err)
	}
	a, err := subtle.NewAESGCM(v.Field.Key)
	if err != nil {
		return err
	}
	if err := open(a, v.Field.Cases); err != nil {
		return fmt.Errorf("field: %w", err)
	}
	return nil
}

func checkAEAD(kek tink.AEAD, v *Keyset) error {
	h, err := unwrap(kek, v)
	if err != nil {
		return err
	}
	a, err := aead.New(h)
	if err != nil {
		return err
	}
	return open(a, v.Cases)
}

func checkPRF(kek tink.AEAD, v *Keyset) error {
	h, err := unwrap(kek, v)
	if err != nil {
		return err
	}
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return err
	}
	if len(v.Cases) == 0 {
		return fmt.Errorf("no cases")
	}
	for i, c := range v.Cases {
		out, err := set.ComputePrimaryPRF(c.In, uint32(len(c.Out)))
		if err != nil {
			return err
		}
		if !bytes.Equal(out, c.Out) {
			return fmt.Errorf("case %d: another output", i)
		}
	}
	return nil
}

func open(a tink.AEAD, cases []Case) error {
	if len(cases) == 0 {
		return fmt.Errorf("no cases")
	}
	for i, c := range cases {
		in, err := a.Decrypt(c.Out, c.Associated)
		if err != nil {
			return fmt.Errorf("case %d: %w", i, err)
		}
		if !bytes.Equal(in, c.In) {
			return fmt.Errorf("case %d: another plaintext", i)
		}
	}
	return nil
}

func unwrap(kek tink.AEAD, v *Keyset) (*keyset.Handle, error) {
	memory := &keyset.MemReaderWriter{EncryptedKeyset: &tinkpb.EncryptedKeyset{EncryptedKeyset: v.Wrapped}}
	return keyset.ReadWithAssociatedData(memory, kek, v.Associated)
}
