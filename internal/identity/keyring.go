package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/store"
)

const (
	// keysFor is how long signing keys are used before the directory is asked
	// again; another node may have added one.
	keysFor = 5 * time.Minute
	// keysAtMost bounds how often an unknown key id may make us ask again.
	keysAtMost = 10 * time.Second
)

// keyset is the signing keys at one moment; it is never changed.
type keyset struct {
	signers []signer // the one that begins last first; at least one
	verify  map[string]ed25519.PublicKey
	fetched time.Time
}

type signer struct {
	id   string
	key  ed25519.PrivateKey
	from time.Time
}

// signer returns the key that signs now: of those that have begun, the one that
// began last. When none has, a clock went back, and the first one signs.
func (k *keyset) signer(now time.Time) signer {
	for _, s := range k.signers {
		if !s.from.After(now) {
			return s
		}
	}
	return k.signers[len(k.signers)-1]
}

// keyring holds the signing keys of the directory.
type keyring struct {
	directory Directory
	now       func() time.Time
	mu        sync.Mutex // held while fetching: one flight at a time
	current   atomic.Pointer[keyset]
}

// get returns keys that are not older than age. When the directory cannot be
// asked, keys that were fetched before serve on: they were good, and tokens
// still expire.
func (k *keyring) get(ctx context.Context, age time.Duration) (*keyset, error) {
	if held := k.current.Load(); held != nil && k.now().Sub(held.fetched) < age {
		return held, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.current.Load()
	if held != nil && k.now().Sub(held.fetched) < age {
		return held, nil
	}
	fresh, err := k.fetch(ctx, held)
	if err != nil {
		if held != nil {
			return held, nil
		}
		return nil, err
	}
	k.current.Store(fresh)
	return fresh, nil
}

// fetch asks the directory. Keys that are held already are not worked out again.
func (k *keyring) fetch(ctx context.Context, held *keyset) (*keyset, error) {
	keys, err := k.directory.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	set := &keyset{verify: make(map[string]ed25519.PublicKey, len(keys)), fetched: k.now()}
	for i := range keys {
		key := &keys[i]
		if len(key.Seed) != ed25519.SeedSize {
			return nil, errors.New("identity: a signing key is not an Ed25519 seed")
		}
		private := held.private(key)
		set.verify[key.ID] = private.Public().(ed25519.PublicKey)
		set.signers = append(set.signers, signer{key.ID, private, key.SignsFrom})
	}
	if len(set.signers) == 0 {
		return nil, errors.New("identity: there is no signing key")
	}
	slices.SortFunc(set.signers, func(a, b signer) int { return b.from.Compare(a.from) })
	return set, nil
}

// private returns the private key of a signing key.
func (k *keyset) private(key *store.SigningKey) ed25519.PrivateKey {
	if k != nil {
		for _, s := range k.signers {
			if s.id == key.ID && bytes.Equal(s.key.Seed(), key.Seed) {
				return s.key
			}
		}
	}
	return ed25519.NewKeyFromSeed(key.Seed)
}

// public returns the key that verifies tokens of a key id, nil when there is
// none. An id that is not known makes it look again, now and then.
func (k *keyring) public(ctx context.Context, id string) (ed25519.PublicKey, error) {
	set, err := k.get(ctx, keysFor)
	if err != nil {
		return nil, err
	}
	if key := set.verify[id]; key != nil {
		return key, nil
	}
	if set, err = k.get(ctx, keysAtMost); err != nil {
		return nil, err
	}
	return set.verify[id], nil
}
