package limits

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// What of the counts is kept over a restart: windows of savedFrom and more, of
// who has used a hundredth or more of one. A restart within a shorter window
// frees it, which takes no longer than the window itself would.
const (
	savedFrom    = 10 * time.Minute
	savedEntries = 4096 // of a limit
	savedMembers = 8192 // of a client's budget: a set of more is kept by a sample
	savedWords   = 256 << 10
)

// Saved is what is kept of the counts of one limit.
type Saved struct {
	Counters []SavedCounter `json:"counters,omitempty"`
	Spent    []SavedSpent   `json:"spent,omitempty"`
}

// SavedCounter is one window of one counter.
type SavedCounter struct {
	What   string   `json:"what"`
	Window Span     `json:"window"`
	Key    []byte   `json:"key"` // of a client or address; a role goes by its name
	Who    string   `json:"who,omitempty"`
	Head   int64    `json:"head"`
	Count  []uint32 `json:"count"`
}

// SavedSpent is what a client has spent of a budget.
type SavedSpent struct {
	What   string   `json:"what"`
	Window Span     `json:"window"`
	UID    []byte   `json:"uid"`
	Client string   `json:"client"`
	Shift  uint8    `json:"shift"`
	Head   int64    `json:"head"`
	Words  []uint64 `json:"words"`
}

// Save returns what is to be kept of every limit that has counted something in
// a long window, by its name, and the secret that the members of budgets are
// hashed under.
func (l *Limiter) Save() (saved map[string]Saved, secret []byte) {
	saved = map[string]Saved{}
	now := l.now().UnixNano()
	rules := l.rules.Load()
	for name, r := range rules.all {
		if list := r.save(now); len(list) > 0 {
			saved[name] = Saved{Counters: list}
		}
	}
	for _, b := range rules.budgets {
		if time.Duration(b.window.Window) >= savedFrom {
			if list := l.exposure.sheetOf(b).save(b, now); len(list) > 0 {
				s := saved[b.limit]
				s.Spent = append(s.Spent, list...)
				saved[b.limit] = s
			}
		}
	}
	return saved, l.exposure.key()
}

func (r *rule) save(now int64) (list []SavedCounter) {
	if !slices.ContainsFunc(r.meters, func(m meter) bool { return time.Duration(m.span) >= savedFrom }) {
		return nil
	}
	defer func() { // in one order: what has not changed need not be saved again
		slices.SortStableFunc(list, func(a, b SavedCounter) int { return bytes.Compare(a.Key, b.Key) })
	}()
	for i := range r.table.shards {
		r.table.eachUsed(uint8(i), now, func(e *entry, cs []counter) {
			for j := range cs {
				m := &r.meters[j]
				if time.Duration(m.span) >= savedFrom && cs[j].used()*100 >= m.limit && len(list) < savedEntries {
					list = append(list, SavedCounter{unitNames[m.unit], m.span, slices.Clone(e.key[:]), e.label, cs[j].head, slices.Clone(cs[j].count[:])})
				}
			}
		})
	}
	return list
}

func (s *sheet) save(b *budget, now int64) (list []SavedSpent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, sp := range s.clients {
		if sp.set.advance(now / b.slice); sp.set.count() > 0 {
			shift, words := sp.set.sample(savedMembers)
			list = append(list, SavedSpent{b.what(), b.window.Window, slices.Clone(id[:]), sp.name, shift, sp.set.head, words})
		}
	}
	slices.SortFunc(list, func(a, b SavedSpent) int {
		return cmp.Or(cmp.Compare(len(b.Words)<<b.Shift, len(a.Words)<<a.Shift), bytes.Compare(a.UID, b.UID))
	})
	room := savedWords
	for i := range list {
		if room -= len(list[i].Words); room < 0 {
			return list[:i]
		}
	}
	return list
}

// sample returns the live members, or one in 1<<shift of them so that there are
// no more than most.
func (d *distinct) sample(most uint64) (shift uint8, words []uint64) {
	for shift = d.shift; d.count()>>shift > most; shift++ {
	}
	keep := distinct{shift: shift}
	for _, w := range d.words {
		if w != 0 && d.fresh(w) && keep.kept(w) {
			words = append(words, w)
		}
	}
	return shift, words
}

// Restore takes back what Save returned, before anything is counted. What does
// not fit the definitions as they are now is left out.
func (l *Limiter) Restore(saved map[string]Saved, secret []byte) {
	if len(secret) == len(l.exposure.secret) {
		l.exposure.once.Do(func() { copy(l.exposure.secret[:], secret) })
	}
	now := l.now().UnixNano()
	rules := l.rules.Load()
	for name, s := range saved {
		if r := rules.all[name]; r != nil {
			for i := range s.Counters {
				r.restore(&s.Counters[i], now)
			}
		}
	}
	for _, b := range rules.budgets {
		for _, sp := range saved[b.limit].Spent {
			if sp.What == b.what() && sp.Window == b.window.Window && len(sp.UID) == 16 {
				l.exposure.restore(b, &sp)
			}
		}
	}
}

func (r *rule) restore(s *SavedCounter, now int64) {
	k := nameKey(s.Who)
	if r.def.Per != PerRole {
		copy(k[:], s.Key)
	}
	j := slices.IndexFunc(r.meters, func(m meter) bool { return unitNames[m.unit] == s.What && m.span == s.Window })
	if j < 0 || len(s.Key) != len(k) || len(s.Count) != slots || s.Head > now/r.meters[j].slice {
		return
	}
	sh := &r.table.shards[shardOf(k)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := r.table.find(sh, k, s.Who, now, r.full)
	c := &r.table.counters(sh, i)[j]
	c.head = s.Head
	copy(c.count[:], s.Count)
}

func (e *exposures) restore(b *budget, s *SavedSpent) {
	sheet := e.sheetOf(b)
	sheet.mu.Lock()
	defer sheet.mu.Unlock()
	set := newDistinct(b.window.Limit, &e.pool)
	set.shift = max(set.shift, s.Shift)
	slices.SortFunc(s.Words, func(a, b uint64) int { // the oldest first: time goes on in a set
		return cmp.Compare(uint8(uint64(s.Head)-b), uint8(uint64(s.Head)-a))
	})
	for _, w := range s.Words {
		set.head = s.Head - int64(uint8(uint64(s.Head)-w)) // the slice that it was seen in
		set.add(w)
	}
	set.advance(s.Head)
	sheet.clients[[16]byte(s.UID)] = &spent{name: s.Client, set: set}
}
