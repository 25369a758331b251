package store

import (
	"encoding/binary"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// The counters of what lies under each key. Like all counters they change in
// the transaction that changes what they count, so that how much is left under
// a key is known without looking; fsck counts again. The name of one is a kind
// and a u32, its key id or generation; one that would be 0 is not there. Those of
// control values and idempotency keys belong to no collection and are kept
// under uid.Zero.
const (
	countedDEKs    = "dek" // wrapped DEKs of a collection, by key id
	countedTokens  = "idx" // token sets of a collection, by index generation
	countedControl = "ctl" // control values, by key id
	countedMACs    = "mac" // idempotency keys, by MAC generation
	countedSize    = 3 + 4

	// counterRecount is there when a count may be wrong, because something was
	// erased that had been damaged. The next sweep counts anew.
	counterRecount = "recount"
)

// keyTally collects what an operation adds to the counts of what lies under
// keys.
type keyTally struct {
	deltas []keyDelta
	unsure bool // something went that may have been counted under another key
}

type keyDelta struct {
	kind string
	n    uint32
	by   int64
}

func (t *keyTally) note(kind string, n uint32, by int64) {
	for i := range t.deltas {
		if d := &t.deltas[i]; d.n == n && d.kind == kind {
			d.by += by
			return
		}
	}
	t.deltas = append(t.deltas, keyDelta{kind, n, by})
}

// dek notes that a wrapped DEK comes (1) or goes (-1).
func (t *keyTally) dek(wrapped []byte, by int64) { t.sealed(countedDEKs, wrapped, by) }

// control notes that a control value, as it is stored, comes or goes; nil is none.
func (t *keyTally) control(value []byte, by int64) {
	if value != nil {
		v, _ := decodeControlValue(value)
		t.sealed(countedControl, v.sealed, by)
	}
}

// sealed notes a value by the key that it names. One that names none is counted
// under 0; when it goes, nobody knows what it was counted under when it came.
func (t *keyTally) sealed(kind string, value []byte, by int64) {
	id, err := envelope.KeyIDOf(value)
	if err != nil {
		id, t.unsure = 0, t.unsure || by < 0
	}
	t.note(kind, id, by)
}

// tokens notes that a record's encoded token set comes or goes; nil is none.
func (t *keyTally) tokens(encoded []byte, by int64) {
	if encoded == nil {
		return
	}
	set, err := decodeTokenSet(encoded)
	if err != nil {
		set.generation, t.unsure = 0, t.unsure || by < 0
	}
	t.note(countedTokens, set.generation, by)
}

// mac notes that an encoded entry of the Idempotency table comes or goes; nil
// is none.
func (t *keyTally) mac(encoded []byte, by int64) {
	if encoded == nil {
		return
	}
	m, err := decodeRemembered(encoded)
	if err != nil {
		m.generation, t.unsure = 0, t.unsure || by < 0
	}
	t.note(countedMACs, m.generation, by)
}

// add changes the counters, once for everything that was noted.
func (t *keyTally) add(tx kv.Tx, c uid.UID) {
	for _, d := range t.deltas {
		addKeyCount(tx, c, d.kind, d.n, d.by)
	}
	if t.unsure {
		setCounter(tx, c, counterRecount, 1)
	}
}

func addKeyCount(tx kv.Tx, c uid.UID, kind string, n uint32, delta int64) {
	if delta == 0 {
		return
	}
	key := keyCounterKey(c, kind, n)
	count := delta
	if b := tx.Get(kv.Counters, key); len(b) == 8 {
		count += int64(binary.BigEndian.Uint64(b))
	}
	if count < 0 { // it was not counted under this key when it came
		count = 0
		setCounter(tx, c, counterRecount, 1)
	}
	if count == 0 {
		tx.Delete(kv.Counters, key)
		return
	}
	tx.Put(kv.Counters, key, binary.BigEndian.AppendUint64(nil, uint64(count)))
}

func keyCounterKey(c uid.UID, kind string, n uint32) []byte {
	k := make([]byte, 0, len(c)+countedSize)
	k = append(k, c[:]...)
	k = append(k, kind...)
	return binary.BigEndian.AppendUint32(k, n)
}

// keyCounts returns how many wrapped DEKs of a collection are under each key
// id, and how many records have tokens of each index generation. A collection
// that is being removed has what is left of it.
func keyCounts(tx kv.ReadTx, c uid.UID) (deks, tokens map[uint32]uint64) {
	return keyCountsOf(tx, c, countedDEKs), keyCountsOf(tx, c, countedTokens)
}

// systemCounts returns how many control values are under each key id of the
// system domain, and how many idempotency keys under each MAC generation.
func systemCounts(tx kv.ReadTx) (control, macs map[uint32]uint64) {
	return keyCountsOf(tx, uid.Zero, countedControl), keyCountsOf(tx, uid.Zero, countedMACs)
}

func keyCountsOf(tx kv.ReadTx, c uid.UID, kind string) map[uint32]uint64 {
	counts := map[uint32]uint64{}
	prefix := counterKey(c, kind)
	tx.Scan(kv.Counters, prefix, after(prefix), func(key, value []byte) bool {
		if n := key[len(prefix):]; len(n) == 4 && len(value) == 8 {
			counts[binary.BigEndian.Uint32(n)] = binary.BigEndian.Uint64(value)
		}
		return true
	})
	return counts
}

// keyKinds are the kinds that are counted of a collection, and of uid.Zero.
func keyKinds(c uid.UID) [2]string {
	if c.IsZero() {
		return [2]string{countedControl, countedMACs}
	}
	return [2]string{countedDEKs, countedTokens}
}

// isKeyCounter reports whether a counter of c can have this name.
func isKeyCounter(c uid.UID, name string) bool {
	kinds := keyKinds(c)
	return len(name) == countedSize && slices.Contains(kinds[:], name[:3])
}

// recountKeys counts anew what lies under each key, of a collection or, of
// uid.Zero, of the system domain. It reads all of that in one transaction.
func recountKeys(tx kv.Tx, c uid.UID) {
	var t keyTally
	if c.IsZero() {
		tx.Scan(kv.Control, nil, nil, func(_, value []byte) bool { t.control(value, 1); return true })
		tx.Scan(kv.Idempotency, nil, nil, func(_, value []byte) bool { t.mac(value, 1); return true })
	} else {
		tx.Scan(kv.DEKs, c[:], after(c[:]), func(_, value []byte) bool { t.dek(value, 1); return true })
		tx.Scan(kv.Tokens, c[:], after(c[:]), func(_, value []byte) bool { t.tokens(value, 1); return true })
	}
	for _, kind := range keyKinds(c) {
		for n := range keyCountsOf(tx, c, kind) {
			tx.Delete(kv.Counters, keyCounterKey(c, kind, n))
		}
	}
	tx.Delete(kv.Counters, counterKey(c, counterRecount))
	t.add(tx, c)
}
