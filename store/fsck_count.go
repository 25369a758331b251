package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// recountTries is how often a collection is counted that changes meanwhile.
const recountTries = 5

// counter judges an entry of the Counters table by itself.
func (f *fsck) counter(tx kv.ReadTx, key, value []byte) []Damage {
	name := string(key[len(uid.Zero):])
	switch {
	case name == counterRecords, name == counterDeleted, name == counterRevisions, name == counterFloor, name == counterRecount:
	case isKeyCounter(f.coll.doc.UID, name):
	default:
		return []Damage{f.malformedKey(damagedCounter, kv.Counters, key)}
	}
	where := f.coll.where() + ", " + counterName(name)
	if len(value) != 8 {
		return []Damage{{damagedCounter, where, "its bytes have not the layout that they should have"}}
	}
	if last := lastSequence(tx); name == counterFloor && counter(tx, f.coll.doc.UID, name) > last {
		return []Damage{{damagedCounter, where, fmt.Sprintf("no revision can have been as high (the last commit is %d)", last)}}
	}
	return nil
}

// census is what a collection holds, and what it says that it holds.
type census struct {
	said    map[string]uint64
	keys    map[string]uint64 // what it says of its keys
	newest  []byte            // the last key of the change index
	counted map[string]uint64
	under   map[string]uint64 // what was counted under its keys
	unsure  bool              // a state could not be read: deleted or not, nobody knows
	recount bool              // the keys are about to be counted anew
}

// recount counts the records and revisions of a collection and compares. Where
// it changed meanwhile the comparison says nothing and is made again; a
// collection that never holds still is left unjudged.
func (f *fsck) recount() error {
	for range recountTries {
		before, err := f.said()
		if err != nil {
			return err
		}
		if err := f.tally(&before); err != nil {
			return err
		}
		now, err := f.said()
		if err != nil {
			return err
		}
		if before.sameAs(&now) {
			return f.compare(&before)
		}
	}
	return nil
}

func (c *census) sameAs(now *census) bool {
	return bytes.Equal(c.newest, now.newest) && maps.Equal(c.said, now.said) && maps.Equal(c.keys, now.keys) && c.recount == now.recount
}

// said reads the counters of a collection, and the last entry of its change
// index. Whatever changes a collection changes one of them, for good: a write
// leaves a later change, or a higher floor where it was expunged since; what is
// erased lowers a count that only a write can raise again.
func (f *fsck) said() (c census, err error) {
	id := f.coll.doc.UID
	c.said = map[string]uint64{}
	err = f.view(func(tx kv.ReadTx) {
		for _, name := range []string{counterRecords, counterDeleted, counterRevisions, counterFloor} {
			c.said[name] = counter(tx, id, name)
		}
		c.keys, c.recount = saidOfKeys(tx, id)
		tx.ScanBack(kv.Changes, id[:], after(id[:]), func(key, _ []byte) bool {
			c.newest = bytes.Clone(key)
			return false
		})
	})
	return c, err
}

func (f *fsck) tally(c *census) error {
	id := f.coll.doc.UID
	c.counted = map[string]uint64{}
	err := f.scan(kv.Records, id[:], after(id[:]), func(_ kv.ReadTx, _, value []byte) {
		switch st, err := decodeState(value); {
		case err != nil:
			c.unsure = true
		case st.life == live:
			c.counted[counterRecords]++
		default:
			c.counted[counterDeleted]++
		}
	})
	if err != nil {
		return err
	}
	err = f.scan(kv.Revisions, id[:], after(id[:]), func(_ kv.ReadTx, _, _ []byte) { c.counted[counterRevisions]++ })
	if err != nil {
		return err
	}
	var keys keyTally
	err = errors.Join(
		f.scan(kv.DEKs, id[:], after(id[:]), func(_ kv.ReadTx, _, value []byte) { keys.dek(value, 1) }),
		f.scan(kv.Tokens, id[:], after(id[:]), func(_ kv.ReadTx, _, value []byte) { keys.tokens(value, 1) }),
	)
	c.under = keys.counts()
	return err
}

func (f *fsck) compare(c *census) error {
	var found []Damage
	for _, name := range []string{counterRecords, counterDeleted, counterRevisions} {
		if c.said[name] == c.counted[name] || c.unsure && name != counterRevisions {
			continue
		}
		found = append(found, Damage{damagedCounter, f.coll.where() + ", " + name, fmt.Sprintf("it says %d, and %d were counted", c.said[name], c.counted[name])})
	}
	if !c.recount {
		found = append(found, compareKeys(f.coll.where(), c.keys, c.under)...)
	}
	if found == nil {
		return nil
	}
	if err := f.renewPlane(); err != nil {
		return err
	}
	if f.plane.collections[f.coll.doc.UID] != nil { // not deleted meanwhile
		f.add(found...)
	}
	return nil
}
