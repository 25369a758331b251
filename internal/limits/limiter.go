package limits

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The refusals. A *Refusal is one of them.
var (
	// ErrRate comes when a window of a limit has no room for the request.
	ErrRate = errors.New("a rate limit is used up")
	// ErrConcurrency comes when as many requests are under way as a limit allows.
	ErrConcurrency = errors.New("too many requests are under way")
	// ErrExposure comes when a budget of records or fields is used up.
	ErrExposure = errors.New("the budget of records and fields that may be read is used up")
	// ErrFailures comes after too many failed authentications.
	ErrFailures = errors.New("too many authentications failed")
	// ErrOverload comes when the server has more to do than it can.
	ErrOverload = errors.New("the server is overloaded")
)

// Refusal is an error that says which limit refused, and when to come again.
type Refusal struct {
	Is    error
	Limit string        // the name of the limit; empty when none was written
	Wait  time.Duration // 0: not known
}

// Error is the sentence of what it is.
func (r *Refusal) Error() string { return r.Is.Error() }

// Unwrap returns which refusal it is.
func (r *Refusal) Unwrap() error { return r.Is }

// RetryAfter is the wait in whole seconds, rounded up.
func (r *Refusal) RetryAfter() int { return seconds(r.Wait) }

// Request is what a limiter has to know of a request.
type Request struct {
	Group     Group
	Route     string // the template
	Address   netip.Addr
	Bytes     int64 // of the body; -1 when it is not known yet
	Client    string
	ClientUID [16]byte
	Roles     []string
}

// Ticket is what a request was charged for. It is made by the Admit methods and
// given back by Finish; its memory can be used again.
type Ticket struct {
	claims    []claim
	unpaid    bool // the body's bytes are not known before the end
	refusedBy *rule
	tight     *meter
	left      uint64
	resetIn   time.Duration
}

type claim struct {
	rule  *rule
	key   key
	label string
	shard uint8
	index int32
}

func (c *claim) entry() *entry { return &c.rule.table.shards[c.shard].entries[c.index] }

func (c *claim) lockOf() *sync.Mutex { return &c.rule.table.shards[c.shard].mu }

// Limiter counts by the definitions that it was given. It is safe for concurrent
// use.
type Limiter struct {
	now   func() time.Time
	rules atomic.Pointer[ruleset]

	defining sync.Mutex
	exposure exposures
}

// ruleset is what definitions compile to. It is never changed.
type ruleset struct {
	byAddress, byClient, byConnection []*rule // in the order of their tables
	all                               map[string]*rule
	budgets                           []*budget
	policies                          policies
}

// New returns a limiter with the default limits.
func New(now func() time.Time) *Limiter {
	l := &Limiter{now: now}
	l.rules.Store(&ruleset{})
	l.Define(nil)
	return l
}

// Define puts definitions in force, by name, beside the defaults that none of
// them replaces. A limit that counts the same as before goes on from its counts.
func (l *Limiter) Define(defs map[string]*Definition) {
	l.defining.Lock()
	defer l.defining.Unlock()
	tables := map[string]*table{}
	old := l.rules.Load()
	for _, r := range old.all {
		tables[r.shape()] = r.table
	}
	next := &ruleset{all: map[string]*rule{}}
	for name, d := range withDefaults(defs) {
		next.add(name, d, tables, old)
	}
	byTable := func(a, b *rule) int { return int(a.table.id) - int(b.table.id) }
	slices.SortFunc(next.byAddress, byTable)
	slices.SortFunc(next.byClient, byTable)
	slices.SortFunc(next.byConnection, byTable)
	slices.SortFunc(next.budgets, func(a, b *budget) int { return strings.Compare(a.limit, b.limit) })
	l.rules.Store(next)
}

func (s *ruleset) add(name string, d *Definition, tables map[string]*table, old *ruleset) {
	r := compile(name, d)
	if r.table = tables[r.shape()]; r.table == nil {
		r.table = r.newTable()
	}
	if before := old.all[name]; before != nil {
		r.refused.Store(before.refused.Load())
	}
	r.set, r.number = s, uint(len(s.all))
	s.all[name] = r
	switch {
	case d.Disabled:
		return
	case len(r.meters) == 0 && d.Concurrency == 0:
	case r.groups == GroupConnection:
		s.byConnection = append(s.byConnection, r)
	case d.Per == PerAddress:
		s.byAddress = append(s.byAddress, r)
	default:
		s.byClient = append(s.byClient, r)
	}
	if d.Exposure != nil {
		s.budgets = append(s.budgets, newBudgets(name, d)...)
	}
}

// AdmitAddress charges a request to the limits per address, or refuses it with a
// *Refusal. It comes before the caller is known.
func (l *Limiter) AdmitAddress(t *Ticket, q *Request) error {
	return l.admit(t, q, l.rules.Load().byAddress)
}

// AdmitClient charges a request to the limits per client and role and in total,
// or refuses it with a *Refusal: then none of them was charged.
func (l *Limiter) AdmitClient(t *Ticket, q *Request) error {
	return l.admit(t, q, l.rules.Load().byClient)
}

// AdmitConnection charges a connection that is being opened.
func (l *Limiter) AdmitConnection(t *Ticket, from netip.Addr) error {
	return l.admit(t, &Request{Group: GroupConnection, Address: from}, l.rules.Load().byConnection)
}

func (l *Limiter) admit(t *Ticket, q *Request, rules []*rule) error {
	from := len(t.claims)
	for _, r := range rules {
		t.claims = r.appendClaims(t.claims, q)
	}
	mine := t.claims[from:]
	if len(mine) == 0 {
		return nil
	}
	t.unpaid = q.Bytes < 0
	lock(mine)
	refusal := l.charge(t, mine, q)
	unlock(mine)
	if refusal != nil {
		t.claims = t.claims[:from]
		return refusal
	}
	return nil
}

// lock takes the shards of claims in one order: by table, then by number. Rules
// come by table already.
func lock(claims []claim) {
	for i := 1; i < len(claims); i++ {
		for j := i; j > 0 && claims[j].rule == claims[j-1].rule && claims[j].shard < claims[j-1].shard; j-- {
			claims[j], claims[j-1] = claims[j-1], claims[j]
		}
	}
	for i := range claims {
		if i == 0 || claims[i].lockOf() != claims[i-1].lockOf() {
			claims[i].lockOf().Lock()
		}
	}
}

func unlock(claims []claim) {
	for i := range claims {
		if i == 0 || claims[i].lockOf() != claims[i-1].lockOf() {
			claims[i].lockOf().Unlock()
		}
	}
}

// charge checks every window of every claim and then charges all, or none.
func (l *Limiter) charge(t *Ticket, claims []claim, q *Request) error {
	now := l.now().UnixNano()
	var refused *Refusal
	for i := range claims {
		if r := claims[i].check(t, q, now); r != nil && (refused == nil || r.Wait > refused.Wait) {
			refused = r
		}
	}
	if refused != nil {
		for i := range claims {
			claims[i].entry().underWay--
		}
		return refused
	}
	for i := range claims {
		c := &claims[i]
		s := &c.rule.table.shards[c.shard]
		cs := c.rule.table.counters(s, c.index)
		for j := range cs {
			cs[j].add(c.rule.meters[j].cost(q))
		}
	}
	return nil
}

// cost is what a request is charged in advance.
func (m *meter) cost(q *Request) uint64 {
	switch m.unit {
	case requests:
		return 1
	case requestBytes:
		return inUnits(uint64(max(0, q.Bytes)))
	}
	return 0
}

// check looks whether a claim has room in all its windows, and notes the
// tightest of them in the ticket. The caller holds the shard's lock.
func (c *claim) check(t *Ticket, q *Request, now int64) (refused *Refusal) {
	r := c.rule
	s := &r.table.shards[c.shard]
	c.index = r.table.find(s, c.key, c.label, now, r.full)
	underWay := s.entries[c.index].underWay
	s.entries[c.index].underWay++ // it must not give way to the next claim
	if r.concurrency > 0 && uint64(underWay) >= r.concurrency {
		r.refused.Add(1)
		t.refusedBy = r
		return &Refusal{Is: ErrConcurrency, Limit: r.name, Wait: time.Second}
	}
	cs := r.table.counters(s, c.index)
	r.table.advance(cs, now)
	for i := range cs {
		m := &r.meters[i]
		used, cost := cs[i].used(), m.cost(q)
		if used+max(1, cost) > m.limit {
			wait := time.Duration(cs[i].freeAt(m.limit, max(1, cost), m.slice) - now)
			if refused == nil || wait > refused.Wait {
				refused = &Refusal{Is: ErrRate, Limit: r.name, Wait: wait}
			}
			t.refusedBy = r
			t.note(m, 0, wait)
			continue
		}
		if left := m.limit - used - cost; t.refusedBy == nil && (t.tight == nil || float64(left)*float64(t.tight.limit) < float64(t.left)*float64(m.limit)) {
			t.note(m, left, time.Duration(cs[i].oldestLeaves(m.slice, now+m.slice*slots)-now))
		}
	}
	if refused != nil {
		r.refused.Add(1)
	}
	return refused
}

func (t *Ticket) note(m *meter, left uint64, reset time.Duration) {
	t.tight, t.left, t.resetIn = m, left, reset
}

// Finish charges what is known only at the end, the bytes of the answer and of
// a body whose length was not told, and lets the next request in.
func (l *Limiter) Finish(t *Ticket, read, written int64) {
	now := int64(0)
	for i := range t.claims {
		c := &t.claims[i]
		s := &c.rule.table.shards[c.shard]
		s.mu.Lock()
		s.entries[c.index].underWay--
		cs := c.rule.table.counters(s, c.index)
		for j := range cs {
			n := int64(0)
			switch u := c.rule.meters[j].unit; {
			case u == responseBytes:
				n = written
			case u == requestBytes && t.unpaid:
				n = read
			}
			if n > 0 {
				if now == 0 {
					now = l.now().UnixNano()
				}
				cs[j].advance(now / c.rule.table.slices[j])
				cs[j].add(inUnits(uint64(n)))
			}
		}
		s.mu.Unlock()
	}
	clear(t.claims)
	*t = Ticket{claims: t.claims[:0]}
}
