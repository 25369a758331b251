package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// chunk is values of one table that a sweep moves, and how far it comes with
// them.
type chunk struct {
	table   byte
	items   []item // in the order of their keys
	end     position
	scanned uint64
	bytes   int  // of revisions
	dense   bool // nearly every value of the range is among the items
	sealing uint32
	index   uint32 // the primary generations that it was made with
	epoch   uint64 // of the integration's definitions
	err     error
}

// item is a value that is not under the primary key.
type item struct {
	key, old []byte
	fresh    []byte // what takes the place of old
	value    []byte // of the Revisions table; with Reseal, what takes its place
	digest   [32]byte
	tokens   *retoken
	why      error // it does not open, and stays
}

// Bounds of a view that a sweep reads in. They keep it far below the 100 ms
// that the engine bears, also where the pages come from a disk.
const (
	viewItems   = 1024
	viewScanned = 16 << 10
	viewTime    = 40 * time.Millisecond
	viewBytes   = 4 << 20 // of revisions that are sealed anew
)

// maxChunkBytes bounds the revisions of a chunk.
const maxChunkBytes = 16 << 20

// maxScanned bounds the values that a chunk passes by which need no move.
const maxScanned = 64 << 10

// first returns the beginning of a chunk: at most n items.
func (c *chunk) first(n int) *chunk {
	if n >= len(c.items) {
		return c
	}
	part := *c
	part.items = c.items[:n]
	part.end = position{c.table, part.items[n-1].key}
	part.scanned = uint64(n)
	return &part
}

// after returns what of the chunk comes after its first part; nil: nothing.
func (c *chunk) after(part *chunk) *chunk {
	if part == c {
		return nil
	}
	rest := *c
	rest.items = c.items[len(part.items):]
	rest.scanned = c.scanned - min(part.scanned, c.scanned)
	return &rest
}

// prepare reads a chunk from a position on and makes what takes the place of
// its values. When it meets a key that the domain does not know, the domain is
// opened anew, and what is unknown then is damage.
func (w *Sweeper) prepare(ctx context.Context, from position, size, workers int) *chunk {
	c, err := w.read(ctx, from, size, workers)
	if err == nil && c.unknown() {
		if err = keyError(w.s.domains.Refresh(ctx, w.d.UID)); err == nil {
			c, err = w.read(ctx, from, size, workers)
		}
	}
	if err != nil {
		return &chunk{err: err}
	}
	return c
}

// unknown reports whether a key was met that the domain does not know.
func (c *chunk) unknown() bool {
	for i := range c.items {
		if errors.Is(c.items[i].why, envelope.ErrUnknownKey) {
			return true
		}
	}
	return false
}

func (w *Sweeper) read(ctx context.Context, from position, size, workers int) (*chunk, error) {
	keys, err := w.keys(ctx)
	if err != nil {
		return nil, err
	}
	c := &chunk{table: from.table, end: from, sealing: keys.sealing, index: keys.index, epoch: keys.epoch}
	c.items = make([]item, 0, min(size, 2*defaultEntries))
	for more := true; more; {
		if more, err = w.extend(ctx, c, keys, size); err != nil {
			return nil, err
		}
	}
	c.dense = uint64(len(c.items))*4 >= c.scanned
	if err := w.make(ctx, c, keys, workers); err != nil {
		return nil, err
	}
	return c, nil
}

// sweepKeys are the opened keys that a chunk is made with.
type sweepKeys struct {
	epoch          uint64
	dom            *envelope.Domain
	system         *envelope.System
	keyID          uint32
	sealing, index uint32
}

func (w *Sweeper) keys(ctx context.Context) (k sweepKeys, err error) {
	if w.d.System() {
		if k.system, err = w.s.domains.System(ctx); err != nil {
			return k, keyError(err)
		}
		k.keyID = k.system.KeyID()
		k.sealing, k.index = k.system.Generation()
		return k, nil
	}
	in, err := w.s.catalog.Load().domainOf(w.d)
	if err != nil {
		return k, err
	}
	k.epoch = in.generation.epoch
	if k.dom, err = w.s.domains.Open(ctx, w.d.UID); err != nil {
		return k, keyError(err)
	}
	k.keyID = k.dom.KeyID()
	k.sealing, k.index = k.dom.Generation()
	return k, nil
}

// extend reads on in one view, and reports whether the chunk can take more.
func (w *Sweeper) extend(ctx context.Context, c *chunk, keys sweepKeys, size int) (more bool, err error) {
	v := &sweepView{w: w, c: c, keys: keys, size: size, until: time.Now().Add(viewTime)}
	had, at, scanned, bytes := len(c.items), c.end, c.scanned, c.bytes
	err = w.s.engine.View(ctx, func(tx kv.ReadTx) error {
		c.items, c.end, c.scanned, c.bytes = c.items[:had], at, scanned, bytes
		v.tx = tx
		v.read()
		return nil
	})
	if err != nil {
		return false, err
	}
	if !v.complete {
		return len(c.items) < size && c.scanned < maxScanned && c.bytes < maxChunkBytes, nil
	}
	c.end = w.nextTable(c.table)
	if len(c.items) == 0 && !c.end.done() {
		c.table = c.end.table
		return c.scanned < maxScanned, nil
	}
	return false, nil
}

// arena is room for copies of small values, so that each is not an allocation
// of its own.
type arena []byte

const arenaSize = 64 << 10

func (a *arena) clone(b []byte) []byte {
	if cap(*a)-len(*a) < len(b) {
		*a = make([]byte, 0, max(arenaSize, len(b)))
	}
	start := len(*a)
	*a = append(*a, b...)
	return (*a)[start:len(*a):len(*a)]
}

// sweepView is one view of a sweep.
type sweepView struct {
	w        *Sweeper
	c        *chunk
	keys     sweepKeys
	tx       kv.ReadTx
	size     int
	until    time.Time
	taken    int
	scanned  int
	bytes    int
	space    arena
	complete bool // the table has come to its end
}

func (v *sweepView) read() {
	if v.c.table == sweepsControl {
		v.complete = v.scan(kv.Control, v.c.end.key, nil, v.control)
		return
	}
	for _, coll := range v.w.s.catalog.Load().collectionsOf(v.w.d.UID) {
		from, ok := v.c.end.from(coll)
		if !ok {
			continue
		}
		first := len(v.c.items)
		if v.c.table == sweepsTokens {
			ok = v.scan(kv.Tokens, from, after(coll[:]), v.token)
		} else {
			ok = v.scan(kv.DEKs, from, after(coll[:]), v.dek)
			ok = v.headers(first) && ok
		}
		if !ok {
			return
		}
		v.c.end.key = append(bytes.Clone(coll[:]), 0xff) // behind every key of it
	}
	v.complete = true
}

// scan goes through a range and hands each value to want, which takes what is
// to be moved. It reports whether it has come to the end of the range.
func (v *sweepView) scan(t kv.Table, from, to []byte, want func(key, value []byte) bool) bool {
	whole := true
	var last []byte
	v.tx.Scan(t, from, to, func(key, value []byte) bool {
		v.c.scanned++
		v.scanned++
		if want(key, value) {
			v.c.items = append(v.c.items, item{key: v.space.clone(key), old: v.space.clone(value)})
			v.taken++
		}
		last = key
		whole = !v.full()
		return whole
	})
	if !whole {
		v.c.end.key = bytes.Clone(last)
	}
	return whole
}

func (v *sweepView) full() bool {
	return v.taken >= viewItems || len(v.c.items) >= v.size || v.scanned >= viewScanned ||
		v.scanned%128 == 0 && !time.Now().Before(v.until)
}

// dek wants wrapped DEKs that are not under the primary key.
func (v *sweepView) dek(_, value []byte) bool {
	id, err := envelope.KeyIDOf(value)
	return err != nil || id != v.keys.keyID || v.w.all
}

// control wants control values that are not under the primary key.
func (v *sweepView) control(_, value []byte) bool {
	stored, err := decodeControlValue(value)
	if err != nil {
		return true
	}
	return v.dek(nil, stored.sealed)
}

// headers reads the headers of the revisions whose wrapped DEKs were taken, from
// the item first on: side by side where there are many, else one by one. When
// there are too many bytes of them, the items that it has not come to are left
// for another view, and it reports false.
func (v *sweepView) headers(first int) bool {
	items := v.c.items[first:]
	read := len(items)
	switch {
	case read == 0:
	case read*4 < v.scanned:
		read = v.headersByKey(items)
	default:
		read = v.headersInOrder(items)
	}
	if read == len(items) {
		return true
	}
	v.c.scanned -= uint64(len(items) - read)
	v.c.items = v.c.items[:first+read]
	v.c.end.key = items[read-1].key
	return false
}

// headersByKey and headersInOrder return how many items they have come to.
func (v *sweepView) headersByKey(items []item) int {
	for i := range items {
		if v.header(&items[i], v.tx.Get(kv.Revisions, items[i].key)); v.bytes >= viewBytes {
			return i + 1
		}
	}
	return len(items)
}

func (v *sweepView) headersInOrder(items []item) int {
	i := 0
	v.tx.Scan(kv.Revisions, items[0].key, nil, func(key, value []byte) bool {
		for i < len(items) && bytes.Compare(items[i].key, key) < 0 {
			v.header(&items[i], nil)
			i++
		}
		if i < len(items) && bytes.Equal(items[i].key, key) {
			v.header(&items[i], value)
			i++
		}
		return i < len(items) && v.bytes < viewBytes
	})
	for ; i < len(items) && v.bytes < viewBytes; i++ {
		v.header(&items[i], nil)
	}
	return i
}

// header takes from a revision what is needed to move its DEK: the digest of
// its header, or all of it when it is sealed anew.
func (v *sweepView) header(it *item, value []byte) {
	if value == nil {
		it.why = damaged("revision", errMissing)
		return
	}
	raw, ok := rawHeaderOf(value)
	if !ok {
		it.why = damaged("revision", errLayout)
		return
	}
	if v.w.o.Reseal {
		it.value = v.space.clone(value)
		v.bytes += len(value)
		v.c.bytes += len(value)
		return
	}
	it.digest = sha256.Sum256(raw)
}

// rawHeaderOf returns the header of a stored revision without looking at
// the fields.
func rawHeaderOf(value []byte) ([]byte, bool) {
	r := reader{b: value}
	format := r.u8()
	header := r.take(int(r.u32()))
	return header, format == revisionFormat && !r.bad
}

// make makes what takes the place of the items, on several goroutines.
func (w *Sweeper) make(ctx context.Context, c *chunk, keys sweepKeys, workers int) error {
	ranges := max(1, min(workers, len(c.items)/64))
	errs := make([]error, ranges)
	var wait sync.WaitGroup
	for n := range ranges {
		items := c.items[n*len(c.items)/ranges : (n+1)*len(c.items)/ranges]
		work := func() { errs[n] = w.remake(ctx, c.table, keys, items) }
		if n == ranges-1 {
			work()
		} else {
			wait.Go(work)
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (w *Sweeper) remake(ctx context.Context, table byte, keys sweepKeys, items []item) error {
	switch {
	case table == sweepsTokens:
		return w.retokenAll(ctx, keys, items)
	case table == sweepsControl:
		resealControl(keys.system, items)
	case w.o.Reseal:
		w.resealAll(keys.dom, items)
	default:
		w.rewrapAll(keys.dom, items)
	}
	return nil
}

// wrappedSize is room for one wrapped DEK.
const wrappedSize = 80

// rewrapAll brings wrapped DEKs under the primary key. They share one
// allocation.
func (w *Sweeper) rewrapAll(dom *envelope.Domain, items []item) {
	arena := make([]byte, 0, len(items)*wrappedSize)
	for i := range items {
		it := &items[i]
		if it.why != nil {
			continue
		}
		id, ok := w.identity(it.key)
		if !ok {
			it.why = damaged("wrapped key", errLayout)
			continue
		}
		start := len(arena)
		next, err := dom.RewrapDigest(id, it.digest, it.old, arena)
		if err != nil {
			it.why = err
			continue
		}
		arena = next
		it.fresh = arena[start:len(arena):len(arena)]
	}
}

// identity returns what the values of a revision are bound to.
func (w *Sweeper) identity(key []byte) (envelope.Identity, bool) {
	c, record, number, ok := splitRevisionKey(key)
	return envelope.Identity{Store: w.s.id, Integration: w.d.UID, Collection: c, Record: record, Revision: number}, ok
}

// resealAll seals revisions anew, under fresh DEKs.
func (w *Sweeper) resealAll(dom *envelope.Domain, items []item) {
	for i := range items {
		it := &items[i]
		if it.why == nil {
			it.why = w.reseal(dom, it)
		}
	}
}

func (w *Sweeper) reseal(dom *envelope.Domain, it *item) error {
	id, ok := w.identity(it.key)
	if !ok {
		return damaged("wrapped key", errLayout)
	}
	rev, err := decodeRevision(it.value, nil)
	if err != nil {
		return damaged("revision", err)
	}
	fields := make([]envelope.SealedField, len(rev.sealed))
	for i, path := range rev.header.fields {
		fields[i] = envelope.SealedField{Path: path, Text: rev.sealed[i]}
	}
	sealed, err := dom.Reseal(id, rev.rawHeader, it.old, fields)
	if err != nil {
		return err
	}
	it.fresh, it.value = sealed.DEK, encodeRevision(rev.rawHeader, sealed.Fields)
	return nil
}

// resealControl brings control values under the primary key of the system. Their
// versions stay: nobody has changed them.
func resealControl(system *envelope.System, items []item) {
	for i := range items {
		it := &items[i]
		kind, id, _ := bytes.Cut(it.key, []byte{0})
		v, err := decodeControlValue(it.old)
		if err == nil {
			v.sealed, err = system.Reseal(string(kind), string(id), v.version, v.sealed)
		}
		if err != nil {
			it.why = err
			continue
		}
		it.fresh = v.encode()
	}
}

// placeOf names a value for people, by its key in a table.
func placeOf(cat *catalog, table byte, key []byte) string {
	if table == sweepsControl {
		kind, id, _ := bytes.Cut(key, []byte{0})
		return string(kind) + "/" + string(id)
	}
	if c, id, revision, ok := splitRevisionKey(key); ok && table == sweepsDEKs {
		return fmt.Sprintf("%s/%s revision %d", cat.nameOf(c), id, revision)
	}
	var c uid.UID
	n := copy(c[:], key)
	return cat.nameOf(c) + "/" + string(key[n:])
}
