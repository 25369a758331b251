package store

import (
	"bytes"
	"context"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Haul is what somebody takes out of a file of the store who has it all, and
// knows how it is laid out.
type Haul struct {
	Keysets   []envelope.WrappedKeyset // of the integration
	Revisions []TakenRevision          // of the collection
	Tokens    [][]byte                 // whole entries of the index and of token sets
}

// TakenRevision is a revision as it lies there.
type TakenRevision struct {
	ID     envelope.Identity
	Header []byte
	DEK    []byte // nil: it is not there
	Paths  []string
	Fields [][]byte // sealed, in the order of the paths
}

// HaulForTest reads a file past every check.
func HaulForTest(ctx context.Context, engine kv.Engine, in, coll uid.UID) (h Haul, err error) {
	err = engine.View(ctx, func(tx kv.ReadTx) (err error) {
		h.Keysets = readKeysets(tx, in)
		for i := range h.Keysets {
			h.Keysets[i].Blob = bytes.Clone(h.Keysets[i].Blob)
		}
		scanAll(tx, kv.Revisions, coll, func(key, value []byte) {
			if err == nil {
				var r TakenRevision
				r, err = takeRevision(tx, key, value)
				r.ID.Integration = in
				h.Revisions = append(h.Revisions, r)
			}
		})
		scanAll(tx, kv.Index, coll, func(key, _ []byte) { h.Tokens = append(h.Tokens, bytes.Clone(key)) })
		scanAll(tx, kv.Tokens, coll, func(_, value []byte) { h.Tokens = append(h.Tokens, bytes.Clone(value)) })
		return err
	})
	return h, err
}

func scanAll(tx kv.ReadTx, t kv.Table, coll uid.UID, fn func(key, value []byte)) {
	tx.Scan(t, coll[:], after(coll[:]), func(key, value []byte) bool { fn(key, value); return true })
}

func takeRevision(tx kv.ReadTx, key, value []byte) (r TakenRevision, err error) {
	c, id, number, ok := splitRevisionKey(key)
	rev, err := decodeRevision(bytes.Clone(value), map[string]string{})
	if !ok || err != nil {
		return r, errLayout
	}
	r.ID = envelope.Identity{Store: uid.UID(tx.Get(kv.Meta, metaStore)), Collection: c, Record: id, Revision: number}
	r.Header, r.Paths, r.Fields = rev.rawHeader, rev.header.fields, rev.sealed
	r.DEK = bytes.Clone(tx.Get(kv.DEKs, key))
	return r, nil
}

// TokenForTest is the token that a value of a field has under a key.
func (s *Store) TokenForTest(dom *envelope.Domain, generation uint32, ref CollectionRef, path, json string) ([]byte, error) {
	coll := s.catalog.Load().collectionOf(ref)
	f, ok := coll.schema.Field(path)
	if !ok {
		return nil, errMissing
	}
	return coll.tokenOf(dom, generation, f, []byte(json))
}
