package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// strayKinds says of what kind an entry is that belongs to no collection.
var strayKinds = map[kv.Table]string{
	kv.Records: damagedRecord, kv.Revisions: damagedRevision, kv.DEKs: damagedDEK, kv.Tokens: damagedIndex,
	kv.Index: damagedIndex, kv.Labels: damagedLabel, kv.Changes: damagedChange, kv.Counters: damagedCounter,
}

// strays looks for entries of collections that are not there. Those of a
// deleted collection, which are being removed, are not meant.
func (f *fsck) strays() error {
	f.coll = nil
	for _, t := range collectionTables {
		for from, more := []byte(nil), true; more; {
			var c uid.UID
			err := f.view(func(tx kv.ReadTx) {
				from, c, more = f.nextStray(tx, t, from)
			})
			if err != nil {
				return err
			}
			if more {
				if err := f.confirmStray(t, c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// nextStray jumps from collection to collection in a table until one that is
// not known, and returns where to go on from.
func (f *fsck) nextStray(tx kv.ReadTx, t kv.Table, from []byte) (next []byte, c uid.UID, found bool) {
	for {
		var key []byte
		tx.Scan(t, from, nil, func(k, _ []byte) bool { key = k; return false })
		if key == nil {
			return nil, c, false
		}
		c = uid.Zero
		if copy(c[:], key) < len(c) {
			return append(bytes.Clone(key), 0), c, true
		}
		from = after(c[:])
		if !f.plane.knows(c) && (t != kv.Counters || !c.IsZero()) {
			return from, c, true
		}
		if from == nil {
			return nil, c, false
		}
	}
}

// knows reports whether a collection is there, or is being removed.
func (p *plane) knows(c uid.UID) bool { return p.collections[c] != nil || p.purges[c] }

func (f *fsck) confirmStray(t kv.Table, c uid.UID) error {
	if err := f.renewPlane(); err != nil || f.plane.knows(c) {
		return err
	}
	n := 0
	err := f.view(func(tx kv.ReadTx) {
		tx.Scan(t, c[:], after(c[:]), func(_, _ []byte) bool { n++; return n < 1000 })
	})
	switch {
	case err != nil:
		return err
	case n > 0:
		f.add(Damage{strayKinds[t], fmt.Sprintf("table %s, collection %s", t, c),
			fmt.Sprintf("%d entries or more belong to a collection that is not there, or whose definition does not open", n)})
	case c.IsZero():
		f.add(Damage{strayKinds[t], fmt.Sprintf("table %s", t), "an entry has not the key that it should have"})
	}
	return nil
}

// rest checks the tables that are not keyed by a collection.
func (f *fsck) rest() error {
	for _, part := range []struct {
		table kv.Table
		visit visit
	}{{kv.Expiry, f.expiry}, {kv.Idempotency, f.idempotency}, {kv.Operations, f.operation}, {kv.Meta, f.meta}} {
		if err := f.walk(part.table, nil, part.visit); err != nil {
			return err
		}
	}
	if err := f.walk(kv.Counters, uid.Zero[:], f.systemCounter); err != nil {
		return err
	}
	return errors.Join(f.systemCounts(), f.metaNames())
}

// expiry judges an entry of the Expiry table: what it is to erase is there, and
// falls due at that time.
func (f *fsck) expiry(tx kv.ReadTx, key, value []byte) []Damage {
	if len(key) < 9 || len(value) != 0 {
		return []Damage{{damagedExpiry, "table expiry", "an entry has not the key that it should have"}}
	}
	at, what := fromMicros(binary.BigEndian.Uint64(key)), key[9:]
	if f.removing(key[8], what) {
		return nil
	}
	due, where, ok := f.dueOf(tx, key[8], what)
	switch {
	case !ok:
		return []Damage{{damagedExpiry, where, "something waits to be erased that is not there"}}
	case !due.Equal(at):
		return []Damage{{damagedExpiry, where, fmt.Sprintf("it would be erased at %s, which is not its time", at.Format(time.RFC3339))}}
	}
	return nil
}

// removing reports whether what an entry is about belongs to a collection that
// is being removed.
func (f *fsck) removing(kind byte, what []byte) bool {
	var c uid.UID
	return kind != expiryIdempotency && copy(c[:], what) == len(c) && f.plane.purges[c]
}

// dueOf finds out when what an entry of the Expiry table is about falls due.
func (f *fsck) dueOf(tx kv.ReadTx, kind byte, what []byte) (due time.Time, where string, ok bool) {
	if kind == expiryIdempotency {
		m, err := decodeRemembered(tx.Get(kv.Idempotency, what))
		return m.expires, "an idempotency key", err == nil
	}
	var c uid.UID
	copy(c[:], what)
	where = "collection " + c.String()
	if coll := f.plane.collections[c]; coll != nil {
		where = coll.where()
	}
	switch kind {
	case expiryRevision:
		_, id, number, split := splitRevisionKey(what)
		where = fmt.Sprintf("%s/%s, revision %d", where, id, number)
		rev, err := decodeRevision(tx.Get(kv.Revisions, what), nil)
		return rev.header.eraseAt, where, split && err == nil
	case expiryPurge:
		if len(what) > len(c) {
			where += "/" + string(what[len(c):])
		}
		st, err := decodeState(tx.Get(kv.Records, what))
		return st.purgeAt, where, err == nil
	}
	return due, where, false
}

// idempotency judges an entry of the Idempotency table.
func (f *fsck) idempotency(tx kv.ReadTx, key, value []byte) []Damage {
	m, err := decodeRemembered(value)
	if err != nil || len(key) != 32 || checkRecordID("", m.id) != nil {
		return []Damage{{damagedRequest, "table idempotency", "an entry has not the layout that it should have"}}
	}
	if m.authentic(f.system, key) != nil {
		return []Damage{{damagedRequest, "table idempotency", "an entry does not authenticate: it was changed or belongs elsewhere"}}
	}
	if tx.Get(kv.Expiry, expiryKey(m.expires, expiryIdempotency, key)) == nil {
		return []Damage{{damagedExpiry, "an idempotency key", "nothing will forget it when its time comes"}}
	}
	return nil
}

// readable reports whether a value of the Operations table has the layout that
// operation.put draws.
func readable(value []byte) bool {
	_, err := decodeNotes(value)
	return err == nil
}

// operation judges an entry of the Operations table.
func (f *fsck) operation(_ kv.ReadTx, key, value []byte) []Damage {
	if len(key) != len(uid.Zero) || len(value) == 0 || bytes.IndexByte(value, 0) < 2 || !readable(value) {
		return []Damage{{damagedOther, fmt.Sprintf("operation %x", key), "it has not the layout that it should have"}}
	}
	return nil
}

// meta judges what the file says of itself.
func (f *fsck) meta(tx kv.ReadTx, key, value []byte) []Damage {
	switch {
	case bytes.Equal(key, metaFormat), bytes.Equal(key, metaStore):
		if id, err := readMeta(tx); err != nil || id != f.s.id || len(tx.Get(kv.Meta, metaStore)) != len(id) {
			return []Damage{{damagedMeta, string(key), "it is not that of this store"}}
		}
	case bytes.Equal(key, metaSequence):
		if len(value) != 8 {
			return []Damage{{damagedMeta, string(key), "it has not the layout that it should have"}}
		}
	default:
		return []Damage{{damagedMeta, fmt.Sprintf("%q", key), "there is no such name"}}
	}
	return nil
}

// metaNames looks for names that must be there.
func (f *fsck) metaNames() error {
	return f.view(func(tx kv.ReadTx) {
		for _, name := range [][]byte{metaFormat, metaStore} {
			if tx.Get(kv.Meta, name) == nil {
				f.add(Damage{damagedMeta, string(name), "it is missing"})
			}
		}
	})
}
