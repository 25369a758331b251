package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// The format of a store. A reader that is older than oldestReader of the file
// refuses it.
const (
	storeFormat  = 2
	oldestReader = 2
)

// Names in the Meta table.
var (
	metaFormat   = []byte("format")   // 01 | u16 format | u16 oldest reader
	metaStore    = []byte("store")    // 16-byte store uid
	metaSequence = []byte("sequence") // u64: the last commit sequence number
)

func refuseExisting(tx kv.ReadTx) error {
	if tx.Get(kv.Meta, metaFormat) != nil {
		return fmt.Errorf("a store is here already: %w", ErrExists)
	}
	return nil
}

func putMeta(tx kv.Tx, id uid.UID) {
	putFormat(tx)
	tx.Put(kv.Meta, metaStore, id[:])
}

func putFormat(tx kv.Tx) {
	b := []byte{1}
	b = binary.BigEndian.AppendUint16(b, storeFormat)
	b = binary.BigEndian.AppendUint16(b, oldestReader)
	tx.Put(kv.Meta, metaFormat, b)
}

// formatOf returns the format of a store that readMeta has accepted.
func formatOf(tx kv.ReadTx) uint16 {
	if b := tx.Get(kv.Meta, metaFormat); len(b) == 5 {
		return binary.BigEndian.Uint16(b[1:])
	}
	return 0
}

// readMeta returns the uid of the store, or a sentence why it is not one that
// this program can read.
func readMeta(tx kv.ReadTx) (uid.UID, error) {
	r := reader{b: tx.Get(kv.Meta, metaFormat)}
	if r.b == nil {
		return uid.Zero, fmt.Errorf("there is no store in this file: %w", ErrNotFound)
	}
	if r.u8() != 1 {
		return uid.Zero, fmt.Errorf("%w: the store's format", errLayout)
	}
	format, oldest := r.u16(), r.u16()
	if !r.done() {
		return uid.Zero, fmt.Errorf("%w: the store's format", errLayout)
	}
	if oldest > storeFormat {
		return uid.Zero, fmt.Errorf("the store has format %d and needs a program that reads format %d; this one reads up to %d", format, oldest, storeFormat)
	}
	var id uid.UID
	if copy(id[:], tx.Get(kv.Meta, metaStore)) != len(id) {
		return uid.Zero, fmt.Errorf("%w: the store's uid", errLayout)
	}
	return id, nil
}

// nextSequence returns the next commit sequence number, and the n-1 after it.
func nextSequence(tx kv.Tx, n uint64) uint64 {
	last := lastSequence(tx)
	setSequence(tx, last+n)
	return last + 1
}

func setSequence(tx kv.Tx, last uint64) {
	tx.Put(kv.Meta, metaSequence, binary.BigEndian.AppendUint64(nil, last))
}

func lastSequence(tx kv.ReadTx) uint64 {
	if b := tx.Get(kv.Meta, metaSequence); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Keysets reads the wrapped keysets of an integration (uid.Zero: of the
// system domain), and what each may do, for package envelope. One that the
// generation in force does not know is no key: it was destroyed.
func (s *Store) Keysets(ctx context.Context, integration uid.UID) ([]envelope.WrappedKeyset, error) {
	var keysets []envelope.WrappedKeyset
	err := s.engine.View(ctx, func(tx kv.ReadTx) error {
		keysets = readKeysets(tx, integration)
		keysets = known(keysets)
		return nil
	})
	return keysets, engineError(err)
}

// readKeysets returns every keyset that is stored. State is 0 where the
// generation in force says nothing of it, and everywhere where it cannot be read
// or tells of a keyset that is not there: what is sealed can still be opened
// then, and nothing is written.
func readKeysets(tx kv.ReadTx, integration uid.UID) (keysets []envelope.WrappedKeyset) {
	tx.Scan(kv.Keysets, integration[:], after(integration[:]), func(key, value []byte) bool {
		r := reader{b: key[len(integration):]}
		k := envelope.WrappedKeyset{Purpose: envelope.Purpose(r.u8()), Generation: r.u32(), Blob: append([]byte(nil), value...)}
		if r.done() {
			keysets = append(keysets, k)
		}
		return true
	})
	if g := generationOf(tx, integration, keysets); g.hasKeysets(keysets) {
		for i := range keysets {
			keysets[i].State = g.state(keysets[i].Purpose, keysets[i].Generation)
		}
	}
	return keysets
}

// known leaves out the keysets without a state, unless none has one.
func known(keysets []envelope.WrappedKeyset) []envelope.WrappedKeyset {
	unknown := func(k envelope.WrappedKeyset) bool { return k.State == 0 }
	if !slices.ContainsFunc(keysets, func(k envelope.WrappedKeyset) bool { return !unknown(k) }) {
		return keysets
	}
	return slices.DeleteFunc(keysets, unknown)
}

func keysetKey(integration uid.UID, k envelope.WrappedKeyset) []byte {
	b := make([]byte, 0, len(integration)+5)
	b = append(b, integration[:]...)
	b = append(b, byte(k.Purpose))
	return binary.BigEndian.AppendUint32(b, k.Generation)
}

func putKeysets(tx kv.Tx, integration uid.UID, keysets []envelope.WrappedKeyset) {
	for _, k := range keysets {
		tx.Put(kv.Keysets, keysetKey(integration, k), k.Blob)
	}
}

// fixedKeysets is a source for a store that is not written yet.
type fixedKeysets []envelope.WrappedKeyset

func (f fixedKeysets) Keysets(context.Context, uid.UID) ([]envelope.WrappedKeyset, error) {
	return f, nil
}
