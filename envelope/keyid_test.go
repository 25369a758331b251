package envelope

import (
	"errors"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"strongroom/internal/uid"
)

// rotation plays what changes an integration's keysets: it keeps the clear
// handle of each generation that it stores.
type rotation struct {
	*fixture
	manager *keyset.Manager
	number  uint32
}

func newRotation(f *fixture) *rotation {
	r := &rotation{fixture: f, manager: keyset.NewManager()}
	r.add()
	return r
}

// add makes a key and makes it primary.
func (r *rotation) add() uint32 {
	r.t.Helper()
	id, err := r.manager.Add(aead.XAES256GCM192BitNonceKeyTemplate())
	must(r.t, err)
	must(r.t, r.manager.SetPrimary(id))
	return id
}

// wrapped returns the keyset as it is now, as the next generation.
func (r *rotation) wrapped() WrappedKeyset {
	r.t.Helper()
	h, err := r.manager.Handle()
	must(r.t, err)
	r.number++
	return r.wrap(PurposeWrapping, r.number, h)
}

func (f *fixture) wrap(p Purpose, n uint32, h *keyset.Handle) WrappedKeyset {
	f.t.Helper()
	blob, err := wrapKeyset(f.t.Context(), f.keys, f.store, f.integration, p, n, h)
	must(f.t, err)
	return WrappedKeyset{Purpose: p, Generation: n, Blob: blob}
}

// store makes these the wrapping keysets, beside the index keyset there was.
func (r *rotation) store(wrapping ...WrappedKeyset) {
	r.t.Helper()
	all, err := r.source.Keysets(r.t.Context(), r.integration)
	must(r.t, err)
	for _, s := range all {
		if s.Purpose == PurposeIndex {
			wrapping = append(wrapping, s)
		}
	}
	r.source.put(r.integration, wrapping)
}

func TestAnAddedKeySealsAndTheOldOneStillOpens(t *testing.T) {
	f := newFixture(t, Options{})
	r := newRotation(f)
	first := r.wrapped()
	r.store(first)
	id, before := f.identity(), f.domain()
	old, err := before.Seal(id, nil, nil)
	must(t, err)

	primary := r.add()
	r.store(first, r.wrapped()) // in the Source's order, the oldest first
	must(t, f.Refresh(t.Context(), f.integration))
	after := f.domain()
	if n, _ := before.Generation(); n != 1 {
		t.Errorf("generation %d before, want 1", n)
	}
	if n, index := after.Generation(); n != 2 || index != 1 {
		t.Errorf("generations %d and %d after, want 2 and 1", n, index)
	}
	_, err = after.Open(id, nil, old.DEK)
	must(t, err)
	sealed, err := after.Seal(id, nil, nil)
	must(t, err)
	k, err := decodeWrappedDEK(sealed.DEK)
	must(t, err)
	if k.keyID != primary {
		t.Errorf("sealed under key %08x, want the new primary %08x", k.keyID, primary)
	}
	_, err = after.Open(id, nil, sealed.DEK)
	must(t, err)
}

func TestAnUnknownKeyIDIsKnownAfterARefresh(t *testing.T) {
	f := newFixture(t, Options{})
	r := newRotation(f)
	r.store(r.wrapped())
	stale, id := f.domain(), f.identity()
	r.add()
	r.store(r.wrapped())
	must(t, f.Refresh(t.Context(), f.integration))
	sealed, err := f.domain().Seal(id, nil, nil)
	must(t, err)

	_, err = stale.Open(id, nil, sealed.DEK)
	if !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("the stale domain: %v, want ErrUnknownKey", err)
	}
	wantDamage(t, "the stale domain", err, DamageKeyID, PartWrappedKey)
	_, err = f.domain().Open(id, nil, sealed.DEK)
	must(t, err)
}

// A disabled key is told from damage: by a value that is whole, and by one
// that is not. What says that it is disabled is the newest generation.
func TestADisabledKeyIsToldFromDamage(t *testing.T) {
	f := newFixture(t, Options{})
	r := newRotation(f)
	first, old := r.wrapped(), r.add
	r.store(first)
	id := f.identity()
	sealed, err := f.domain().Seal(id, nil, nil)
	must(t, err)
	k, err := decodeWrappedDEK(sealed.DEK)
	must(t, err)

	old()
	must(t, r.manager.Disable(k.keyID))
	r.store(r.wrapped(), first)
	must(t, f.Refresh(t.Context(), f.integration))
	m := f.domain()
	for name, header := range map[string]string{"whole": "", "changed": "x"} {
		_, err = m.Open(id, []byte(header), sealed.DEK)
		if !errors.Is(err, ErrKeyDisabled) || errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v, want ErrKeyDisabled alone", name, err)
		}
	}

	must(t, r.manager.Enable(k.keyID))
	r.store(r.wrapped())
	must(t, f.Refresh(t.Context(), f.integration))
	_, err = f.domain().Open(id, nil, sealed.DEK)
	must(t, err)
	_, err = f.domain().Open(id, []byte("x"), sealed.DEK)
	wantDamage(t, "enabled and changed", err, DamageWrappedKey, PartWrappedKey)
}

func TestADeletedKeyIsUnknown(t *testing.T) {
	f := newFixture(t, Options{})
	r := newRotation(f)
	r.store(r.wrapped())
	id := f.identity()
	sealed, err := f.domain().Seal(id, nil, nil)
	must(t, err)
	k, err := decodeWrappedDEK(sealed.DEK)
	must(t, err)
	r.add()
	must(t, r.manager.Delete(k.keyID))
	r.store(r.wrapped())
	must(t, f.Refresh(t.Context(), f.integration))
	if _, err := f.domain().Open(id, nil, sealed.DEK); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("%v, want ErrUnknownKey", err)
	}
}

// A keyset that authenticates but holds a kind of key that its purpose does
// not allow is refused: with a key without a prefix, ids would tell nothing.
func TestAKeysetOfAnotherKindIsRefused(t *testing.T) {
	f := newFixture(t, Options{})
	whole, err := f.source.Keysets(t.Context(), f.integration)
	must(t, err)
	for name, c := range map[string]struct {
		purpose  Purpose
		template *tinkpb.KeyTemplate
	}{
		"wrapping by AES-GCM":            {PurposeWrapping, aead.AES256GCMKeyTemplate()},
		"wrapping without a prefix":      {PurposeWrapping, aead.XAES256GCM192BitNonceNoPrefixKeyTemplate()},
		"wrapping with a short nonce":    {PurposeWrapping, aead.XAES256GCM160BitNonceKeyTemplate()},
		"wrapping by a PRF":              {PurposeWrapping, prf.HMACSHA256PRFKeyTemplate()},
		"index by HMAC-SHA512":           {PurposeIndex, prf.HMACSHA512PRFKeyTemplate()},
		"index by AES-CMAC":              {PurposeIndex, prf.AESCMACPRFKeyTemplate()},
		"index by an AEAD":               {PurposeIndex, aead.XAES256GCM192BitNonceKeyTemplate()},
		"the allowed kind, for contrast": {PurposeIndex, prf.HMACSHA256PRFKeyTemplate()},
	} {
		h, err := keyset.NewHandle(c.template)
		must(t, err)
		sets := []WrappedKeyset{f.wrap(c.purpose, 1, h)}
		for _, s := range whole {
			if s.Purpose != c.purpose {
				sets = append(sets, s)
			}
		}
		f.source.put(f.integration, sets)
		_, err = f.Open(t.Context(), f.integration)
		if c.purpose.template().String() == c.template.String() {
			must(t, err)
			f.Drop(f.integration)
			continue
		}
		wantDamage(t, name, err, DamageKeyset, PartKeyset)
	}
}

func TestNewKeysetsNeedAnIntegration(t *testing.T) {
	f := newFixture(t, Options{})
	if _, err := NewKeysets(t.Context(), f.keys, f.store, uid.Zero); !errors.Is(err, ErrForeign) {
		t.Errorf("%v, want ErrForeign", err)
	}
	if _, err := f.Open(t.Context(), uid.Zero); !errors.Is(err, ErrForeign) {
		t.Errorf("%v, want ErrForeign", err)
	}
}
