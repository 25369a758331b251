package limits

import (
	"cmp"
	"slices"
	"time"
)

// usesShown is how many of those who are counted a limit shows, the most used
// first.
const usesShown = 100

// Use is what a limit has counted.
type Use struct {
	Counted  int     `json:"counted"` // how many have a counter now
	Refused  uint64  `json:"refused"` // requests, since the server started
	Most     []Count `json:"most_used"`
	Exposure []Spent `json:"exposure,omitempty"`
}

// Count is one counter.
type Count struct {
	Who      string  `json:"who"`
	UnderWay int     `json:"under_way"`
	Windows  []State `json:"windows,omitempty"`
}

// State is one window of a counter.
type State struct {
	What    string `json:"what"` // requests, request-bytes, response-bytes, records or fields
	Window  Span   `json:"window"`
	Limit   uint64 `json:"limit"`
	Used    uint64 `json:"used"`
	ResetIn int    `json:"reset_in"` // seconds until the first of it comes back; 0: nothing is used
}

// Spent is what a client has spent of one budget of exposure.
type Spent struct {
	Client string `json:"client"`
	State
}

// Use returns what a limit has counted; nothing for one that is not defined.
func (l *Limiter) Use(name string) (u Use) {
	rules := l.rules.Load()
	r := rules.all[name]
	u.Most = []Count{}
	if r == nil {
		return u
	}
	now := l.now().UnixNano()
	u.Refused, u.Counted = r.refused.Load(), r.table.size()
	u.Most = append(u.Most, r.mostUsed(now)...)
	for _, b := range rules.budgets {
		if b.limit == name {
			u.Refused += b.refused.Load()
			u.Exposure = append(u.Exposure, l.exposure.sheetOf(b).spents(b, now)...)
		}
	}
	slices.SortStableFunc(u.Exposure, func(a, b Spent) int { return cmp.Compare(b.Used, a.Used) })
	u.Exposure = u.Exposure[:min(len(u.Exposure), usesShown)]
	return u
}

// ranked is an entry by how far it is used.
type ranked struct {
	count Count
	rank  float64
}

func (r *rule) mostUsed(now int64) (list []Count) {
	var all []ranked
	for i := range r.table.shards {
		r.table.eachUsed(uint8(i), now, func(e *entry, cs []counter) {
			all = append(all, ranked{r.count(e, cs, now), r.full(cs) + float64(e.underWay)/float64(max(1, r.concurrency))})
		})
		slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(b.rank, a.rank) })
		all = all[:min(len(all), usesShown)]
	}
	for _, a := range all {
		list = append(list, a.count)
	}
	return list
}

// eachUsed runs fn on the entries of a shard that count something.
func (t *table) eachUsed(shard uint8, now int64, fn func(*entry, []counter)) {
	s := &t.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.index {
		cs := t.counters(s, i)
		t.advance(cs, now)
		if s.entries[i].underWay > 0 || slices.ContainsFunc(cs, func(c counter) bool { return c.used() > 0 }) {
			fn(&s.entries[i], cs)
		}
	}
}

func (r *rule) count(e *entry, cs []counter, now int64) Count {
	c := Count{Who: e.label, UnderWay: int(e.underWay)}
	if r.def.Per == PerAddress {
		c.Who = addressText(e.key)
	}
	for i := range cs {
		m := &r.meters[i]
		st := State{What: unitNames[m.unit], Window: m.span, Limit: m.told(m.limit), Used: m.told(cs[i].used())}
		if st.Used > 0 {
			st.ResetIn = seconds(time.Duration(cs[i].oldestLeaves(m.slice, now) - now))
		}
		c.Windows = append(c.Windows, st)
	}
	return c
}

func (s *sheet) spents(b *budget, now int64) (list []Spent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.clients {
		sp.set.advance(now / b.slice)
		if used := sp.set.count(); used > 0 {
			list = append(list, Spent{sp.name, State{What: b.what(), Window: b.window.Window, Limit: b.window.Limit, Used: used,
				ResetIn: seconds(time.Duration(sp.set.oldestLeaves(b.slice, now) - now))}})
		}
	}
	return list
}
