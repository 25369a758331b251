package limits

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const (
	shardCount = 16
	candidates = 8 // entries looked at for one to give way
)

// seed keeps callers from choosing who shares a shard with whom.
var seed = maphash.MakeSeed()

// key tells who is counted: a client's uid, an address, a hash of a name.
type key [16]byte

// table counts for keys, each with the same windows. It holds so many at most:
// when it is full, of a few entries the least used gives way, but never one that
// is exhausted or has requests under way. A newcomer that finds no place shares
// a counter with all others that found none: a flood of keys ends in being
// counted as one.
type table struct {
	id      uint64 // tables are locked in the order of their ids
	slices  []int64
	entries int // of a shard, at most
	shards  [shardCount]shard
}

type shard struct {
	mu       sync.Mutex
	index    map[key]int32
	entries  []entry // the first is the one that is shared
	counters []counter
	hand     int32
}

type entry struct {
	key      key
	label    string // who it is, for people; empty for an address
	underWay int32
}

var tableIDs atomic.Uint64

func newTable(capacity int, slices []int64) *table {
	return &table{id: tableIDs.Add(1), slices: slices, entries: max(2, capacity/shardCount+1)}
}

func shardOf(k key) uint8 {
	return uint8(maphash.Bytes(seed, k[:]) & (shardCount - 1))
}

// counters returns those of an entry.
func (t *table) counters(s *shard, i int32) []counter {
	n := len(t.slices)
	return s.counters[int(i)*n : int(i+1)*n]
}

// find returns the entry of a key, made if need be. The caller holds the
// shard's lock.
func (t *table) find(s *shard, k key, label string, now int64, full func([]counter) float64) int32 {
	if i, ok := s.index[k]; ok {
		return i
	}
	if s.index == nil {
		s.index = make(map[key]int32)
		t.grow(s)
	}
	i := int32(len(s.entries))
	if int(i) < t.entries {
		t.grow(s)
	} else if i = t.giveWay(s, now, full); i == 0 {
		return 0
	}
	s.entries[i] = entry{key: k, label: label}
	clear(t.counters(s, i))
	s.index[k] = i
	return i
}

func (t *table) grow(s *shard) {
	if len(s.entries) == cap(s.entries) { // never beyond what may be needed
		room := min(t.entries, max(8, 2*len(s.entries)))
		s.entries = append(make([]entry, 0, room), s.entries...)
		s.counters = append(make([]counter, 0, room*len(t.slices)), s.counters...)
	}
	s.entries = append(s.entries, entry{})
	s.counters = append(s.counters, make([]counter, len(t.slices))...)
}

// giveWay frees the least used of a few entries; 0 when all must stay.
func (t *table) giveWay(s *shard, now int64, full func([]counter) float64) int32 {
	victim, least := int32(0), 1.0
	for range candidates {
		if s.hand++; int(s.hand) >= len(s.entries) {
			s.hand = 1
		}
		if s.entries[s.hand].underWay > 0 {
			continue
		}
		cs := t.counters(s, s.hand)
		t.advance(cs, now)
		if f := full(cs); f < least {
			victim, least = s.hand, f
		}
		if least == 0 {
			break
		}
	}
	if victim != 0 {
		delete(s.index, s.entries[victim].key)
	}
	return victim
}

func (t *table) advance(cs []counter, now int64) {
	for i := range cs {
		cs[i].advance(now / t.slices[i])
	}
}

// size returns how many entries there are.
func (t *table) size() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}
