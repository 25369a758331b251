package envelope

import (
	"bytes"
	"crypto/cipher"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"strongroom/vaultkeys"
)

// The archived home of Tink, github.com/google/tink/go, cannot be linked into
// a binary with the new one. The module testdata/oldtink links it; this is the
// shape of what the two exchange. testdata/oldtink.json is what its `make`
// wrote.
type oldTink struct {
	MadeBy    string
	KEK       hexBytes
	AEAD, PRF *oldKeyset
	Field     *oldRaw
}

type oldKeyset struct {
	Associated, Wrapped hexBytes
	Cases               []oldCase
}

type oldRaw struct {
	Key   hexBytes
	Cases []oldCase
}

type oldCase struct{ In, Associated, Out hexBytes }

func TestWhatTheOldTinkWroteIsRead(t *testing.T) {
	raw, err := os.ReadFile("testdata/oldtink.json")
	must(t, err)
	var v oldTink
	must(t, json.Unmarshal(raw, &v))
	kek := newFixedKEK(t, v.KEK)

	a, err := aead.New(readOld(t, kek, v.AEAD))
	must(t, err)
	openOld(t, a, v.AEAD.Cases)

	mac, err := newMACKeys([]generation{{purpose: PurposeIndex, number: 1, handle: readOld(t, kek, v.PRF)}})
	must(t, err)
	for i, c := range v.PRF.Cases {
		if out := compute(mac.prf, c.In, len(c.Out)); !bytes.Equal(out, c.Out) {
			t.Errorf("PRF case %d: %x, want %x", i, out, []byte(c.Out))
		}
	}

	field, err := newCipher(v.Field.Key)
	must(t, err)
	openOld(t, tinked{field}, v.Field.Cases)
	if len(v.AEAD.Cases) < 12 || len(v.PRF.Cases) < 4 || len(v.Field.Cases) < 4 {
		t.Error("the file holds fewer cases than the old library writes")
	}
}

// readOld reads a keyset the way a domain does.
func readOld(t *testing.T, kek vaultkeys.Wrapper, v *oldKeyset) *keyset.Handle {
	t.Helper()
	item := vaultkeys.Item{Data: v.Wrapped, AssociatedData: v.Associated}
	clear, err := unwrapItems(t.Context(), kek, "", []vaultkeys.Item{item})
	must(t, err)
	h, err := keyset.ReadWithAssociatedData(blobIO(item.Data), unwrapped{item, clear[0]}, item.AssociatedData)
	must(t, err)
	return h
}

// tinked is the AEAD of fields with the methods of Tink's.
type tinked struct{ cipher.AEAD }

func (c tinked) Encrypt(plaintext, associated []byte) ([]byte, error) {
	return c.Seal(nil, nil, plaintext, associated), nil
}

func (c tinked) Decrypt(text, associated []byte) ([]byte, error) {
	return c.Open(nil, nil, text, associated)
}

func openOld(t *testing.T, a tink.AEAD, cases []oldCase) {
	t.Helper()
	for i, c := range cases {
		in, err := a.Decrypt(c.Out, c.Associated)
		if err != nil || !bytes.Equal(in, c.In) {
			t.Errorf("AEAD case %d: %q, %v; want %q", i, in, err, c.In)
		}
	}
}

// The other way the old library reads what this package writes: the index
// keyset with its tokens, a sealed field, and an AEAD keyset of a kind that
// both have. XAES-256-GCM is younger than the old library.
func TestTheOldTinkReadsWhatIsWrittenNow(t *testing.T) {
	if os.Getenv("STRONGROOM_LONG") != "1" {
		t.Skip("runs the module testdata/oldtink, which fetches the old Tink; CI does, with STRONGROOM_LONG=1")
	}
	v := writeForOld(t)
	out, err := runOldTink(t, v)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v.Field.Cases[0].Out[20] ^= 1
	if out, err := runOldTink(t, v); err == nil || !bytes.Contains(out, []byte("field: case 0")) {
		t.Errorf("a changed field passed the check: %v\n%s", err, out)
	}
}

func runOldTink(t *testing.T, v oldTink) ([]byte, error) {
	t.Helper()
	in, err := json.Marshal(v)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "check")
	cmd.Dir = "../testdata/oldtink"
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdin = bytes.NewReader(in)
	return cmd.CombinedOutput()
}

func writeForOld(t *testing.T) oldTink {
	v := oldTink{MadeBy: "package envelope", KEK: bytes.Repeat([]byte{0x6b}, 32)}
	kek := newFixedKEK(t, v.KEK)
	store, integration := fixedUID(0x10), fixedUID(0x20)
	sets, err := NewKeysets(t.Context(), kek, store, integration)
	must(t, err)
	all, err := unwrapKeysets(t.Context(), kek, store, integration, sets)
	must(t, err)
	m, err := newDomain(store, integration, all)
	must(t, err)

	v.PRF = &oldKeyset{Associated: appendKeyset(nil, store, integration, PurposeIndex, 1), Wrapped: sets[1].Blob[1:]}
	for _, value := range []string{"", "a@b.c"} {
		token := m.Token(fixedUID(0x30), "email", []byte(value), UniqueBits)
		v.PRF.Cases = append(v.PRF.Cases, oldCase{In: tokenInput(store, integration, "email", value), Out: hexBytes(token)})
	}
	v.Field = fieldForOld(t, m)
	v.AEAD = aeadForOld(t, kek)
	return v
}

// tokenInput writes the PRF's input anew, to hold Token to its encoding.
func tokenInput(store, integration [16]byte, path, value string) hexBytes {
	in := []byte("strongroom/index\x00\x05")
	collection := fixedUID(0x30)
	for _, u := range [][16]byte{store, integration, collection} {
		in = append(append(in, 0, 0, 0, 16), u[:]...)
	}
	in = append(append(in, 0, 0, 0, byte(len(path))), path...)
	return append(append(in, 0, 0, 0, byte(len(value))), value...)
}

func fieldForOld(t *testing.T, m *Domain) *oldRaw {
	id := Identity{m.store, m.integration, fixedUID(0x30), "rec_1", 1}
	fields := []Field{{Path: "a", Value: []byte(`"one"`)}, {Path: "b", Value: nil}}
	sealed, err := m.Seal(id, nil, fields)
	must(t, err)
	dek, err := m.unwrap(id, nil, sealed.DEK)
	must(t, err)
	v := &oldRaw{Key: dek}
	for i, f := range fields {
		associated := appendPart(appendIdentity(nil, tagField, id), f.Path)
		v.Cases = append(v.Cases, oldCase{In: f.Value, Associated: associated, Out: sealed.Fields[i][1:]})
	}
	return v
}

func aeadForOld(t *testing.T, kek vaultkeys.Wrapper) *oldKeyset {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	must(t, err)
	v := &oldKeyset{Associated: hexBytes("AEAD keyset")}
	var blob blobIO
	must(t, h.WriteWithContext(t.Context(), &blob, &wrappingAEAD{keys: kek}, v.Associated))
	v.Wrapped = hexBytes(blob)
	a, err := aead.New(h)
	must(t, err)
	out, err := a.Encrypt([]byte("value"), []byte("associated"))
	must(t, err)
	v.Cases = []oldCase{{hexBytes("value"), hexBytes("associated"), out}}
	return v
}
