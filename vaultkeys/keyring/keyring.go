// Package keyring is the embedded provider of key-encryption keys: one file,
// sealed by a passphrase or key file, read once and held in memory. It is the
// default where there is no Vault. Whoever holds a copy of the file and what
// unseals it holds every key, of the past too: destroying a key here, or
// trimming its versions, is not proof that it is gone.
package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"strongroom/vaultkeys"
)

const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
)

// Provider is an open keyring. It is safe for concurrent use; the file is
// locked against other processes until Close.
type Provider struct {
	path string
	lock *os.File

	mu      sync.RWMutex
	writer  writer
	doc     *document
	ciphers map[vaultkeys.KeyName]map[int]cipher.AEAD // nil once closed
	unsure  bool                                      // the file may not be the document after a crash
}

// Create makes a new keyring with no keys. It refuses to write over a file.
func Create(path string, unlock Unlock) (*Provider, error) {
	held, err := lock(path)
	if err != nil {
		return nil, err
	}
	p, err := create(path, unlock, held)
	if err != nil {
		held.Close()
	}
	return p, err
}

func create(path string, unlock Unlock, held *os.File) (*Provider, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("keyring %s: it exists already and is not written over", path)
	}
	doc := &document{Format: fileFormat, Keys: map[vaultkeys.KeyName]*record{}}
	w := newWriter(path, unlock)
	if err := w.write(doc); err != nil {
		return nil, err
	}
	return start(w, held, doc)
}

// Open reads a keyring. One that is missing, that others may read, or that the
// unlock does not fit is refused with a sentence.
func Open(path string, unlock Unlock) (*Provider, error) {
	if err := checkMode(path); err != nil {
		return nil, err
	}
	held, err := lock(path)
	if err != nil {
		return nil, err
	}
	p, err := open(path, unlock, held)
	if err != nil {
		held.Close()
	}
	return p, err
}

func open(path string, unlock Unlock, held *os.File) (*Provider, error) {
	doc, err := readFile(path, unlock)
	if err != nil {
		return nil, err
	}
	w := newWriter(path, unlock)
	if err := w.clean(); err != nil {
		return nil, err
	}
	return start(w, held, doc)
}

func start(w writer, held *os.File, doc *document) (*Provider, error) {
	p := &Provider{path: w.path, writer: w, lock: held}
	return p, p.use(doc)
}

// use makes a document the one that is worked with.
func (p *Provider) use(doc *document) error {
	all := make(map[vaultkeys.KeyName]map[int]cipher.AEAD, len(doc.Keys))
	for name, r := range doc.Keys {
		if p.doc != nil && p.doc.Keys[name] == r {
			all[name] = p.ciphers[name]
			continue
		}
		ciphers, err := ciphersOf(r)
		if err != nil {
			return err
		}
		all[name] = ciphers
	}
	p.forget(doc)
	p.doc, p.ciphers = doc, all
	return nil
}

// forget zeroes the versions that the next document does not have.
func (p *Provider) forget(next *document) {
	if p.doc == nil {
		return
	}
	for name, r := range p.doc.Keys {
		kept := next.Keys[name]
		for n, v := range r.Versions {
			if kept == nil || kept.Versions[n] != v {
				clear(v.Key)
			}
		}
	}
}

func ciphersOf(r *record) (map[int]cipher.AEAD, error) {
	ciphers := make(map[int]cipher.AEAD, len(r.Versions))
	for n, v := range r.Versions {
		block, err := aes.NewCipher(v.Key)
		if err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		if ciphers[n], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
	}
	return ciphers, nil
}

// Close lets go of the keys and of the file. Every call fails from then on.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.doc.Keys {
		for _, v := range r.Versions {
			clear(v.Key)
		}
	}
	p.doc, p.ciphers = &document{Format: fileFormat}, nil
	return p.lock.Close()
}

// Name tells where the file is.
func (p *Provider) Name() string { return "local keyring " + p.path }

// Wrap seals items: AES-256-GCM (NIST SP 800-38D) under the key's newest
// version, with a random nonce. A key wraps some keysets a rotation: it stays
// far below the 2^32 messages that random nonces of 96 bits allow.
//
// Layout of a wrapped item:
//
//	01 | u32be version | 12 nonce | ciphertext | 16 tag
func (p *Provider) Wrap(_ context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, err := p.find(key)
	if err != nil {
		return nil, err
	}
	aead := p.ciphers[key][r.Latest]
	out := make([][]byte, len(items))
	for i, item := range items {
		b := make([]byte, wrappedPrefix+nonceSize, wrappedPrefix+nonceSize+len(item.Data)+tagSize)
		b[0] = wrappedFormat
		binary.BigEndian.PutUint32(b[1:], uint32(r.Latest))
		rand.Read(b[wrappedPrefix:])
		out[i] = aead.Seal(b, b[wrappedPrefix:], item.Data, item.AssociatedData)
	}
	return out, nil
}

const (
	wrappedFormat = 1
	wrappedPrefix = 1 + 4
)

// Unwrap opens what Wrap sealed.
func (p *Provider) Unwrap(_ context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, err := p.find(key)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(items))
	for i, item := range items {
		if out[i], err = r.unwrap(p.ciphers[key], item); err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
	}
	return out, nil
}

func (r *record) unwrap(ciphers map[int]cipher.AEAD, item vaultkeys.Item) ([]byte, error) {
	number, err := versionOf(item.Data)
	if err != nil {
		return nil, err
	}
	switch {
	case number > r.Latest:
		return nil, fmt.Errorf("it has no such version: %w", vaultkeys.ErrRefused)
	case number < r.available():
		return nil, vaultkeys.ErrTrimmed
	case number < r.Minimum:
		return nil, vaultkeys.ErrTooOld
	}
	b := item.Data[wrappedPrefix:]
	plain, err := ciphers[number].Open(nil, b[:nonceSize], b[nonceSize:], item.AssociatedData)
	if err != nil {
		return nil, vaultkeys.ErrTampered
	}
	return plain, nil
}

// VersionOf reads the version out of the layout that Wrap draws.
func (p *Provider) VersionOf(wrapped []byte) (int, error) {
	number, err := versionOf(wrapped)
	if err != nil {
		return 0, fmt.Errorf("keyring: %w", err)
	}
	return number, nil
}

func versionOf(wrapped []byte) (int, error) {
	if len(wrapped) < wrappedPrefix+nonceSize+tagSize || wrapped[0] != wrappedFormat {
		return 0, vaultkeys.ErrTampered
	}
	number := binary.BigEndian.Uint32(wrapped[1:])
	if number < 1 || number > highestVersion {
		return 0, vaultkeys.ErrTampered
	}
	return int(number), nil
}

// find returns a key's record. The caller holds mu.
func (p *Provider) find(key vaultkeys.KeyName) (*record, error) {
	if p.ciphers == nil {
		return nil, errClosed
	}
	if r := p.doc.Keys[key]; r != nil {
		return r, nil
	}
	return nil, notFound(key)
}

var errClosed = fmt.Errorf("the keyring is closed: %w", vaultkeys.ErrUnavailable)

func notFound(key vaultkeys.KeyName) error {
	return fmt.Errorf("key %s: %w", key, vaultkeys.ErrKeyNotFound)
}

// SelfTest proves that the key is there and that a wrong associated data is
// refused.
func (p *Provider) SelfTest(ctx context.Context, key vaultkeys.KeyName) error {
	return vaultkeys.SelfTest(ctx, p, key)
}
