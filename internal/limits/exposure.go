package limits

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MaxThrottle is how long a throttled read waits at most; what would wait longer
// is refused.
const MaxThrottle = 10 * time.Second

// Exposed is a record of which fields are about to be opened for a client.
type Exposed struct {
	Client     string
	ClientUID  [16]byte
	Roles      []string
	Collection [16]byte
	Record     string
	Fields     []string
}

// Verdict says how a record may be shown.
type Verdict struct {
	Masked bool          // redacted, and not opened
	Wait   time.Duration // before the answer leaves
	Err    error         // a *Refusal
}

// exposures are the sets of all clients and budgets.
type exposures struct {
	pool   atomic.Int64
	once   sync.Once
	secret [16]byte // under which members are hashed: who names records must not choose hashes

	mu    sync.Mutex
	sheet map[string]*sheet // by the shape of a budget
}

// sheet holds what each client has spent of a budget.
type sheet struct {
	mu      sync.Mutex
	clients map[[16]byte]*spent
}

type spent struct {
	name string
	set  *distinct
	next int64 // when a throttled read may go on, unix nanoseconds
}

// budget is a compiled window of exposure.
type budget struct {
	limit     string
	def       *Definition
	fields    bool
	window    Window
	slice     int64
	exhausted Exhausted
	refused   atomic.Uint64
}

func newBudgets(name string, d *Definition) (list []*budget) {
	for _, w := range d.Exposure.Records {
		list = append(list, &budget{limit: name, def: d, window: w, slice: sliceOf(w.Window), exhausted: d.Exposure.Exhausted})
	}
	for _, w := range d.Exposure.Fields {
		list = append(list, &budget{limit: name, def: d, fields: true, window: w, slice: sliceOf(w.Window), exhausted: d.Exposure.Exhausted})
	}
	return list
}

func (b *budget) what() string {
	if b.fields {
		return "fields"
	}
	return "records"
}

func (b *budget) shape() string { return fmt.Sprintf("%s %s %s", b.limit, b.what(), b.window.Window) }

func (b *budget) concerns(client string, roles []string) bool {
	if len(b.def.Clients) > 0 && !matchesAny(b.def.Clients, client) {
		return false
	}
	return len(b.def.Roles) == 0 || slices.ContainsFunc(roles, func(r string) bool { return matchesAny(b.def.Roles, r) })
}

// Bounded reports whether a budget bounds what is opened for a client.
func (l *Limiter) Bounded(client string, roles []string) bool {
	for _, b := range l.rules.Load().budgets {
		if b.concerns(client, roles) {
			return true
		}
	}
	return false
}

// Throttles reports whether a client may have to wait for its answers.
func (l *Limiter) Throttles(client string, roles []string) bool {
	for _, b := range l.rules.Load().budgets {
		if b.exhausted == Throttle && b.concerns(client, roles) {
			return true
		}
	}
	return false
}

// Claim charges a record that is about to be opened to every budget of its
// client, or to none of them. It charges before the fields are opened, so that
// requests at the same time don't all get the last of a budget. What the window
// has seen already is free.
func (l *Limiter) Claim(x *Exposed) Verdict {
	var room [8]claimed
	mine := room[:0]
	for _, b := range l.rules.Load().budgets {
		if b.concerns(x.Client, x.Roles) {
			mine = append(mine, claimed{budget: b, sheet: l.exposure.sheetOf(b)})
		}
	}
	if len(mine) == 0 {
		return Verdict{}
	}
	var keep [32]uint64
	record, fields := l.exposure.members(x, keep[:0])
	for i := range mine {
		mine[i].sheet.mu.Lock()
	}
	v := claimAll(mine, x, record, fields, l.now().UnixNano(), &l.exposure.pool)
	for i := range mine {
		mine[i].sheet.mu.Unlock()
	}
	return v
}

// claimed is a budget that a record is charged to.
type claimed struct {
	budget  *budget
	sheet   *sheet
	spent   *spent
	members []uint64
	over    bool
}

func claimAll(mine []claimed, x *Exposed, record, fields []uint64, now int64, pool *atomic.Int64) (v Verdict) {
	for i := range mine {
		c := &mine[i]
		if c.members = record; c.budget.fields {
			c.members = fields
		}
		c.spent = c.sheet.spent(x, c.budget, pool)
		c.spent.set.advance(now / c.budget.slice)
		if c.over = c.budget.over(c.spent.set, c.members); c.over {
			v = worse(v, c.verdict(now))
		}
	}
	if v.Err != nil || v.Masked {
		return v
	}
	for i := range mine {
		mine[i].charge(now)
	}
	return v
}

func (s *sheet) spent(x *Exposed, b *budget, pool *atomic.Int64) *spent {
	sp := s.clients[x.ClientUID]
	if sp == nil {
		sp = &spent{name: x.Client, set: newDistinct(b.window.Limit, pool)}
		s.clients[x.ClientUID] = sp
	}
	return sp
}

// over reports whether members that are new to the window go beyond the budget.
func (b *budget) over(set *distinct, members []uint64) bool {
	fresh := uint64(0)
	for _, h := range members {
		if !set.has(h) {
			fresh++
		}
	}
	return fresh > 0 && set.count()+fresh > b.window.Limit
}

func (c *claimed) verdict(now int64) Verdict {
	c.budget.refused.Add(1)
	switch c.budget.exhausted {
	case Mask:
		return Verdict{Masked: true}
	case Throttle:
		wait := time.Duration(max(0, c.spent.next-now))
		if wait <= MaxThrottle {
			return Verdict{Wait: wait}
		}
		return Verdict{Err: &Refusal{Is: ErrExposure, Limit: c.budget.limit, Wait: wait - MaxThrottle}}
	}
	return Verdict{Err: &Refusal{Is: ErrExposure, Limit: c.budget.limit, Wait: time.Duration(c.spent.set.oldestLeaves(c.budget.slice, now) - now)}}
}

// worse puts two verdicts together: a refusal before a mask before a wait, and
// the longer wait.
func worse(a, b Verdict) Verdict {
	var ra, rb *Refusal
	ra, _ = a.Err.(*Refusal)
	rb, _ = b.Err.(*Refusal)
	switch {
	case ra != nil && rb != nil && ra.Wait >= rb.Wait, rb == nil && ra != nil:
		return a
	case rb != nil:
		return b
	}
	return Verdict{Masked: a.Masked || b.Masked, Wait: max(a.Wait, b.Wait)}
}

func (c *claimed) charge(now int64) {
	for _, h := range c.members {
		c.spent.set.add(h)
	}
	if c.over { // throttled: the next may come when the window, spread evenly, grants one more
		pace := int64(c.budget.window.Window) / int64(c.budget.window.Limit)
		c.spent.next = max(now, c.spent.next) + pace*int64(max(1, len(c.members)))
	}
}

// oldestLeaves returns when the first members leave the window.
func (d *distinct) oldestLeaves(slice, now int64) int64 {
	for s := d.head - slots + 1; s <= d.head; s++ {
		if d.live[s&(slots-1)] > 0 {
			return (s + slots) * slice
		}
	}
	return now
}

// sheetOf returns the sheet of a budget, which outlives a change of its limit.
func (e *exposures) sheetOf(b *budget) *sheet {
	e.mu.Lock()
	defer e.mu.Unlock()
	shape := b.shape()
	s := e.sheet[shape]
	if s == nil {
		if e.sheet == nil {
			e.sheet = map[string]*sheet{}
		}
		s = &sheet{clients: map[[16]byte]*spent{}}
		e.sheet[shape] = s
	}
	return s
}

// members hashes a record, and each of its fields.
func (e *exposures) members(x *Exposed, keep []uint64) (record, fields []uint64) {
	var room [512]byte
	b := append(room[:0], e.key()...)
	b = append(b, x.Collection[:]...)
	b = append(b, x.Record...)
	keep = append(keep, hashOf(b))
	b = append(b, 0)
	from := len(b)
	for _, f := range x.Fields {
		b = append(b[:from], f...)
		keep = append(keep, hashOf(b))
	}
	return keep[:1], keep[1:]
}

// key returns the secret that members are hashed under.
func (e *exposures) key() []byte {
	e.once.Do(func() { rand.Read(e.secret[:]) })
	return e.secret[:]
}

func hashOf(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return max(256, binary.LittleEndian.Uint64(sum[:]))
}
