package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// commit writes a part of a chunk, with the rows that go with it, in one
// transaction. It returns the items that do not open and are stored as they were
// read: what was erased since did not open either. errStale says that other keys
// are primary by now than those that the chunk was made with.
func (w *Sweeper) commit(ctx context.Context, c *chunk, rows func(SweepDelta) []Row) (delta SweepDelta, left []*item, err error) {
	var began time.Time
	err = w.s.withSystem(ctx, func() error {
		system, err := w.s.domains.System(ctx)
		if err != nil {
			return keyError(err)
		}
		return w.s.engine.Update(ctx, kv.Bulk, c.size(), func(tx kv.Tx) error {
			began = time.Now()
			p := &put{w: w, c: c, tx: tx, system: system, began: began}
			if err := p.check(rows); err != nil {
				return err
			}
			p.write()
			delta, left = p.delta, p.left
			return nil
		})
	})
	if err != nil {
		return SweepDelta{}, nil, err
	}
	delta.Held = time.Since(began)
	return delta, left, nil
}

// size is what writing the chunk writes, near enough.
func (c *chunk) size() int {
	n := 4096
	for i := range c.items {
		it := &c.items[i]
		n += len(it.key) + len(it.fresh) + len(it.value) + 32
		if it.tokens != nil {
			n += 4 * len(it.tokens.indexed)
		}
	}
	return n
}

// put is one run of the transaction that writes a chunk.
type put struct {
	w      *Sweeper
	c      *chunk
	tx     kv.Tx
	system *envelope.System
	began  time.Time
	writes []controlWrite // of the rows
	live   []bool         // items that are stored as they were read
	left   []*item        // of those, the ones that do not open
	delta  SweepDelta
}

// check finds out what of the chunk is still to be written, and makes the rows
// that go with it. It writes nothing.
func (p *put) check(rows func(SweepDelta) []Row) error {
	g, err := decodeGeneration(p.tx.Get(kv.Generations, p.w.d.UID[:]))
	if err != nil || g.wrapping != p.c.sealing || g.index != p.c.index {
		return errStale
	}
	if p.c.table == sweepsTokens && g.epoch != p.c.epoch {
		return errStale // the definition of what is indexed may be another
	}
	p.live = make([]bool, len(p.c.items))
	p.compare()
	p.count()
	if rows == nil {
		return nil
	}
	if p.writes, err = rowWrites(rows(p.delta)); err != nil {
		return err
	}
	if err := sealUnder(p.system, p.writes); err != nil {
		return err
	}
	if !systemCurrent(p.tx, p.system) {
		return errStaleSystem
	}
	return standsBefore(p.tx, p.writes)
}

// sweptTables are the tables of a sweep.
var sweptTables = map[byte]kv.Table{sweepsDEKs: kv.DEKs, sweepsTokens: kv.Tokens, sweepsControl: kv.Control}

// compare finds the items that are stored as they were read: side by side where
// they lie close together.
func (p *put) compare() {
	items, table := p.c.items, sweptTables[p.c.table]
	if !p.c.dense {
		for i := range items {
			p.live[i] = bytes.Equal(p.tx.Get(table, items[i].key), items[i].old)
		}
		return
	}
	for i := 0; i < len(items); {
		i = p.compareFrom(table, i)
	}
}

// compareFrom compares items up to the first that is in another collection, and
// returns which that is.
func (p *put) compareFrom(table kv.Table, i int) int {
	items := p.c.items
	to := after(items[i].key[:min(len(uid.Zero), len(items[i].key))])
	if table == kv.Control {
		to = nil
	}
	next := func() bool { i++; return i < len(items) && (to == nil || bytes.Compare(items[i].key, to) < 0) }
	more := true
	p.tx.Scan(table, items[i].key, to, func(key, value []byte) bool {
		for more {
			switch order := bytes.Compare(items[i].key, key); {
			case order > 0:
				return true
			case order == 0:
				p.live[i] = bytes.Equal(items[i].old, value)
				more = next()
				return more
			}
			more = next() // it is gone
		}
		return false
	})
	for more {
		more = next()
	}
	return i
}

// count makes the delta.
func (p *put) count() {
	d := &p.delta
	d.Scanned, d.Cursor, d.Done = p.c.scanned, p.c.end.cursor(), p.c.end.done()
	for i := range p.c.items {
		it := &p.c.items[i]
		if p.live[i] && it.tokens != nil && !it.tokens.stands(p.tx, it.key) {
			p.live[i] = false
		}
		switch {
		case !p.live[i]:
			d.Stale++
		case it.why != nil:
			d.Damaged++
			p.live[i], p.left = false, append(p.left, it)
		case p.c.table == sweepsTokens:
			d.Reindexed++
		case it.value != nil:
			d.Resealed++
		default:
			d.Rewrapped++
		}
		if p.live[i] {
			d.Bytes += uint64(len(it.fresh) + len(it.value))
		}
	}
	d.Held = time.Since(p.began)
}

// write writes the rows and the items.
func (p *put) write() {
	putControl(p.tx, p.writes)
	if p.delta.Rewrapped+p.delta.Resealed+p.delta.Reindexed == 0 {
		return
	}
	p.w.op.put(p.tx, p.w.op.entry.Target)
	for i := 0; i < len(p.c.items); {
		i = p.writeFrom(i)
	}
}

// writeFrom writes the items of one collection, from i on, with their counts. It
// returns the first item of the next.
func (p *put) writeFrom(i int) int {
	if p.c.table == sweepsControl {
		return p.writeControl(i)
	}
	var c uid.UID
	copy(c[:], p.c.items[i].key)
	var t tally
	var sorted indexWrites
	for ; i < len(p.c.items) && bytes.HasPrefix(p.c.items[i].key, c[:]); i++ {
		it := &p.c.items[i]
		switch {
		case !p.live[i]:
		case it.tokens != nil:
			it.tokens.put(p.tx, &sorted, c, it, &t)
		default:
			t.keys.dek(it.old, -1)
			t.keys.dek(it.fresh, 1)
			p.tx.Put(kv.DEKs, it.key, it.fresh)
			if it.value != nil {
				p.tx.Put(kv.Revisions, it.key, it.value)
			}
		}
	}
	sorted.write(p.tx)
	t.add(p.tx, c)
	return i
}

// writeControl writes control values, but for those that the rows have just
// written.
func (p *put) writeControl(i int) int {
	var t keyTally
	for ; i < len(p.c.items); i++ {
		if it := &p.c.items[i]; p.live[i] && !p.ofRows(it.key) {
			t.control(it.old, -1)
			t.control(it.fresh, 1)
			p.tx.Put(kv.Control, it.key, it.fresh)
		}
	}
	t.add(p.tx, uid.Zero)
	return i
}

func (p *put) ofRows(key []byte) bool {
	for i := range p.writes {
		if bytes.Equal(key, controlKey(p.writes[i].kind, p.writes[i].id)) {
			return true
		}
	}
	return false
}

// sealUnder seals the documents of writes under an opened system domain. It
// calls no key service, so that it may run in a transaction.
func sealUnder(system *envelope.System, writes []controlWrite) error {
	generation, _ := system.Generation()
	for i := range writes {
		w := &writes[i]
		if w.doc == nil {
			continue
		}
		plain, err := json.Marshal(w.doc)
		if err != nil {
			return fmt.Errorf("store: encode %s: %w", w.kind, err)
		}
		v := controlValue{version: w.replaces + 1}
		if v.sealed, err = system.Seal(w.kind, w.id, v.version, plain); err != nil {
			return keyError(err)
		}
		w.value, w.sealedBy = v.encode(), generation
	}
	return nil
}
