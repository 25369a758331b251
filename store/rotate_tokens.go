package store

import (
	"bytes"
	"context"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// retoken is the set of tokens that takes the place of one under another index
// key.
type retoken struct {
	rawState []byte // of the record that it was made of; nil: there is none, and the set goes
	set      tokenSet
	indexed  []byte // the encoded set; nil when the record has no tokens any more
}

// token wants token sets that are not of the primary generation.
func (v *sweepView) token(_, value []byte) bool {
	set, err := decodeTokenSet(value)
	return err != nil || set.generation != v.keys.index
}

// viewRecords is how many records are opened in one view.
const viewRecords = 128

// retokenAll makes the tokens of records anew, in short views.
func (w *Sweeper) retokenAll(ctx context.Context, keys sweepKeys, items []item) error {
	for some := range slices.Chunk(items, viewRecords) {
		err := w.s.engine.View(ctx, func(tx kv.ReadTx) error {
			for i := range some {
				some[i].tokens, some[i].why = w.retoken(tx, keys.dom, some[i].key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// retoken makes the tokens of one record. Of a collection that is being removed
// the tokens go: nothing searches it.
func (w *Sweeper) retoken(tx kv.ReadTx, dom *envelope.Domain, key []byte) (*retoken, error) {
	var c uid.UID
	id := string(key[copy(c[:], key):])
	cat := w.s.catalog.Load()
	coll := cat.collectionByUID(c)
	if coll == nil {
		return &retoken{}, nil
	}
	f, err := w.s.findCurrent(tx, coll, dom, id)
	if err != nil {
		return nil, err
	}
	if !f.exists {
		return nil, damaged("state", errMissing)
	}
	values, err := openAll(&f.revision, f.opener)
	if err != nil {
		return nil, err
	}
	if f.revision.header.schemaVersion != coll.doc.SchemaVersion {
		values = coll.schema.Resplit(values)
	}
	d := sealedDraft{draft: draft{id: id, values: indexable(coll, values)}}
	if err := d.index(dom, coll); err != nil {
		return nil, err
	}
	return &retoken{rawState: bytes.Clone(f.rawState), set: d.tokens, indexed: d.indexed}, nil
}

// stands reports whether the record is as it was when its tokens were made.
func (r *retoken) stands(tx kv.ReadTx, key []byte) bool {
	return r.rawState == nil || bytes.Equal(tx.Get(kv.Records, key), r.rawState)
}

// put writes the set; what it changes in the index is collected in sorted.
func (r *retoken) put(tx kv.Tx, sorted *indexWrites, c uid.UID, it *item, t *tally) {
	id := string(it.key[len(c):])
	if old, err := decodeTokenSet(it.old); err == nil {
		for _, k := range old.tokens {
			sorted.drops = append(sorted.drops, indexKey(c, k.path, old.generation, k.token, id))
		}
	} else {
		dropTokens(tx, c, id, it.old)
	}
	t.keys.tokens(it.old, -1)
	if r.indexed == nil {
		tx.Delete(kv.Tokens, it.key)
		return
	}
	for _, k := range r.set.tokens {
		sorted.puts = append(sorted.puts, indexKey(c, k.path, r.set.generation, k.token, id))
	}
	t.keys.tokens(r.indexed, 1)
	tx.Put(kv.Tokens, it.key, r.indexed)
}

// indexWrites are changes of the Index table. They are made in the order of
// their keys: tokens are as good as random, and a page that several of them are
// on is then found once.
type indexWrites struct{ drops, puts [][]byte }

func (w *indexWrites) write(tx kv.Tx) {
	slices.SortFunc(w.drops, bytes.Compare)
	for _, key := range w.drops {
		tx.Delete(kv.Index, key)
	}
	slices.SortFunc(w.puts, bytes.Compare)
	for _, key := range w.puts {
		tx.Put(kv.Index, key, nil)
	}
}
