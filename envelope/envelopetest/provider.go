// Package envelopetest is a key service for tests: it keeps its keys in memory
// and fails when it is told to. It must never be linked into a program.
package envelopetest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/vaultkeys"
)

// Provider is a vaultkeys.Provider in memory. It is safe for concurrent use.
type Provider struct {
	mu          sync.Mutex
	keys        map[vaultkeys.KeyName]*key
	unavailable bool
	refuse      bool
	delay       time.Duration

	wraps, unwraps atomic.Int64
}

var _ vaultkeys.Provider = (*Provider)(nil)

type key struct {
	latest   int
	versions map[int]version
}

type version struct {
	aead    cipher.AEAD
	created time.Time
}

// New returns a Provider without keys.
func New() *Provider { return &Provider{keys: map[vaultkeys.KeyName]*key{}} }

// Unavailable makes every call fail with vaultkeys.ErrUnavailable, or ends that.
func (p *Provider) Unavailable(on bool) { p.set(func() { p.unavailable = on }) }

// Refuse makes every call fail with vaultkeys.ErrRefused, or ends that.
func (p *Provider) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Delay makes every call take this long, or until its context ends: it then
// fails with vaultkeys.ErrUnavailable.
func (p *Provider) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

func (p *Provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Wraps returns how many calls of Wrap were begun.
func (p *Provider) Wraps() int { return int(p.wraps.Load()) }

// Unwraps returns how many calls of Unwrap were begun.
func (p *Provider) Unwraps() int { return int(p.unwraps.Load()) }

// Name says that this is a test.
func (p *Provider) Name() string { return "keys of a test, in memory" }

// Wrap seals with AES-256-GCM: version u32be | nonce 12 | ciphertext | tag 16.
func (p *Provider) Wrap(ctx context.Context, name vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	p.wraps.Add(1)
	k, err := p.find(ctx, name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wrapped := make([][]byte, len(items))
	for i, item := range items {
		b := binary.BigEndian.AppendUint32(nil, uint32(k.latest))
		b = append(b, make([]byte, 12)...)
		rand.Read(b[4:])
		wrapped[i] = k.versions[k.latest].aead.Seal(b, b[4:], item.Data, item.AssociatedData)
	}
	return wrapped, nil
}

// Unwrap opens what Wrap sealed.
func (p *Provider) Unwrap(ctx context.Context, name vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	p.unwraps.Add(1)
	k, err := p.find(ctx, name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear := make([][]byte, len(items))
	for i, item := range items {
		if clear[i], err = k.open(item); err != nil {
			return nil, err
		}
	}
	return clear, nil
}

func (k *key) open(item vaultkeys.Item) ([]byte, error) {
	if len(item.Data) < 4+12+16 {
		return nil, vaultkeys.ErrTampered
	}
	v, ok := k.versions[int(binary.BigEndian.Uint32(item.Data))]
	if !ok {
		return nil, vaultkeys.ErrTampered
	}
	clear, err := v.aead.Open(nil, item.Data[4:16], item.Data[16:], item.AssociatedData)
	if err != nil {
		return nil, vaultkeys.ErrTampered
	}
	return clear, nil
}

// SelfTest proves that the key works.
func (p *Provider) SelfTest(ctx context.Context, name vaultkeys.KeyName) error {
	item := vaultkeys.Item{Data: []byte("self-test"), AssociatedData: []byte("right")}
	wrapped, err := p.Wrap(ctx, name, []vaultkeys.Item{item})
	if err != nil {
		return err
	}
	_, err = p.Unwrap(ctx, name, []vaultkeys.Item{{Data: wrapped[0], AssociatedData: []byte("wrong")}})
	if !errors.Is(err, vaultkeys.ErrTampered) {
		return vaultkeys.ErrUnfit
	}
	return nil
}

// Create makes a key with one version.
func (p *Provider) Create(ctx context.Context, name vaultkeys.KeyName) error {
	if err := p.ask(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[name] != nil {
		return fmt.Errorf("%s: %w", name, vaultkeys.ErrKeyExists)
	}
	k := &key{versions: map[int]version{}}
	k.add()
	p.keys[name] = k
	return nil
}

// Rotate adds a version.
func (p *Provider) Rotate(ctx context.Context, name vaultkeys.KeyName) (int, error) {
	k, err := p.find(ctx, name)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k.add()
	return k.latest, nil
}

// Destroy ends a key.
func (p *Provider) Destroy(ctx context.Context, name vaultkeys.KeyName) error {
	if _, err := p.find(ctx, name); err != nil {
		return err
	}
	p.set(func() { delete(p.keys, name) })
	return nil
}

// Describe tells the versions of a key.
func (p *Provider) Describe(ctx context.Context, name vaultkeys.KeyName) (vaultkeys.KeyInfo, error) {
	k, err := p.find(ctx, name)
	if err != nil {
		return vaultkeys.KeyInfo{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	info := vaultkeys.KeyInfo{Latest: k.latest}
	for _, n := range slices.Sorted(maps.Keys(k.versions)) {
		info.Versions = append(info.Versions, vaultkeys.KeyVersion{Version: n, CreatedAt: k.versions[n].created})
	}
	return info, nil
}

func (p *Provider) find(ctx context.Context, name vaultkeys.KeyName) (*key, error) {
	if err := p.ask(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.keys[name]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%s: %w", name, vaultkeys.ErrKeyNotFound)
}

// ask plays the way to the key service, with what it was told to suffer.
func (p *Provider) ask(ctx context.Context) error {
	p.mu.Lock()
	delay, unavailable, refuse := p.delay, p.unavailable, p.refuse
	p.mu.Unlock()
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", vaultkeys.ErrUnavailable, ctx.Err())
		}
	}
	switch {
	case unavailable:
		return fmt.Errorf("%w: the test says so", vaultkeys.ErrUnavailable)
	case refuse:
		return fmt.Errorf("%w: the test says so", vaultkeys.ErrRefused)
	}
	return nil
}

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
