package envelope

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"strongroom/envelope/envelopetest"
	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

var someHeader = []byte(`{"schema":1}`)

// sealedRevision seals two fields and rotates the wrapping key.
func sealedRevision(t *testing.T) (f *fixture, id Identity, stored Sealed, fields []SealedField) {
	t.Helper()
	f = newFixture(t, Options{})
	id = f.identity()
	stored, err := f.domain().Seal(id, someHeader, []Field{{Path: "a", Value: []byte(`"one"`)}, {Path: "b"}})
	must(t, err)
	generation, _ := f.add(PurposeWrapping)
	f.promote(f.integration, PurposeWrapping, generation)
	return f, id, stored, []SealedField{{"a", stored.Fields[0]}, {"b", stored.Fields[1]}}
}

// wantRevision checks that a revision opens to what sealedRevision sealed,
// under the primary key.
func wantRevision(t *testing.T, m *Domain, id Identity, s Sealed) {
	t.Helper()
	if key, err := KeyIDOf(s.DEK); err != nil || key != m.KeyID() {
		t.Errorf("it is under key %08x (%v), want %08x", key, err, m.KeyID())
	}
	o, err := m.Open(id, someHeader, s.DEK)
	must(t, err)
	for i, want := range []string{`"one"`, ""} {
		got, err := o.Field(nil, []string{"a", "b"}[i], s.Fields[i])
		if err != nil || string(got) != want {
			t.Errorf("field %d opens to %q, %v; want %q", i, got, err, want)
		}
	}
}

func TestARewrappedRevisionIsUnderThePrimaryKey(t *testing.T) {
	f, id, stored, _ := sealedRevision(t)
	m := f.domain()
	kept := bytes.Clone(stored.DEK)
	moved, err := m.Rewrap(id, someHeader, stored.DEK)
	must(t, err)
	if !bytes.Equal(kept, stored.DEK) {
		t.Error("the stored DEK was changed")
	}
	wantRevision(t, m, id, Sealed{moved, stored.Fields})
	again, err := m.RewrapDigest(id, sha256.Sum256(someHeader), moved, []byte("before"))
	must(t, err)
	rest, ok := bytes.CutPrefix(again, []byte("before"))
	if !ok || bytes.Equal(rest, moved) {
		t.Error("it does not append, or wraps to the same bytes")
	}
	wantRevision(t, m, id, Sealed{rest, stored.Fields})
}

// A rewrap moves nothing to another place: what does not open as that revision
// is refused, whatever of it differs.
func TestARewrapAuthenticates(t *testing.T) {
	f, id, stored, fields := sealedRevision(t)
	m := f.domain()
	elsewhere := []Identity{id, id, id}
	elsewhere[0].Collection, elsewhere[1].Record, elsewhere[2].Revision = uid.New(), "rec_2", id.Revision+1
	for _, other := range elsewhere {
		_, rewrapErr := m.Rewrap(other, someHeader, stored.DEK)
		_, resealErr := m.Reseal(other, someHeader, stored.DEK, fields)
		wantDamage(t, "rewrap elsewhere", rewrapErr, DamageWrappedKey, PartWrappedKey)
		wantDamage(t, "reseal elsewhere", resealErr, DamageWrappedKey, PartWrappedKey)
	}
	_, err := m.Rewrap(id, []byte("another header"), stored.DEK)
	wantDamage(t, "another header", err, DamageWrappedKey, PartWrappedKey)
	for i := range stored.DEK {
		changed := bytes.Clone(stored.DEK)
		changed[i] ^= 1
		if out, err := m.Rewrap(id, someHeader, changed); !errors.Is(err, ErrIntegrity) || out != nil {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	foreign := id
	foreign.Integration = uid.New()
	_, rewrapErr := m.Rewrap(foreign, someHeader, stored.DEK)
	_, resealErr := m.Reseal(foreign, someHeader, stored.DEK, fields)
	if !errors.Is(rewrapErr, ErrForeign) || !errors.Is(resealErr, ErrForeign) {
		t.Errorf("of another integration: %v, %v", rewrapErr, resealErr)
	}
}

func TestAResealedRevisionHasAFreshDEK(t *testing.T) {
	f, id, stored, fields := sealedRevision(t)
	m := f.domain()
	moved, err := m.Reseal(id, someHeader, stored.DEK, fields)
	must(t, err)
	wantRevision(t, m, id, moved)
	wantRevision(t, m, id, Sealed{must1(m.Rewrap(id, someHeader, stored.DEK)), stored.Fields})
	o, err := m.Open(id, someHeader, moved.DEK)
	must(t, err)
	if _, err := o.Field(nil, "a", stored.Fields[0]); !errors.Is(err, ErrIntegrity) {
		t.Errorf("the new DEK opens an old field: %v", err)
	}
	fields[0].Text = bytes.Clone(fields[0].Text)
	fields[0].Text[20] ^= 1
	if s, err := m.Reseal(id, someHeader, stored.DEK, fields); !errors.Is(err, ErrIntegrity) || s.DEK != nil {
		t.Errorf("a changed field is resealed: %v", err)
	}
	swapped := []SealedField{{"a", stored.Fields[1]}, {"b", stored.Fields[0]}}
	_, err = m.Reseal(id, someHeader, stored.DEK, swapped)
	wantDamage(t, "swapped fields", err, DamageField, PartField)
}

func must1(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestRewrapsMayComeAtOnce(t *testing.T) {
	f, id, stored, fields := sealedRevision(t)
	m := f.domain()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				dek, err := m.Rewrap(id, someHeader, stored.DEK)
				if err != nil {
					t.Error(err)
					return
				}
				wantRevision(t, m, id, Sealed{dek, stored.Fields})
				if _, err := m.Reseal(id, someHeader, dek, fields); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A new keyset is for the domain that has its purpose, and its key has an id of
// its own.
func TestANewKeyset(t *testing.T) {
	f := newFixture(t, Options{})
	for _, c := range []struct {
		integration uid.UID
		purpose     Purpose
	}{{uid.Zero, PurposeWrapping}, {uid.Zero, PurposeIndex}, {f.integration, PurposeSystem}, {f.integration, PurposeSystemMAC}, {f.integration, 0}, {f.integration, 9}} {
		if _, _, err := NewKeyset(t.Context(), f.keys, f.store, c.integration, c.purpose, 2, nil); !errors.Is(err, ErrForeign) {
			t.Errorf("%s of %s: %v", c.purpose, c.integration, err)
		}
	}
	generation, id := f.add(PurposeIndex)
	wantKeys(t, f.domain().Keys()[1:], PurposeIndex, KeyRef{PurposeIndex, generation, id, StatePending}, f.domain().Keys()[2])
	f.keys.Unavailable(true)
	set, _, err := NewKeyset(t.Context(), f.keys, f.store, f.integration, PurposeIndex, 3, nil)
	if !errors.Is(err, vaultkeys.ErrUnavailable) || set.Blob != nil {
		t.Errorf("with the key service away: %v", err)
	}
}

// An id that another key has is drawn again: values under the two could not be
// told apart.
func TestAKeyIDIsDrawnUntilItIsFree(t *testing.T) {
	var drawn []*keyset.Handle
	var ids []uint32
	for range 3 {
		h, id, err := freshHandle(func() (*keyset.Handle, error) { return keyset.NewHandle(PurposeWrapping.template()) }, ids)
		must(t, err)
		drawn, ids = append(drawn, h), append(ids, id)
	}
	next := 0
	h, id, err := freshHandle(func() (*keyset.Handle, error) { next++; return drawn[next-1], nil }, ids[:2])
	if err != nil || h != drawn[2] || id != ids[2] {
		t.Errorf("key %08x after %d draws (%v), want the third, %08x", id, next, err, ids[2])
	}
}

// Every keyset of the integration goes under the newest KEK version; what the
// old one wrapped is of no use to anyone then.
func TestRewrappedKeysetsOutliveTheOldKEK(t *testing.T) {
	f, id, stored, _ := sealedRevision(t)
	key := vaultkeys.IntegrationKey(f.store, f.integration)
	before := f.stored(f.integration)
	latest, err := f.keys.Rotate(t.Context(), key)
	must(t, err)
	moved, err := RewrapKeysets(t.Context(), f.keys, f.store, f.integration, before)
	must(t, err)
	for i, s := range moved {
		version, err := s.KEKVersion(f.keys)
		must(t, err)
		old, err := before[i].KEKVersion(f.keys)
		must(t, err)
		same := s.Purpose == before[i].Purpose && s.Generation == before[i].Generation && s.State == before[i].State
		if version != latest || old != 1 || !same {
			t.Errorf("%s %d: version %d was %d, state %s", s.Purpose, s.Generation, version, old, s.State)
		}
	}
	must(t, f.keys.SetMinimum(t.Context(), key, latest))
	must(t, f.keys.Trim(t.Context(), key, latest))
	if err := f.Refresh(t.Context(), f.integration); !errors.Is(err, vaultkeys.ErrTrimmed) || errors.Is(err, ErrIntegrity) {
		t.Errorf("the old blobs: %v, want ErrTrimmed alone", err)
	}
	f.source.put(f.integration, moved)
	must(t, f.Refresh(t.Context(), f.integration))
	wantRevision(t, f.domain(), id, Sealed{must1(f.domain().Rewrap(id, someHeader, stored.DEK)), stored.Fields})
}

func TestARewrapOfKeysetsFailsWhole(t *testing.T) {
	f := newFixture(t, Options{})
	sets := f.stored(f.integration)
	for _, c := range []envelopetest.Call{envelopetest.CallWrap, envelopetest.CallUnwrap} {
		for _, when := range []envelopetest.Moment{envelopetest.Before, envelopetest.After} {
			f.keys.FailNext(c, when)
			if out, err := RewrapKeysets(t.Context(), f.keys, f.store, f.integration, sets); !errors.Is(err, vaultkeys.ErrUnavailable) || out != nil {
				t.Errorf("%s fails %s: %v", c, when, err)
			}
		}
	}
	swapped := slices.Clone(sets)
	swapped[0].Blob, swapped[1].Blob = sets[1].Blob, sets[0].Blob
	if _, err := RewrapKeysets(t.Context(), f.keys, f.store, f.integration, swapped); !errors.Is(err, ErrIntegrity) {
		t.Errorf("swapped blobs: %v", err)
	}
	if out, err := RewrapKeysets(t.Context(), f.keys, f.store, f.integration, nil); err != nil || out != nil {
		t.Errorf("none: %v", err)
	}
}

// forgetful wraps something else than it is given.
type forgetful struct{ vaultkeys.Wrapper }

func (f forgetful) Wrap(ctx context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	other := slices.Clone(items)
	other[len(other)-1].Data = []byte(fmt.Sprint("not", len(items)))
	return f.Wrapper.Wrap(ctx, key, other)
}

// A key service that loses a keyset on the way is found out before the old blob
// is given up.
func TestAKeysetLostInARewrapIsNoticed(t *testing.T) {
	f := newFixture(t, Options{})
	out, err := RewrapKeysets(t.Context(), forgetful{f.keys}, f.store, f.integration, f.stored(f.integration))
	if !errors.Is(err, vaultkeys.ErrUnfit) || out != nil {
		t.Errorf("%v, want ErrUnfit", err)
	}
}
