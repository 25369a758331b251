package envelope

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"
)

// The two vectors of the specification: they differ in the top bit of the
// block that the CMAC subkey comes from.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		key              byte
		associated, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x, err := newXAES(bytes.Repeat([]byte{c.key}, 32))
		must(t, err)
		sealed, err := hex.DecodeString(c.want)
		must(t, err)
		got, err := x.open([]byte("before "), append(bytes.Clone(nonce), sealed...), []byte(c.associated))
		if err != nil || string(got) != "before XAES-256-GCM" {
			t.Errorf("key %d opens to %q, %v", c.key, got, err)
		}
		a, err := x.cipher(nonce)
		must(t, err)
		if out := a.Seal(nil, nonce[saltSize:], []byte("XAES-256-GCM"), []byte(c.associated)); !bytes.Equal(out, sealed) {
			t.Errorf("key %d seals to %x, want %s", c.key, out, c.want)
		}
	}
}

// Tink opens what is sealed here and the other way round, under any key.
func TestXAESIsTinks(t *testing.T) {
	parameters, err := xaesgcm.NewParameters(xaesgcm.VariantTink, saltSize)
	must(t, err)
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		associated := rapid.SliceOf(rapid.Byte()).Draw(t, "associated")
		id := rapid.Uint32Min(1).Draw(t, "key id")
		h := tinkHandle(t, secret, id, parameters)
		r, err := newRing([]generation{{PurposeWrapping, 1, h, 0}})
		check(t, err)
		theirs := tinkAEAD(t, h)

		ours, err := r.seal(nil, plaintext, associated)
		check(t, err)
		back, err := theirs.Decrypt(ours[1:], associated)
		if err != nil || !bytes.Equal(back, plaintext) {
			t.Fatalf("Tink opens it to %x, %v", back, err)
		}
		text, err := theirs.Encrypt(plaintext, associated)
		check(t, err)
		k, err := decodeKeyed(encode(text), PartControl)
		check(t, err)
		back, err = r.open(nil, k, associated, PartControl, DamageControl)
		if err != nil || !bytes.Equal(back, plaintext) {
			t.Fatalf("it opens Tink's to %x, %v", back, err)
		}
	})
}

func tinkHandle(t *rapid.T, secret []byte, id uint32, p *xaesgcm.Parameters) *keyset.Handle {
	k, err := xaesgcm.NewKey(secretdata.NewBytesFromData(secret, insecuresecretdataaccess.Token{}), id, p)
	check(t, err)
	m := keyset.NewManager()
	added, err := m.AddKey(k)
	check(t, err)
	check(t, m.SetPrimary(added))
	h, err := m.Handle()
	check(t, err)
	return h
}

func tinkAEAD(t *rapid.T, h *keyset.Handle) tink.AEAD {
	a, err := aead.New(h)
	check(t, err)
	return a
}

func check(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
