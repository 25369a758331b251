package limits

import "sync"

// shelf remembers something of many keys, and of so many at most. When it is
// full, of a few the one that weighs least gives way; one that weighs 1 or more
// stays, and the newcomer is not remembered.
type shelf[V any] struct {
	room   int // of a shard
	weigh  func(v *V, now int64) float64
	shards [shardCount]shelfShard[V]
}

type shelfShard[V any] struct {
	mu    sync.Mutex
	index map[key]int32
	keys  []key
	items []V
	hand  int
}

func newShelf[V any](capacity int, weigh func(*V, int64) float64) *shelf[V] {
	return &shelf[V]{room: max(1, capacity/shardCount), weigh: weigh}
}

// with runs fn on what is remembered of a key. When that is nothing, a new one
// is made if make says so and there is room; else fn is not run.
func (s *shelf[V]) with(k key, make bool, now int64, fn func(*V)) {
	sh := &s.shards[shardOf(k)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, ok := sh.index[k]
	if !ok {
		if !make {
			return
		}
		if i = s.place(sh, k, now); i < 0 {
			return
		}
	}
	fn(&sh.items[i])
}

func (s *shelf[V]) place(sh *shelfShard[V], k key, now int64) int32 {
	if sh.index == nil {
		sh.index = map[key]int32{}
	}
	i := int32(len(sh.items))
	if len(sh.items) < s.room {
		if len(sh.items) == cap(sh.items) { // never beyond what may be needed
			room := min(s.room, max(8, 2*len(sh.items)))
			sh.items = append(make([]V, 0, room), sh.items...)
			sh.keys = append(make([]key, 0, room), sh.keys...)
		}
		var none V
		sh.items, sh.keys = append(sh.items, none), append(sh.keys, k)
	} else if i = s.giveWay(sh, now); i < 0 {
		return i
	}
	sh.keys[i] = k
	sh.index[k] = i
	return i
}

func (s *shelf[V]) giveWay(sh *shelfShard[V], now int64) int32 {
	victim, light := int32(-1), 1.0
	for range candidates {
		sh.hand = (sh.hand + 1) % len(sh.items)
		if w := s.weigh(&sh.items[sh.hand], now); w < light {
			victim, light = int32(sh.hand), w
		}
	}
	if victim >= 0 {
		var none V
		delete(sh.index, sh.keys[victim])
		sh.items[victim] = none
	}
	return victim
}

// each runs fn on everything that is remembered.
func (s *shelf[V]) each(fn func(key, *V)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for j := range sh.items {
			fn(sh.keys[j], &sh.items[j])
		}
		sh.mu.Unlock()
	}
}
