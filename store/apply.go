package store

import (
	"bytes"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// recheck finds out, in the transaction, whether what a draft was made from
// still stands: the record, the keysets, the schema. errStale when not.
func (d *sealedDraft) recheck(tx kv.ReadTx, coll *collection) error {
	if err := inForce(tx, coll, d.generation); err != nil {
		return err
	}
	if !bytes.Equal(tx.Get(kv.Records, recordKey(coll.doc.UID, d.id)), d.base.rawState) {
		return errStale
	}
	if !d.base.exists && counter(tx, coll.doc.UID, counterFloor) >= d.number {
		return errStale // the number was given before
	}
	return d.checkUnique(tx, coll)
}

// inForce finds out, in the transaction, whether the keys and definitions of an
// integration are still those that a draft was made under. errStale when not.
func inForce(tx kv.ReadTx, coll *collection, made generation) error {
	if !made.is(tx.Get(kv.Generations, coll.integration.doc.UID[:])) {
		return errStale
	}
	return nil
}

// standing finds out, in the transaction, whether the definitions that a
// change was judged by still stand. errStale when not.
func standing(tx kv.ReadTx, coll *collection) error {
	g, err := decodeGeneration(tx.Get(kv.Generations, coll.integration.doc.UID[:]))
	if err != nil || g.epoch != coll.integration.generation.epoch {
		return errStale
	}
	return nil
}

// checkUnique refuses a value of a unique field that another record holds.
func (d *sealedDraft) checkUnique(tx kv.ReadTx, coll *collection) error {
	err := d.tokens.checkUnique(tx, coll.doc.UID, d.id)
	for i := 0; i < len(d.older) && err == nil; i++ {
		err = d.older[i].checkUnique(tx, coll.doc.UID, d.id)
	}
	return err
}

func (t *tokenSet) checkUnique(tx kv.ReadTx, c uid.UID, id string) error {
	for _, k := range t.tokens {
		if k.unique && heldByAnother(tx, c, k.path, t.generation, k.token, id) {
			return &UniqueConflict{Path: k.path}
		}
	}
	return nil
}

// heldByAnother reports whether the index has a token for another record too.
func heldByAnother(tx kv.ReadTx, c uid.UID, path string, generation uint32, token []byte, id string) (held bool) {
	prefix := indexPrefix(c, path, generation, token)
	tx.Scan(kv.Index, prefix, after(prefix), func(key, _ []byte) bool {
		held = string(key[len(prefix):]) != id
		return !held
	})
	return held
}

// apply writes a draft that was rechecked.
func (d *sealedDraft) apply(tx kv.Tx, coll *collection, operation uid.UID, sequence uint64, at time.Time, t *tally) {
	c := coll.doc.UID
	key := revisionKey(c, d.id, d.number)
	tx.Put(kv.Revisions, key, d.value)
	tx.Put(kv.DEKs, key, d.wrapped)
	t.keys.dek(d.wrapped, 1)
	if !d.eraseAt.IsZero() {
		tx.Put(kv.Expiry, expiryKey(d.eraseAt, expiryRevision, key), nil)
	}
	d.reindex(tx, c, t)
	d.relabel(tx, c)
	next := state{life: live, revision: d.number, sequence: sequence, operation: operation}
	putState(tx, c, d.id, d.base, next, at)
	t.count(d.base, next)
	t.revisions++
	if d.base.exists {
		trim(tx, c, d.id, d.number, d.keep(coll), t)
	}
}

// keep returns how many revisions stay. A record that is made anew where a
// deleted or expired one waits to be erased takes nothing over from it: the
// entry that would have erased it is gone, so it is erased here.
func (d *sealedDraft) keep(coll *collection) int {
	if d.isNew {
		return 1
	}
	return coll.retention
}

// putState writes a record's state and moves its entry in the change index.
func putState(tx kv.Tx, c uid.UID, id string, base found, next state, at time.Time) {
	if base.exists {
		tx.Delete(kv.Changes, changeKey(c, base.state.sequence))
		if !base.state.purgeAt.IsZero() {
			tx.Delete(kv.Expiry, expiryKey(base.state.purgeAt, expiryPurge, recordKey(c, id)))
		}
	}
	if !next.purgeAt.IsZero() {
		tx.Put(kv.Expiry, expiryKey(next.purgeAt, expiryPurge, recordKey(c, id)), nil)
	}
	tx.Put(kv.Records, recordKey(c, id), next.encode())
	tx.Put(kv.Changes, changeKey(c, next.sequence), (&change{at: at, id: id}).encode())
}

// count notes how a change of state changes the counters.
func (t *tally) count(base found, next state) {
	if base.exists && base.state.life == live {
		t.records--
	}
	if base.exists && base.state.life == deleted {
		t.deleted--
	}
	if next.life == live {
		t.records++
	} else {
		t.deleted++
	}
}

// reindex replaces the record's entries in the blind index.
func (d *sealedDraft) reindex(tx kv.Tx, c uid.UID, t *tally) {
	if d.base.exists {
		if bytes.Equal(tx.Get(kv.Tokens, recordKey(c, d.id)), d.indexed) {
			return
		}
		removeTokens(tx, c, d.id, t)
	}
	if d.indexed == nil {
		return
	}
	for _, k := range d.tokens.tokens {
		tx.Put(kv.Index, indexKey(c, k.path, d.tokens.generation, k.token, d.id), nil)
	}
	tx.Put(kv.Tokens, recordKey(c, d.id), d.indexed)
	t.keys.tokens(d.indexed, 1)
}

// removeTokens takes a record out of the blind index.
func removeTokens(tx kv.Tx, c uid.UID, id string, t *tally) {
	old := tx.Get(kv.Tokens, recordKey(c, id))
	if old == nil {
		return
	}
	dropTokens(tx, c, id, old)
	t.keys.tokens(old, -1)
	tx.Delete(kv.Tokens, recordKey(c, id))
}

// dropTokens removes the index entries that an encoded token set names; every
// entry of the record is looked for when the set cannot be read.
func dropTokens(tx kv.Tx, c uid.UID, id string, encoded []byte) {
	set, err := decodeTokenSet(encoded)
	if err != nil {
		dropWhere(tx, kv.Index, c[:], func(key, _ []byte) bool { return mayIndex(tx, key, id) })
		return
	}
	for _, t := range set.tokens {
		tx.Delete(kv.Index, indexKey(c, t.path, set.generation, t.token, id))
	}
}

// mayIndex reports whether an entry of the index can lead to a record of which
// nothing says what tokens it has: it ends with its id, and no other record
// lists it.
func mayIndex(tx kv.ReadTx, key []byte, id string) bool {
	e, ok := parseIndexKey(key)
	if !ok || !bytes.HasSuffix(e.rest, []byte(id)) {
		return false
	}
	_, listed := lister(tx, &e)
	return !listed
}

// relabel replaces the record's entries in the label index.
func (d *sealedDraft) relabel(tx kv.Tx, c uid.UID) {
	old := d.base.revision.header.labels
	for _, l := range old {
		if !hasLabel(d.labels, l.Key, l.Value) {
			tx.Delete(kv.Labels, labelKey(c, l.Key, l.Value, d.id))
		}
	}
	for _, l := range d.labels {
		if !hasLabel(old, l.Key, l.Value) {
			tx.Put(kv.Labels, labelKey(c, l.Key, l.Value, d.id), nil)
		}
	}
}

// trim removes the oldest revisions beyond those to keep.
func trim(tx kv.Tx, c uid.UID, id string, current uint64, keep int, t *tally) {
	prefix := revisionsPrefix(c, id)
	var old []uint64
	kept := 0
	tx.ScanBack(kv.Revisions, prefix, after(prefix), func(key, _ []byte) bool {
		number := revisionOfKey(key, prefix)
		if number == 0 {
			return true
		}
		if kept++; kept > keep {
			old = append(old, number)
		}
		return true
	})
	for _, number := range old {
		if number != current {
			removeRevision(tx, c, id, number, t)
		}
	}
}

// removeRevision erases one revision: its wrapped DEK, its sealed fields and
// what waits for its time.
func removeRevision(tx kv.Tx, c uid.UID, id string, number uint64, t *tally) {
	key := revisionKey(c, id, number)
	if rev, err := decodeRevision(tx.Get(kv.Revisions, key), nil); err == nil && !rev.header.eraseAt.IsZero() {
		tx.Delete(kv.Expiry, expiryKey(rev.header.eraseAt, expiryRevision, key))
	}
	t.keys.dek(tx.Get(kv.DEKs, key), -1)
	tx.Delete(kv.DEKs, key)
	tx.Delete(kv.Revisions, key)
	t.revisions--
}

// expunge erases a record: every revision with its wrapped DEK, its index
// tokens and labels, and its place in every table. The collection's floor
// rises above its last revision, so that the number is never given again.
func expunge(tx kv.Tx, c uid.UID, id string, t *tally) error {
	raw := tx.Get(kv.Records, recordKey(c, id))
	if raw == nil {
		return ErrNotFound
	}
	st, err := decodeState(raw)
	if err != nil {
		return expungeDamaged(tx, c, id, t)
	}
	dropLabels(tx, c, id, st.revision)
	for _, number := range revisionNumbers(tx, revisionsPrefix(c, id)) {
		removeRevision(tx, c, id, number, t)
	}
	removeTokens(tx, c, id, t)
	tx.Delete(kv.Changes, changeKey(c, st.sequence))
	if !st.purgeAt.IsZero() {
		tx.Delete(kv.Expiry, expiryKey(st.purgeAt, expiryPurge, recordKey(c, id)))
	}
	tx.Delete(kv.Records, recordKey(c, id))
	raiseFloor(tx, c, st.revision)
	if st.life == live {
		t.records--
	} else {
		t.deleted--
	}
	return nil
}

// dropLabels removes the label entries of a revision, as its header says; when
// the header cannot be read, every entry of the record is looked for.
func dropLabels(tx kv.Tx, c uid.UID, id string, number uint64) {
	rev, err := decodeRevision(tx.Get(kv.Revisions, revisionKey(c, id, number)), nil)
	if err == nil {
		for _, l := range rev.header.labels {
			tx.Delete(kv.Labels, labelKey(c, l.Key, l.Value, id))
		}
		return
	}
	dropWhere(tx, kv.Labels, c[:], func(key, _ []byte) bool { return bytes.HasSuffix(key, append([]byte{0}, id...)) })
}

// expungeDamaged erases a record whose state cannot be read: slowly, by
// looking through the collection. The floor rises above every revision that is
// found.
func expungeDamaged(tx kv.Tx, c uid.UID, id string, t *tally) error {
	for _, number := range revisionNumbers(tx, revisionsPrefix(c, id)) {
		removeRevision(tx, c, id, number, t)
		raiseFloor(tx, c, number)
	}
	ends := append([]byte{0}, id...)
	dropWhere(tx, kv.Labels, c[:], func(key, _ []byte) bool { return bytes.HasSuffix(key, ends) })
	removeTokens(tx, c, id, t)
	dropWhere(tx, kv.Changes, c[:], func(_, value []byte) bool {
		ch, err := decodeChange(value)
		return err == nil && ch.id == id
	})
	tx.Delete(kv.Records, recordKey(c, id))
	t.records--
	return nil
}

func revisionNumbers(tx kv.ReadTx, prefix []byte) (numbers []uint64) {
	tx.Scan(kv.Revisions, prefix, after(prefix), func(key, _ []byte) bool {
		if number := revisionOfKey(key, prefix); number != 0 {
			numbers = append(numbers, number)
		}
		return true
	})
	return numbers
}

func dropWhere(tx kv.Tx, t kv.Table, prefix []byte, match func(key, value []byte) bool) {
	var keys [][]byte
	tx.Scan(t, prefix, after(prefix), func(key, value []byte) bool {
		if match(key, value) {
			keys = append(keys, bytes.Clone(key))
		}
		return true
	})
	for _, key := range keys {
		tx.Delete(t, key)
	}
}

func raiseFloor(tx kv.Tx, c uid.UID, number uint64) {
	if number > counter(tx, c, counterFloor) {
		setCounter(tx, c, counterFloor, number)
	}
}
