package store

import (
	"encoding/binary"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// The counters of a collection. They change in the transaction that changes
// what they count, and fsck counts again. A value is a u64.
const (
	counterRecords   = "records"   // live records
	counterDeleted   = "deleted"   // deleted records that can be undeleted
	counterRevisions = "revisions" // revisions of both
	counterFloor     = "floor"     // no count: new records begin above this revision
)

func counter(tx kv.ReadTx, c uid.UID, name string) uint64 {
	if b := tx.Get(kv.Counters, counterKey(c, name)); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func setCounter(tx kv.Tx, c uid.UID, name string, value uint64) {
	tx.Put(kv.Counters, counterKey(c, name), binary.BigEndian.AppendUint64(nil, value))
}

// tally collects what an operation adds to the counters of a collection.
type tally struct {
	records, deleted, revisions int64
	keys                        keyTally
}

func (t *tally) add(tx kv.Tx, c uid.UID) {
	for _, n := range [...]struct {
		name  string
		delta int64
	}{{counterRecords, t.records}, {counterDeleted, t.deleted}, {counterRevisions, t.revisions}} {
		if n.delta != 0 {
			setCounter(tx, c, n.name, uint64(int64(counter(tx, c, n.name))+n.delta))
		}
	}
	t.keys.add(tx, c)
}
