package envelope

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzLayout holds a decoder to three promises: what it accepts encodes to the
// same bytes, what it refuses gives nothing, and it never panics.
func fuzzLayout(f *testing.F, smallest int, decode func([]byte) ([]byte, error)) {
	f.Add([]byte{})
	f.Add([]byte{format1})
	f.Add(append([]byte{format1, tinkPrefix}, make([]byte, 200)...))
	f.Add(append([]byte{format1, tinkPrefix}, make([]byte, smallest-2)...))
	f.Add(append([]byte{format1, tinkPrefix}, make([]byte, max(0, smallest-3))...))
	f.Add(append([]byte{0x02, tinkPrefix}, make([]byte, 76)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := decode(b)
		var damage *IntegrityError
		switch {
		case err == nil && !bytes.Equal(encode(text), b):
			t.Errorf("accepted %x, which encodes to %x", b, encode(text))
		case err == nil && len(b) < smallest:
			t.Errorf("accepted %d bytes, fewer than the layout's %d", len(b), smallest)
		case err != nil && text != nil:
			t.Errorf("refused %x but returned %x", b, text)
		case err != nil && (!errors.As(err, &damage) || damage.Damage != DamageFormat):
			t.Errorf("refused with %v, want damage of the format", err)
		}
	})
}

func FuzzDecodeWrappedDEK(f *testing.F) {
	fuzzLayout(f, 78, func(b []byte) ([]byte, error) {
		k, err := decodeWrappedDEK(b)
		return k.text, err
	})
}

func FuzzDecodeControlValue(f *testing.F) {
	fuzzLayout(f, 46, func(b []byte) ([]byte, error) {
		k, err := decodeKeyed(b, PartControl)
		return k.text, err
	})
}

func FuzzDecodeField(f *testing.F) {
	fuzzLayout(f, 29, func(b []byte) ([]byte, error) { return decodeField(b, "a") })
}

func FuzzDecodeBlob(f *testing.F) { fuzzLayout(f, 2, decodeBlob) }
