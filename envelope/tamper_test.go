package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/internal/uid"
)

// eachFlip calls fn with every copy of b in which one byte differs: by its
// lowest bit, by its highest and by all.
func eachFlip(b []byte, fn func(at int, flipped []byte)) {
	for i := range b {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= mask
			fn(i, c)
		}
	}
}

// eachCut calls fn with every shorter copy of b and one longer one.
func eachCut(b []byte, fn func(name string, cut []byte)) {
	for n := range b {
		fn(fmt.Sprintf("cut to %d bytes", n), bytes.Clone(b[:n]))
	}
	fn("one byte longer", append(bytes.Clone(b), 0))
}

// keyedDamage is what a flip at a place of the keyed layout must be told as.
func keyedDamage(at int, otherwise Damage) Damage {
	switch {
	case at < 2: // the format byte, Tink's prefix byte
		return DamageFormat
	case at < 1+prefixSize:
		return DamageKeyID
	}
	return otherwise
}

func TestEveryByteOfAWrappedDEKCounts(t *testing.T) {
	f := newFixture(t, Options{})
	m, id, header := f.domain(), f.identity(), []byte("header")
	sealed, err := m.Seal(id, header, nil)
	must(t, err)
	eachFlip(sealed.DEK, func(at int, b []byte) {
		_, err := m.Open(id, header, b)
		wantDamage(t, fmt.Sprintf("byte %d", at), err, keyedDamage(at, DamageWrappedKey), PartWrappedKey)
	})
	eachCut(sealed.DEK, func(name string, b []byte) {
		_, err := m.Open(id, header, b)
		wantDamage(t, name, err, DamageFormat, PartWrappedKey)
	})
}

func TestEveryByteOfAHeaderCounts(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	header := []byte(`{"schema":3,"labels":{"owner":"cust-42"}}`)
	sealed, err := m.Seal(id, header, nil)
	must(t, err)
	eachFlip(header, func(at int, b []byte) {
		_, err := m.Open(id, b, sealed.DEK)
		wantDamage(t, fmt.Sprintf("byte %d", at), err, DamageWrappedKey, PartWrappedKey)
	})
	eachCut(header, func(name string, b []byte) {
		_, err := m.Open(id, b, sealed.DEK)
		wantDamage(t, name, err, DamageWrappedKey, PartWrappedKey)
	})
}

func TestEveryByteOfAFieldCounts(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	sealed, err := m.Seal(id, nil, []Field{{Path: "card", Value: []byte(`"4242424242424242"`)}})
	must(t, err)
	o, err := m.Open(id, nil, sealed.DEK)
	must(t, err)
	check := func(name string, b []byte, want Damage) {
		dst := []byte("before")
		got, err := o.Field(dst, "card", b)
		wantDamage(t, name, err, want, PartField)
		if e := new(IntegrityError); errors.As(err, &e) && e.Path != "card" {
			t.Errorf("%s: path %q", name, e.Path)
		}
		if got != nil || string(dst) != "before" {
			t.Errorf("%s: bytes came out with the error", name)
		}
	}
	eachFlip(sealed.Fields[0], func(at int, b []byte) {
		want := DamageField
		if at == 0 {
			want = DamageFormat
		}
		check(fmt.Sprintf("byte %d", at), b, want)
	})
	eachCut(sealed.Fields[0], func(name string, b []byte) {
		want := DamageField
		if len(b) < 1+ivSize+tagSize {
			want = DamageFormat
		}
		check(name, b, want)
	})
}

func TestEveryByteOfAControlValueCounts(t *testing.T) {
	s := newFixture(t, Options{}).system()
	sealed, err := s.Seal("role", "reader", 4, []byte(`{"rules":[]}`))
	must(t, err)
	eachFlip(sealed, func(at int, b []byte) {
		_, err := s.Open("role", "reader", 4, b)
		wantDamage(t, fmt.Sprintf("byte %d", at), err, keyedDamage(at, DamageControl), PartControl)
	})
	eachCut(sealed, func(name string, b []byte) {
		want := DamageControl
		if len(b) < 1+prefixSize+nonceSize+tagSize {
			want = DamageFormat
		}
		_, err := s.Open("role", "reader", 4, b)
		wantDamage(t, name, err, want, PartControl)
	})
}

func TestEveryByteOfAKeysetCounts(t *testing.T) {
	f := newFixture(t, Options{})
	for _, integration := range []uid.UID{f.integration, uid.Zero} {
		whole, err := f.source.Keysets(t.Context(), integration)
		must(t, err)
		for i := range whole {
			open := func(b []byte) error {
				sets := slices.Clone(whole)
				sets[i].Blob = b
				f.source.put(integration, sets)
				return f.Refresh(t.Context(), integration)
			}
			must(t, open(whole[i].Blob))
			eachFlip(whole[i].Blob, func(at int, b []byte) {
				want := DamageKeyset
				if at == 0 {
					want = DamageFormat
				}
				wantDamage(t, fmt.Sprintf("%s keyset, byte %d", whole[i].Purpose, at), open(b), want, PartKeyset)
			})
			f.source.put(integration, whole)
		}
	}
}

// A keyset that is whole but elsewhere is refused as one that was changed.
func TestAKeysetOpensNowhereElse(t *testing.T) {
	f := newFixture(t, Options{})
	other := f.addIntegration()
	whole, _ := f.source.Keysets(t.Context(), f.integration)
	foreign, _ := f.source.Keysets(t.Context(), other)
	system, _ := f.source.Keysets(t.Context(), uid.Zero)
	for name, change := range map[string]func([]WrappedKeyset){
		"another generation":  func(s []WrappedKeyset) { s[0].Generation = 2 },
		"purposes swapped":    func(s []WrappedKeyset) { s[0].Blob, s[1].Blob = s[1].Blob, s[0].Blob },
		"another integration": func(s []WrappedKeyset) { s[0] = foreign[0] },
		"the system domain":   func(s []WrappedKeyset) { s[0].Blob = system[0].Blob },
		"one missing":         func(s []WrappedKeyset) { s[1] = s[0] },
		"an unknown purpose":  func(s []WrappedKeyset) { s[1].Purpose = 9 },
	} {
		sets := slices.Clone(whole)
		change(sets)
		f.source.put(f.integration, sets)
		_, err := f.Open(t.Context(), f.integration)
		wantDamage(t, name, err, DamageKeyset, PartKeyset)
	}
	f.source.put(f.integration, nil)
	_, err := f.Open(t.Context(), f.integration)
	wantDamage(t, "none", err, DamageKeyset, PartKeyset)
	f.source.put(f.integration, whole)
	f.domain()
}
