package envelopetest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom/vaultkeys"
)

// Create makes a key with one version.
func (p *Provider) Create(ctx context.Context, name vaultkeys.KeyName) error {
	return p.call(ctx, CallCreate, name, func() error {
		if p.keys[name] != nil {
			return fmt.Errorf("%s: %w", name, vaultkeys.ErrKeyExists)
		}
		k := &key{minimum: 1, versions: map[int]version{}}
		k.add()
		p.keys[name] = k
		return nil
	})
}

// Rotate adds a version.
func (p *Provider) Rotate(ctx context.Context, name vaultkeys.KeyName) (latest int, err error) {
	err = p.on(ctx, CallRotate, name, func(k *key) error {
		k.add()
		latest = k.latest
		return nil
	})
	if err != nil {
		return 0, err
	}
	return latest, nil
}

// SetMinimum makes a version the lowest that unwraps.
func (p *Provider) SetMinimum(ctx context.Context, name vaultkeys.KeyName, n int) error {
	return p.on(ctx, CallSetMinimum, name, func(k *key) error {
		if n > k.latest || n < k.available() {
			return fmt.Errorf("%s: %w", name, vaultkeys.ErrVersion)
		}
		k.minimum = n
		return nil
	})
}

// Trim forgets the versions below one.
func (p *Provider) Trim(ctx context.Context, name vaultkeys.KeyName, n int) error {
	return p.on(ctx, CallTrim, name, func(k *key) error {
		if n > k.minimum {
			return fmt.Errorf("%s: %w", name, vaultkeys.ErrVersion)
		}
		maps.DeleteFunc(k.versions, func(v int, _ version) bool { return v < n })
		return nil
	})
}

// Destroy ends a key.
func (p *Provider) Destroy(ctx context.Context, name vaultkeys.KeyName) error {
	return p.on(ctx, CallDestroy, name, func(*key) error {
		delete(p.keys, name)
		return nil
	})
}

// Describe tells the versions of a key.
func (p *Provider) Describe(ctx context.Context, name vaultkeys.KeyName) (info vaultkeys.KeyInfo, err error) {
	err = p.on(ctx, CallDescribe, name, func(k *key) error {
		info = vaultkeys.KeyInfo{Latest: k.latest, Minimum: k.minimum, Available: k.available()}
		for _, n := range slices.Sorted(maps.Keys(k.versions)) {
			info.Versions = append(info.Versions, vaultkeys.KeyVersion{Version: n, CreatedAt: k.versions[n].created})
		}
		return nil
	})
	if err != nil {
		return vaultkeys.KeyInfo{}, err
	}
	return info, nil
}

// available is the lowest version that is not trimmed.
func (k *key) available() int { return k.latest - len(k.versions) + 1 }

func (k *key) add() {
	secret := make([]byte, 32)
	rand.Read(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	k.latest++
	k.versions[k.latest] = version{aead, time.Now()}
}
