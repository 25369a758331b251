package envelope

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// answers is a key service that says what the test wants.
type answers struct {
	out [][]byte
	err error
}

func (a answers) Wrap(context.Context, vaultkeys.KeyName, []vaultkeys.Item) ([][]byte, error) {
	return a.out, a.err
}

func (a answers) Unwrap(context.Context, vaultkeys.KeyName, []vaultkeys.Item) ([][]byte, error) {
	return a.out, a.err
}

func (a answers) VersionOf([]byte) (int, error) { return 1, nil }

func (a answers) SelfTest(context.Context, vaultkeys.KeyName) error { return a.err }

func TestNonsenseIsNoKeyset(t *testing.T) {
	f := newFixture(t, Options{})
	for name, c := range map[string]struct {
		answers
		want error
	}{
		"nothing":                {answers{}, vaultkeys.ErrUnavailable},
		"too few":                {answers{out: [][]byte{{1}}}, vaultkeys.ErrUnavailable},
		"too many":               {answers{out: [][]byte{{1}, {2}, {3}}}, vaultkeys.ErrUnavailable},
		"empty ones":             {answers{out: [][]byte{{}, {}}}, vaultkeys.ErrUnavailable},
		"bytes that are none":    {answers{out: [][]byte{{1}, {2}}}, ErrIntegrity},
		"the wrapped ones again": {answers{out: f.blobs()}, ErrIntegrity},
		"unfit":                  {answers{err: vaultkeys.ErrUnfit}, vaultkeys.ErrUnfit},
		"tampered":               {answers{err: vaultkeys.ErrTampered}, ErrIntegrity},
		"refused":                {answers{err: vaultkeys.ErrRefused}, vaultkeys.ErrRefused},
	} {
		f.Domains.keys = c.answers
		if _, err := f.Open(t.Context(), f.integration); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func (f *fixture) blobs() [][]byte {
	sets, err := f.source.Keysets(f.t.Context(), f.integration)
	must(f.t, err)
	return [][]byte{bytes.Clone(sets[0].Blob), bytes.Clone(sets[1].Blob)} // what is answered is zeroed
}

func TestAKeysetThatWasNotWrappedIsNotMade(t *testing.T) {
	for name, c := range map[string]struct {
		answers
		want error
	}{
		"unavailable": {answers{err: vaultkeys.ErrUnavailable}, vaultkeys.ErrUnavailable},
		"no key":      {answers{err: vaultkeys.ErrKeyNotFound}, vaultkeys.ErrKeyNotFound},
		"nothing":     {answers{}, vaultkeys.ErrUnavailable},
		"empty":       {answers{out: [][]byte{{}}}, vaultkeys.ErrUnavailable},
		"two":         {answers{out: [][]byte{{1}, {2}}}, vaultkeys.ErrUnavailable},
	} {
		sets, err := NewKeysets(t.Context(), c.answers, uid.New(), uid.New())
		if !errors.Is(err, c.want) || sets != nil {
			t.Errorf("%s: %d keysets, %v; want %v", name, len(sets), err, c.want)
		}
	}
}

func TestAKeysetIsZeroedOnceItIsWrapped(t *testing.T) {
	var seen []byte
	spy := spy{func(plaintext []byte) { seen = plaintext }}
	_, err := NewKeysets(t.Context(), spy, uid.New(), uid.New())
	must(t, err)
	if len(seen) < dekSize || strings.Trim(string(seen), "\x00") != "" {
		t.Errorf("%d bytes of a clear keyset, not all zero", len(seen))
	}
}

type spy struct{ saw func([]byte) }

func (spy) VersionOf([]byte) (int, error) { return 1, nil }

func (s spy) Wrap(_ context.Context, _ vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	s.saw(items[0].Data)
	return [][]byte{{1}}, nil
}

func (spy) Unwrap(context.Context, vaultkeys.KeyName, []vaultkeys.Item) ([][]byte, error) {
	return nil, errors.ErrUnsupported
}

func (spy) SelfTest(context.Context, vaultkeys.KeyName) error { return nil }

// Tink is given no way to read or write a clear keyset, nor to wrap or unwrap
// outside of a batch.
func TestNoClearKeysetPasses(t *testing.T) {
	var blob blobIO
	if _, err := blob.Read(); err == nil {
		t.Error("a clear keyset was read")
	}
	if err := blob.Write(nil); err == nil {
		t.Error("a clear keyset was written")
	}
	u := unwrapped{vaultkeys.Item{Data: []byte("c"), AssociatedData: []byte("a")}, []byte("clear")}
	for _, question := range [][2]string{{"x", "a"}, {"c", "x"}} {
		if _, err := u.Decrypt([]byte(question[0]), []byte(question[1])); err == nil {
			t.Errorf("another question was answered: %q", question)
		}
	}
}

func TestErrorsNameTheDamage(t *testing.T) {
	for want, err := range map[string]error{
		"integrity: field card":              &IntegrityError{Damage: DamageField, In: PartField, Path: "card"},
		"integrity: format of field card":    &IntegrityError{Damage: DamageFormat, In: PartField, Path: "card"},
		"integrity: wrapped key or header":   &IntegrityError{Damage: DamageWrappedKey, In: PartWrappedKey},
		"integrity: control value":           &IntegrityError{Damage: DamageControl, In: PartControl},
		"integrity: keyset: no index keyset": damagedKeyset(errors.New("no index keyset")),
		"integrity: key id of wrapped key: " + ErrUnknownKey.Error(): &IntegrityError{
			Damage: DamageKeyID, In: PartWrappedKey, cause: ErrUnknownKey},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
