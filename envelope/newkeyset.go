package envelope

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// NewKeyset makes a further generation of a keyset, with one fresh key, wrapped
// under the newest version of the domain's KEK. It is pending: it seals nothing
// until its state is StatePrimary. The key's id is none of avoid, which are the
// ids of all other keys of the purpose: values are told apart by it.
func NewKeyset(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID, p Purpose, generation uint32, avoid []uint32) (WrappedKeyset, uint32, error) {
	if p.ofSystem() != integration.IsZero() || p.String() == "unknown" {
		return WrappedKeyset{}, 0, ErrForeign
	}
	h, id, err := freshHandle(func() (*keyset.Handle, error) { return keyset.NewHandle(p.template()) }, avoid)
	if err != nil {
		return WrappedKeyset{}, 0, fmt.Errorf("envelope: make %s keyset: %w", p, err)
	}
	blob, err := wrapKeyset(ctx, keys, store, integration, p, generation, h)
	if err != nil {
		return WrappedKeyset{}, 0, err
	}
	return WrappedKeyset{Purpose: p, Generation: generation, Blob: blob, State: StatePending}, id, nil
}

// freshHandle makes keys until one has an id that is free: Tink draws it from
// 2^32, so the first nearly always does.
func freshHandle(draw func() (*keyset.Handle, error), avoid []uint32) (*keyset.Handle, uint32, error) {
	for {
		h, err := draw()
		if err != nil {
			return nil, 0, err
		}
		e, err := h.Primary()
		if err != nil {
			return nil, 0, err
		}
		if !slices.Contains(avoid, e.KeyID()) {
			return h, e.KeyID(), nil
		}
	}
}

// KEKVersion returns the version of the KEK that the keyset is wrapped under.
// It calls no key service.
func (w *WrappedKeyset) KEKVersion(keys vaultkeys.Wrapper) (int, error) {
	data, err := decodeBlob(w.Blob)
	if err != nil {
		return 0, err
	}
	version, err := keys.VersionOf(data)
	if errors.Is(err, vaultkeys.ErrTampered) {
		return 0, damagedKeyset(err)
	}
	return version, err
}

// RewrapKeysets wraps keysets of one domain anew, under the newest version of
// its KEK, each for the place that it has. It unwraps and wraps them in one
// batch each, and then unwraps what it made: only a blob that was seen to open
// to the same keyset takes the place of the old one. The keysets given stay as
// they are.
func RewrapKeysets(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID, sets []WrappedKeyset) ([]WrappedKeyset, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	items, err := keysetItems(store, integration, sets)
	if err != nil {
		return nil, err
	}
	key := keyName(store, integration)
	secrets, err := unwrapItems(ctx, keys, key, items)
	if err != nil {
		return nil, err
	}
	defer zero(secrets)
	wrapped, err := wrapItems(ctx, keys, key, withData(items, secrets))
	if err != nil {
		return nil, err
	}
	if err := checkRewrapped(ctx, keys, key, withData(items, wrapped), secrets); err != nil {
		return nil, err
	}
	moved := slices.Clone(sets)
	for i := range moved {
		moved[i].Blob = encode(wrapped[i])
	}
	return moved, nil
}

// withData returns the items with other data, for the same places.
func withData(items []vaultkeys.Item, data [][]byte) []vaultkeys.Item {
	out := make([]vaultkeys.Item, len(items))
	for i := range items {
		out[i] = vaultkeys.Item{Data: data[i], AssociatedData: items[i].AssociatedData}
	}
	return out
}

// wrapItems wraps a batch. An answer that makes no sense is ErrUnavailable.
func wrapItems(ctx context.Context, keys vaultkeys.Wrapper, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	wrapped, err := keys.Wrap(ctx, key, items)
	switch {
	case err != nil:
		return nil, fmt.Errorf("envelope: wrap keysets: %w", err)
	case len(wrapped) != len(items) || slices.ContainsFunc(wrapped, func(b []byte) bool { return len(b) == 0 }):
		return nil, fmt.Errorf("envelope: wrap keysets: %w: %d keysets were sent and not all answered",
			vaultkeys.ErrUnavailable, len(items))
	}
	return wrapped, nil
}

// checkRewrapped unwraps what has just been wrapped. What does not open to the
// same is the key service's fault and not damage of the store.
func checkRewrapped(ctx context.Context, keys vaultkeys.Wrapper, key vaultkeys.KeyName, items []vaultkeys.Item, want [][]byte) error {
	got, err := keys.Unwrap(ctx, key, items)
	if err != nil {
		return fmt.Errorf("envelope: unwrap what was wrapped anew: %w", err)
	}
	defer zero(got)
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = subtle.ConstantTimeCompare(got[i], want[i]) == 1
	}
	if !same {
		return fmt.Errorf("envelope: what was wrapped anew opens to something else: %w", vaultkeys.ErrUnfit)
	}
	return nil
}
