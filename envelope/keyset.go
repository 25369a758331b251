package envelope

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// Purpose says what a keyset is for. Its number is part of the associated
// data that the keyset is wrapped with, so it never changes.
type Purpose uint8

// The purposes: two of an integration, two of the system domain.
const (
	PurposeWrapping  Purpose = 1 // XAES-256-GCM, wraps the DEKs of an integration
	PurposeIndex     Purpose = 2 // HMAC-SHA256 PRF, the blind index of an integration
	PurposeSystem    Purpose = 3 // XAES-256-GCM, seals control-plane values
	PurposeSystemMAC Purpose = 4 // HMAC-SHA256 PRF, the MACs of the system domain
)

// String names the purpose for people.
func (p Purpose) String() string {
	switch p {
	case PurposeWrapping:
		return "wrapping"
	case PurposeIndex:
		return "index"
	case PurposeSystem:
		return "system"
	case PurposeSystemMAC:
		return "system MAC"
	}
	return "unknown"
}

func (p Purpose) template() *tinkpb.KeyTemplate {
	if p == PurposeWrapping || p == PurposeSystem {
		return aead.XAES256GCM192BitNonceKeyTemplate()
	}
	return prf.HMACSHA256PRFKeyTemplate()
}

func (p Purpose) ofSystem() bool { return p == PurposeSystem || p == PurposeSystemMAC }

// WrappedKeyset is a keyset as it is stored. Each key is a generation of its
// own; State says what it may do. Blob has the layout that decodeBlob draws.
type WrappedKeyset struct {
	Purpose    Purpose
	Generation uint32
	Blob       []byte
	State      KeyState
}

// NewKeysets makes the keysets of a new integration, generation 1 of each
// purpose, wrapped under the integration's KEK, which must exist.
func NewKeysets(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID) ([]WrappedKeyset, error) {
	if integration.IsZero() {
		return nil, ErrForeign
	}
	return newKeysets(ctx, keys, store, integration, PurposeWrapping, PurposeIndex)
}

// NewSystemKeysets makes the keysets of a new store's system domain. Its
// Source hands them out under uid.Zero.
func NewSystemKeysets(ctx context.Context, keys vaultkeys.Wrapper, store uid.UID) ([]WrappedKeyset, error) {
	return newKeysets(ctx, keys, store, uid.Zero, PurposeSystem, PurposeSystemMAC)
}

func newKeysets(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID, purposes ...Purpose) ([]WrappedKeyset, error) {
	sets := make([]WrappedKeyset, len(purposes))
	for i, p := range purposes {
		h, err := keyset.NewHandle(p.template())
		if err != nil {
			return nil, fmt.Errorf("envelope: make %s keyset: %w", p, err)
		}
		sets[i] = WrappedKeyset{Purpose: p, Generation: 1}
		if sets[i].Blob, err = wrapKeyset(ctx, keys, store, integration, p, 1, h); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// wrapKeyset writes a keyset through the key service. Nothing but the key
// service sees its clear bytes.
func wrapKeyset(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID, p Purpose, n uint32, h *keyset.Handle) ([]byte, error) {
	kek := &wrappingAEAD{keys: keys, key: keyName(store, integration)}
	var blob blobIO
	err := h.WriteWithContext(ctx, &blob, kek, appendKeyset(nil, store, integration, p, n))
	if kek.err != nil {
		return nil, fmt.Errorf("envelope: wrap %s keyset: %w", p, kek.err)
	}
	if err != nil {
		return nil, fmt.Errorf("envelope: wrap %s keyset: %w", p, err)
	}
	return encode(blob), nil
}

func keyName(store, integration uid.UID) vaultkeys.KeyName {
	if integration.IsZero() {
		return vaultkeys.SystemKey(store)
	}
	return vaultkeys.IntegrationKey(store, integration)
}

// generation is one opened keyset, and the blob that it was opened from.
type generation struct {
	purpose Purpose
	number  uint32
	handle  *keyset.Handle
	state   KeyState
	blob    []byte
}

// unwrapKeysets opens all keysets of a domain with one call of the key
// service, and returns them newest first.
func unwrapKeysets(ctx context.Context, keys vaultkeys.Wrapper, store, integration uid.UID, sets []WrappedKeyset) ([]generation, error) {
	items, err := keysetItems(store, integration, sets)
	if err != nil {
		return nil, err
	}
	clear, err := unwrapItems(ctx, keys, keyName(store, integration), items)
	if err != nil {
		return nil, err
	}
	defer zero(clear)
	opened := make([]generation, len(sets))
	for i, s := range sets {
		h, err := keyset.ReadWithAssociatedData(blobIO(items[i].Data), unwrapped{items[i], clear[i]}, items[i].AssociatedData)
		if err != nil {
			return nil, damagedKeyset(nil)
		}
		opened[i] = generation{s.Purpose, s.Generation, h, s.State, s.Blob}
	}
	newestFirst(opened)
	return opened, nil
}

func newestFirst(all []generation) {
	slices.SortFunc(all, func(a, b generation) int { return cmp.Compare(b.number, a.number) })
}

// again returns the generations of other states, or with some fewer, without
// the key service: ok is false when one of the keysets was not opened from the
// same blob before.
func again(before []generation, sets []WrappedKeyset) (all []generation, ok bool) {
	for _, s := range sets {
		i := slices.IndexFunc(before, func(g generation) bool {
			return g.purpose == s.Purpose && g.number == s.Generation && bytes.Equal(g.blob, s.Blob)
		})
		if i < 0 {
			return nil, false
		}
		g := before[i]
		g.state = s.State
		all = append(all, g)
	}
	newestFirst(all)
	return all, true
}

// keysetItems returns wrapped keysets as the key service takes them: each with
// the place that it was wrapped for.
func keysetItems(store, integration uid.UID, sets []WrappedKeyset) ([]vaultkeys.Item, error) {
	items := make([]vaultkeys.Item, len(sets))
	for i, s := range sets {
		data, err := decodeBlob(s.Blob)
		if err != nil {
			return nil, err
		}
		items[i] = vaultkeys.Item{Data: data, AssociatedData: appendKeyset(nil, store, integration, s.Purpose, s.Generation)}
	}
	return items, nil
}

// ofPurpose returns the generations of one purpose; none is damage, because
// every domain has each of its purposes from its first moment.
func ofPurpose(all []generation, p Purpose) ([]generation, error) {
	var some []generation
	for _, g := range all {
		if g.purpose == p {
			some = append(some, g)
		}
	}
	if len(some) == 0 {
		return nil, damagedKeyset(fmt.Errorf("no %s keyset", p))
	}
	return some, nil
}

func damagedKeyset(cause error) error {
	return &IntegrityError{Damage: DamageKeyset, In: PartKeyset, cause: cause}
}

func zero(secrets [][]byte) {
	for _, s := range secrets {
		clear(s)
	}
}
