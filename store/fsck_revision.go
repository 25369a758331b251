package store

import (
	"fmt"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// revisionCheck judges one revision in one transaction.
type revisionCheck struct {
	f      *fsck
	tx     kv.ReadTx
	coll   *collection
	key    []byte
	id     string
	number uint64
	found  []Damage
}

func (r *revisionCheck) add(kind, detail string) {
	where := fmt.Sprintf("%s/%s, revision %d", r.coll.where(), r.id, r.number)
	r.found = append(r.found, Damage{kind, where, detail})
}

// revision judges an entry of the Revisions table: its layout, its wrapped DEK,
// which authenticates the header, and with Deep every field.
func (f *fsck) revision(tx kv.ReadTx, key, value []byte) []Damage {
	f.count(&f.report.Revisions, 1)
	f.count(&f.done, 1)
	c, id, number, ok := splitRevisionKey(key)
	if !ok {
		return []Damage{f.malformedKey(damagedRevision, kv.Revisions, key)}
	}
	r := &revisionCheck{f: f, tx: tx, coll: f.coll, key: key, id: id, number: number}
	if tx.Get(kv.Records, recordKey(c, id)) == nil {
		r.add(damagedRevision, "there is no such record")
	}
	rev, err := decodeRevision(value, f.coll.names)
	if err != nil {
		r.add(damagedRevision, explain(err))
		return r.found
	}
	f.count(&f.report.Fields, len(rev.sealed))
	r.checkExpiry(&rev.header)
	r.checkSeal(&rev)
	return r.found
}

func (r *revisionCheck) checkExpiry(h *header) {
	if !h.eraseAt.IsZero() && r.tx.Get(kv.Expiry, expiryKey(h.eraseAt, expiryRevision, r.key)) == nil {
		r.add(damagedExpiry, "it has an erase_at, and nothing will erase it when its time comes")
	}
}

func (r *revisionCheck) checkSeal(rev *revision) {
	wrapped := r.tx.Get(kv.DEKs, r.key)
	if wrapped == nil {
		r.add(damagedDEK, "it is missing: the revision cannot be read")
		return
	}
	if r.f.dom == nil {
		return
	}
	opener, err := r.f.dom.Open(r.f.s.identity(r.coll, r.id, r.number), rev.rawHeader, wrapped)
	if err != nil {
		r.add(damagedDEK, explain(err))
		return
	}
	if r.f.o.Deep {
		r.checkFields(rev, opener)
	}
}

func (r *revisionCheck) checkFields(rev *revision, opener envelope.Opener) {
	var buffer []byte
	for i, path := range rev.header.fields {
		clear, err := opener.Field(buffer[:0], path, rev.sealed[i])
		if err != nil {
			r.add(damagedField, fmt.Sprintf("field %q: %s", path, explain(err)))
			continue
		}
		buffer = clear
	}
	clear(buffer[:cap(buffer)])
}

// wrappedKey judges an entry of the DEKs table: there is a revision for it.
func (f *fsck) wrappedKey(tx kv.ReadTx, key, _ []byte) []Damage {
	_, id, number, ok := splitRevisionKey(key)
	switch {
	case !ok:
		return []Damage{f.malformedKey(damagedDEK, kv.DEKs, key)}
	case tx.Get(kv.Revisions, key) == nil:
		return []Damage{{damagedDEK, fmt.Sprintf("%s/%s, revision %d", f.coll.where(), id, number), "there is no such revision"}}
	}
	return nil
}

// malformedKey is what is told of a key that is not one of its table.
func (f *fsck) malformedKey(kind string, t kv.Table, key []byte) Damage {
	return Damage{kind, fmt.Sprintf("%s, table %s", f.coll.where(), t), fmt.Sprintf("an entry of %d bytes has not the key that it should have", len(key))}
}

// place names a record for people, by a key that is a collection's uid and an id.
func (f *fsck) place(key []byte) string { return f.coll.where() + "/" + string(key[len(uid.Zero):]) }
