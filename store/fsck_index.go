package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"strongroom/envelope"
	"strongroom/internal/schema"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// tokens judges an entry of the Tokens table: there is a record for it. What it
// says is judged with the record.
func (f *fsck) tokens(tx kv.ReadTx, key, _ []byte) []Damage {
	if tx.Get(kv.Records, key) == nil {
		return []Damage{{damagedIndex, f.place(key), "a list of index tokens, and there is no such record"}}
	}
	return nil
}

// index judges an entry of the blind index: the record that it leads to lists
// it, and no other record holds the same value of a unique field.
func (f *fsck) index(tx kv.ReadTx, key, value []byte) []Damage {
	f.count(&f.report.IndexTokens, 1)
	e, ok := parseIndexKey(key)
	if !ok || len(value) != 0 {
		return []Damage{f.malformedKey(damagedIndex, kv.Index, key)}
	}
	size, listed := lister(tx, &e)
	if !listed {
		return []Damage{{damagedIndex, f.coll.where(), fmt.Sprintf("an entry for the field %q that no record lists: a search looks at a wrong record", e.path)}}
	}
	field, declared := f.coll.indexedField(e.path)
	if !declared || field.Index != schema.IndexUnique || f.coll.filling[e.path] {
		return nil
	}
	if prefix := key[:len(key)-len(e.rest)+size]; shared(tx, prefix) {
		return []Damage{{damagedIndex, f.coll.where() + "/" + string(e.rest[size:]), fmt.Sprintf("another record holds its value of the unique field %q", e.path)}}
	}
	return nil
}

// indexEntry is a key of the Index table. Where the token ends and the record's
// id begins, only the record's list tells.
type indexEntry struct {
	collection uid.UID
	path       string
	generation uint32
	rest       []byte // token | id
}

func parseIndexKey(key []byte) (e indexEntry, ok bool) {
	r := reader{b: key}
	copy(e.collection[:], r.take(len(e.collection)))
	e.path, e.generation = r.text(), r.u32()
	e.rest = r.b
	return e, !r.bad && len(e.rest) >= 2
}

// lister finds the record that lists the entry, by every length that a token
// can have, and returns that length.
func lister(tx kv.ReadTx, e *indexEntry) (size int, ok bool) {
	for size = min((envelope.UniqueBits+7)/8, len(e.rest)-1); size > 0; size-- {
		raw := tx.Get(kv.Tokens, append(bytes.Clone(e.collection[:]), e.rest[size:]...))
		if raw == nil {
			continue
		}
		set, err := decodeTokenSet(raw)
		if err == nil && set.generation == e.generation && bytes.Equal(set.of(e.path), e.rest[:size]) {
			return size, true
		}
	}
	return 0, false
}

// shared reports whether two entries begin with prefix.
func shared(tx kv.ReadTx, prefix []byte) bool {
	n := 0
	tx.Scan(kv.Index, prefix, after(prefix), func(_, _ []byte) bool { n++; return n < 2 })
	return n > 1
}

// label judges an entry of the label index: the current header of its record
// has the label. A header that cannot be read is told of elsewhere.
func (f *fsck) label(tx kv.ReadTx, key, value []byte) []Damage {
	parts := bytes.Split(key[len(uid.Zero):], []byte{0})
	if len(parts) != 3 || len(value) != 0 {
		return []Damage{f.malformedKey(damagedLabel, kv.Labels, key)}
	}
	name, text, id := string(parts[0]), string(parts[1]), string(parts[2])
	wrong := []Damage{{damagedLabel, f.coll.where() + "/" + id, fmt.Sprintf("the label index has an entry for a label %q that the record has not", name)}}
	raw := tx.Get(kv.Records, recordKey(f.coll.doc.UID, id))
	if raw == nil {
		return wrong
	}
	st, err := decodeState(raw)
	if err != nil {
		return nil
	}
	rev, err := decodeRevision(tx.Get(kv.Revisions, revisionKey(f.coll.doc.UID, id, st.revision)), nil)
	if err != nil || hasLabel(rev.header.labels, name, text) {
		return nil
	}
	return wrong
}

// change judges an entry of the change index: it is its record's last change,
// and times do not go back.
func (f *fsck) change(tx kv.ReadTx, key, value []byte) []Damage {
	prefix := key[:len(uid.Zero)]
	if len(key) != len(prefix)+8 {
		return []Damage{f.malformedKey(damagedChange, kv.Changes, key)}
	}
	sequence := binary.BigEndian.Uint64(key[len(prefix):])
	where := fmt.Sprintf("%s, commit %d", f.coll.where(), sequence)
	ch, err := decodeChange(value)
	if err != nil {
		return []Damage{{damagedChange, where, explain(err)}}
	}
	var found []Damage
	st, err := decodeState(tx.Get(kv.Records, recordKey(f.coll.doc.UID, ch.id)))
	if err != nil || st.sequence != sequence {
		found = append(found, Damage{damagedChange, where, "the record that it names has another last change, or is not there"})
	}
	tx.ScanBack(kv.Changes, prefix, key, func(_, value []byte) bool {
		if before, err := decodeChange(value); err == nil && before.at.After(ch.at) {
			found = append(found, Damage{damagedChange, where, "its time is before that of the change before it"})
		}
		return false
	})
	return found
}
