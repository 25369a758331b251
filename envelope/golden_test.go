package envelope

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

var update = flag.Bool("update", false, "write golden vectors anew: a change of format")

const goldenFile = "testdata/golden.json"

// golden is a store as it was sealed once. Whatever the code becomes, it must
// open it. The KEK stands in the file because the file is a test.
type golden struct {
	KEK                      hexBytes
	Store, Integration       uid.UID
	Keysets, SystemKeysets   []goldenKeyset
	Collection               uid.UID
	Record                   string
	Revision                 uint64
	Header, DEK              hexBytes
	Fields                   []goldenField
	Tokens                   []goldenToken
	ControlKind, ControlID   string
	ControlVersion           uint64
	ControlValue, ControlRaw hexBytes
	MACPurpose               string
	MACParts                 []hexBytes
	MAC                      hexBytes
}

type goldenKeyset struct {
	Purpose    Purpose
	Generation uint32
	Blob       hexBytes
}

type goldenField struct {
	Path   string
	Value  string
	Sealed hexBytes
}

type goldenToken struct {
	Path, Value string
	Bits        int
	Token       hexBytes
}

func (g *golden) identity() Identity {
	return Identity{g.Store, g.Integration, g.Collection, g.Record, g.Revision}
}

// fixedKEK is a key service with one key, for vectors.
type fixedKEK struct{ aead *subtle.AESGCM }

func newFixedKEK(t *testing.T, secret []byte) fixedKEK {
	t.Helper()
	a, err := subtle.NewAESGCM(secret)
	must(t, err)
	return fixedKEK{a}
}

func (k fixedKEK) Wrap(_ context.Context, _ vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	return each(items, k.aead.Encrypt)
}

func (k fixedKEK) Unwrap(_ context.Context, _ vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	return each(items, k.aead.Decrypt)
}

func (fixedKEK) VersionOf([]byte) (int, error) { return 1, nil }

func (fixedKEK) SelfTest(context.Context, vaultkeys.KeyName) error { return nil }

func each(items []vaultkeys.Item, do func([]byte, []byte) ([]byte, error)) ([][]byte, error) {
	out := make([][]byte, len(items))
	for i, item := range items {
		b, err := do(item.Data, item.AssociatedData)
		if err != nil {
			return nil, vaultkeys.ErrTampered
		}
		out[i] = b
	}
	return out, nil
}

// open opens the golden store with today's code.
func (g *golden) open(t *testing.T) (*Domain, *System) {
	t.Helper()
	src := &memory{sets: map[uid.UID][]WrappedKeyset{}}
	for integration, sets := range map[uid.UID][]goldenKeyset{g.Integration: g.Keysets, uid.Zero: g.SystemKeysets} {
		for _, s := range sets {
			src.sets[integration] = append(src.sets[integration], WrappedKeyset{Purpose: s.Purpose, Generation: s.Generation, Blob: s.Blob})
		}
	}
	d := NewDomains(g.Store, newFixedKEK(t, g.KEK), src, Options{})
	t.Cleanup(d.Close)
	m, err := d.Open(t.Context(), g.Integration)
	must(t, err)
	s, err := d.System(t.Context())
	must(t, err)
	return m, s
}

func TestWhatWasSealedOnceOpensForEver(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	raw, err := os.ReadFile(goldenFile)
	must(t, err)
	var g golden
	must(t, json.Unmarshal(raw, &g))
	m, s := g.open(t)
	o, err := m.Open(g.identity(), g.Header, g.DEK)
	must(t, err)
	if len(g.Fields) == 0 || len(g.Tokens) == 0 {
		t.Fatal("the golden file holds no fields or tokens")
	}
	for _, f := range g.Fields {
		got, err := o.Field(nil, f.Path, f.Sealed)
		must(t, err)
		if diff := cmp.Diff(f.Value, string(got)); diff != "" {
			t.Errorf("field %s: %s", f.Path, diff)
		}
	}
	for _, k := range g.Tokens {
		if got := m.Token(g.Collection, k.Path, []byte(k.Value), k.Bits); !bytes.Equal(got, k.Token) {
			t.Errorf("token of %s with %d bits: %x, want %x", k.Path, k.Bits, got, []byte(k.Token))
		}
	}
	control, err := s.Open(g.ControlKind, g.ControlID, g.ControlVersion, g.ControlRaw)
	must(t, err)
	sum, err := s.MAC(g.MACPurpose, plain(g.MACParts)...)
	must(t, err)
	if !bytes.Equal(control, g.ControlValue) || !bytes.Equal(sum[:], g.MAC) {
		t.Errorf("control value %q, MAC %x; want %q, %x", control, sum, g.ControlValue, []byte(g.MAC))
	}
}

func plain(parts []hexBytes) [][]byte {
	var all [][]byte
	for _, p := range parts {
		all = append(all, p)
	}
	return all
}

func writeGolden(t *testing.T) {
	g := golden{
		KEK: bytes.Repeat([]byte{0x4b}, 32), Store: fixedUID(0x10), Integration: fixedUID(0x20), Collection: fixedUID(0x30),
		Record: "0190a6a2-7c1b-7f3e-9a55-3f1b1e0d8c11", Revision: 7, Header: hexBytes(`{"schema":1}`),
		ControlKind: "role", ControlID: "billing-reader", ControlVersion: 3, ControlValue: hexBytes(`{"rules":[]}`),
		MACPurpose: "idempotency", MACParts: []hexBytes{hexBytes("a"), {}, hexBytes("bc")},
	}
	kek := newFixedKEK(t, g.KEK)
	sets, err := NewKeysets(t.Context(), kek, g.Store, g.Integration)
	must(t, err)
	system, err := NewSystemKeysets(t.Context(), kek, g.Store)
	must(t, err)
	for i := range sets {
		g.Keysets = append(g.Keysets, goldenKeyset{sets[i].Purpose, sets[i].Generation, sets[i].Blob})
		g.SystemKeysets = append(g.SystemKeysets, goldenKeyset{system[i].Purpose, system[i].Generation, system[i].Blob})
	}
	m, s := g.open(t)
	fields := []Field{{Path: "email", Value: []byte(`"a@b.c"`)}, {Path: "customer/email", Value: []byte(`"d@e.f"`)}, {Path: "amount", Value: []byte(`1.10`)}, {Path: "empty"}}
	sealed, err := m.Seal(g.identity(), g.Header, fields)
	must(t, err)
	g.DEK = sealed.DEK
	for i, f := range fields {
		g.Fields = append(g.Fields, goldenField{f.Path, string(f.Value), sealed.Fields[i]})
	}
	for _, bits := range []int{1, 9, 17, UniqueBits} {
		g.Tokens = append(g.Tokens, goldenToken{"email", "a@b.c", bits, hexBytes(m.Token(g.Collection, "email", []byte("a@b.c"), bits))})
	}
	g.ControlRaw, err = s.Seal(g.ControlKind, g.ControlID, g.ControlVersion, g.ControlValue)
	must(t, err)
	sum, err := s.MAC(g.MACPurpose, plain(g.MACParts)...)
	must(t, err)
	g.MAC = sum[:]
	writeJSON(t, goldenFile, g)
}

func writeJSON(t *testing.T, name string, v any) {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	must(t, os.WriteFile(name, append(raw, '\n'), 0o644))
}
