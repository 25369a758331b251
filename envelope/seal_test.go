package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"pgregory.net/rapid"

	"strongroom/internal/uid"
)

func TestSealedFieldsOpen(t *testing.T) {
	f := newFixture(t, Options{})
	m := f.domain()
	rapid.Check(t, func(t *rapid.T) {
		id := f.identity()
		id.Record = rapid.StringMatching(`[A-Za-z0-9_-]{1,128}`).Draw(t, "record")
		id.Revision = rapid.Uint64().Draw(t, "revision")
		header := rapid.SliceOf(rapid.Byte()).Draw(t, "header")
		values := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 700), 0, 12).Draw(t, "values")
		var fields []Field
		for i, v := range values {
			fields = append(fields, Field{Path: fmt.Sprintf("p%d", i), Value: v})
		}
		sealed, err := m.Seal(id, header, fields)
		if err != nil {
			t.Fatal(err)
		}
		o, err := m.Open(id, header, sealed.DEK)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range values {
			got, err := o.Field([]byte("before "), fields[i].Path, sealed.Fields[i])
			if err != nil || string(got) != "before "+string(want) {
				t.Fatalf("field %d: %q, %v", i, got, err)
			}
		}
	})
}

func TestSealedBytesDoNotShowTheirValue(t *testing.T) {
	f := newFixture(t, Options{})
	id, value := f.identity(), bytes.Repeat([]byte("plaintext"), 3)
	fields := []Field{{Path: "a", Value: value}, {Path: "b", Value: value}}
	first, err := f.domain().Seal(id, nil, fields)
	must(t, err)
	second, err := f.domain().Seal(id, nil, fields)
	must(t, err)
	if cap(first.Fields[0]) != len(first.Fields[0]) {
		t.Error("appending to a sealed field would write over its neighbour")
	}
	all := [][]byte{first.DEK, second.DEK, first.Fields[0], first.Fields[1], second.Fields[0], second.Fields[1]}
	for i, b := range all {
		if bytes.Contains(b, value[:9]) {
			t.Errorf("value %d holds its plaintext", i)
		}
		for j := range i {
			if bytes.Equal(b, all[j]) {
				t.Errorf("values %d and %d are the same: a nonce or key was used twice", i, j)
			}
		}
	}
}

// Every revision has a DEK of its own, of 32 bytes that no other has.
func TestEveryDEKIsFresh(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	seen := map[string]bool{}
	for range 50 {
		sealed, err := m.Seal(id, nil, nil)
		must(t, err)
		dek, err := m.unwrap(id, nil, sealed.DEK)
		must(t, err)
		if len(dek) != dekSize || seen[string(dek)] || bytes.Count(dek, []byte{0}) > dekSize/2 {
			t.Fatal("a DEK is too short, was used before or is not random")
		}
		seen[string(dek)] = true
	}
}

// elsewhere are all the neighbours of an identity: each differs in one part.
func elsewhere(id Identity) map[string]Identity {
	moved := map[string]Identity{}
	for name, change := range map[string]func(*Identity){
		"collection": func(i *Identity) { i.Collection = uid.New() },
		"record":     func(i *Identity) { i.Record += "x" },
		"revision":   func(i *Identity) { i.Revision++ },
	} {
		other := id
		change(&other)
		moved[name] = other
	}
	return moved
}

// The AEAD of fields is the standard library's; what it writes and reads is
// what Tink's does.
func TestFieldsAreSealedAsTinkDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := func(name string, least, most int) []byte {
			return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name)
		}
		dek, value, associated := bytesOf("dek", dekSize, dekSize), bytesOf("value", 0, 300), bytesOf("associated", 0, 200)
		ours, err := newCipher(dek)
		if err != nil {
			t.Fatal(err)
		}
		tinks, err := subtle.NewAESGCM(dek)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tinks.Decrypt(ours.Seal(nil, nil, value, associated), associated)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("Tink opens ours: %x, %v; want %x", got, err, value)
		}
		text, err := tinks.Encrypt(value, associated)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = ours.Open(nil, nil, text, associated); err != nil || !bytes.Equal(got, value) {
			t.Errorf("ours opens Tink's: %x, %v; want %x", got, err, value)
		}
	})
}

func TestAWrappedDEKOpensNowhereElse(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	sealed, err := m.Seal(id, []byte("header"), nil)
	must(t, err)
	for name, other := range elsewhere(id) {
		_, err := m.Open(other, []byte("header"), sealed.DEK)
		wantDamage(t, name, err, DamageWrappedKey, PartWrappedKey)
	}
}

func TestAFieldOpensNowhereElse(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	sealed, err := m.Seal(id, nil, []Field{{Path: "a", Value: []byte("1")}, {Path: "b", Value: []byte("2")}})
	must(t, err)
	o, err := m.Open(id, nil, sealed.DEK)
	must(t, err)
	_, err = o.Field(nil, "b", sealed.Fields[0])
	wantDamage(t, "another path", err, DamageField, PartField)
	for name, other := range elsewhere(id) {
		o := o
		o.prefix = appendIdentity(nil, tagField, other)
		_, err := o.Field(nil, "a", sealed.Fields[0])
		wantDamage(t, name, err, DamageField, PartField)
	}
}

func TestAnotherDomainsIdentityIsRefused(t *testing.T) {
	f := newFixture(t, Options{})
	m := f.domain()
	for name, change := range map[string]func(*Identity){
		"store":       func(i *Identity) { i.Store = uid.New() },
		"integration": func(i *Identity) { i.Integration = uid.New() },
	} {
		id := f.identity()
		change(&id)
		if _, err := m.Seal(id, nil, nil); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: Seal: %v, want ErrForeign", name, err)
		}
		if _, err := m.Open(id, nil, nil); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: Open: %v, want ErrForeign", name, err)
		}
	}
}

func TestACarriedFieldIsResealedForItsNewRevision(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	old, err := m.Seal(id, []byte("1"), []Field{{Path: "kept", Value: []byte(`"secret"`)}})
	must(t, err)
	from, err := m.Open(id, []byte("1"), old.DEK)
	must(t, err)
	id.Revision++
	next, err := m.Seal(id, []byte("2"), []Field{
		{Path: "new", Value: []byte("5")},
		{Path: "kept", Carried: old.Fields[0], From: from},
	})
	must(t, err)
	o, err := m.Open(id, []byte("2"), next.DEK)
	must(t, err)
	got, err := o.Field(nil, "kept", next.Fields[1])
	must(t, err)
	if diff := cmp.Diff(`"secret"`, string(got)); diff != "" {
		t.Error(diff)
	}
	if _, err := o.Field(nil, "kept", old.Fields[0]); !errors.Is(err, ErrIntegrity) {
		t.Errorf("the old revision's field under the new DEK: %v", err)
	}
	_, err = m.Seal(id, nil, []Field{{Path: "other", Carried: old.Fields[0], From: from}})
	wantDamage(t, "carried to another path", err, DamageField, PartField)
	if _, err = m.Seal(id, nil, []Field{{Path: "kept", Carried: old.Fields[0]}}); err == nil {
		t.Error("a carried field without an Opener was sealed")
	}
}

func TestAnOpenerServesManyAtOnce(t *testing.T) {
	f := newFixture(t, Options{})
	m, id := f.domain(), f.identity()
	fields := benchFields()
	for i := range fields {
		fields[i].Value = []byte(fields[i].Path)
	}
	sealed, err := m.Seal(id, nil, fields)
	must(t, err)
	o, err := m.Open(id, nil, sealed.DEK)
	must(t, err)
	var wg sync.WaitGroup
	for i := range fields {
		wg.Go(func() {
			for range 200 {
				got, err := o.Field(nil, fields[i].Path, sealed.Fields[i])
				if err != nil || string(got) != fields[i].Path {
					t.Errorf("field %d: %q, %v", i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTheZeroOpenerOpensNothing(t *testing.T) {
	if got, err := (Opener{}).Field(nil, "a", make([]byte, 64)); err == nil || got != nil {
		t.Errorf("got %x, %v", got, err)
	}
}

// wantDamage holds an error to be an ErrIntegrity of that damage to that part.
func wantDamage(t testing.TB, name string, err error, damage Damage, in Part) {
	t.Helper()
	var e *IntegrityError
	if !errors.As(err, &e) || !errors.Is(err, ErrIntegrity) {
		t.Errorf("%s: error %v, want an IntegrityError", name, err)
		return
	}
	if e.Damage != damage || e.In != in {
		t.Errorf("%s: %q of %q, want %q of %q", name, e.Damage, e.In, damage, in)
	}
}
