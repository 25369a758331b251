// Package envelopetest is a key service for tests: it keeps its keys in memory
// and fails when it is told to. It must never be linked into a program.
package envelopetest

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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
	failures    map[Call][]Moment
	hook        func(Call, vaultkeys.KeyName)

	wraps, unwraps atomic.Int64
}

var _ vaultkeys.Provider = (*Provider)(nil)

type key struct {
	latest   int
	minimum  int
	versions map[int]version
}

type version struct {
	aead    cipher.AEAD
	created time.Time
}

// New returns a Provider without keys.
func New() *Provider {
	return &Provider{keys: map[vaultkeys.KeyName]*key{}, failures: map[Call][]Moment{}}
}

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
	wrapped := make([][]byte, len(items))
	return answer(wrapped, p.on(ctx, CallWrap, name, func(k *key) error {
		for i, item := range items {
			b := binary.BigEndian.AppendUint32(nil, uint32(k.latest))
			b = append(b, make([]byte, 12)...)
			rand.Read(b[4:])
			wrapped[i] = k.versions[k.latest].aead.Seal(b, b[4:], item.Data, item.AssociatedData)
		}
		return nil
	}))
}

// Unwrap opens what Wrap sealed.
func (p *Provider) Unwrap(ctx context.Context, name vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	p.unwraps.Add(1)
	opened := make([][]byte, len(items))
	return answer(opened, p.on(ctx, CallUnwrap, name, func(k *key) (err error) {
		for i, item := range items {
			if opened[i], err = k.open(item); err != nil {
				return err
			}
		}
		return nil
	}))
}

// answer returns all or, with an error, nothing.
func answer(all [][]byte, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (k *key) open(item vaultkeys.Item) ([]byte, error) {
	n, err := versionOf(item.Data)
	switch {
	case err != nil || n > k.latest:
		return nil, vaultkeys.ErrTampered
	case n < k.available():
		return nil, vaultkeys.ErrTrimmed
	case n < k.minimum:
		return nil, vaultkeys.ErrTooOld
	}
	clear, err := k.versions[n].aead.Open(nil, item.Data[4:16], item.Data[16:], item.AssociatedData)
	if err != nil {
		return nil, vaultkeys.ErrTampered
	}
	return clear, nil
}

// VersionOf reads the version out of what Wrap sealed.
func (p *Provider) VersionOf(wrapped []byte) (int, error) { return versionOf(wrapped) }

func versionOf(wrapped []byte) (int, error) {
	if len(wrapped) < 4+12+16 {
		return 0, vaultkeys.ErrTampered
	}
	n := binary.BigEndian.Uint32(wrapped)
	if n < 1 || n > 1<<31-1 {
		return 0, vaultkeys.ErrTampered
	}
	return int(n), nil
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
