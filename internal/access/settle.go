package access

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// openRules are the rules of a decision whose conditions have not been judged,
// and the decisions that they lead to: one for each outcome of the conditions
// that came up, so that judging a record costs its conditions and a look-up.
type openRules struct {
	all      []*rule // settled and open ones, in their order
	on       basis
	request  []*condition // judged first: they need no record
	record   []*condition
	hoped    *Decision // what would be granted if all conditions held and withheld nothing
	mu       sync.Mutex
	variants atomic.Pointer[map[string]*Decision]
}

// maxVariants bounds the decisions that are kept; beyond it they are made anew
// each time.
const maxVariants = 128

// takeOpen parts the rules without a condition from the others.
func takeOpen(rules []*rule, on basis) (settled []*rule, open *openRules) {
	settled = rules
	for i, r := range rules {
		if r.condition == nil {
			if open != nil {
				settled = append(settled, r)
			}
			continue
		}
		if open == nil {
			open, settled = &openRules{all: rules, on: on}, slices.Clone(rules[:i])
		}
		open.add(r.condition)
	}
	if open != nil {
		open.hoped = newDecision(hopeful(rules), on)
	}
	return settled, open
}

func (o *openRules) add(c *condition) {
	list := &o.request
	if c.ofRecord {
		list = &o.record
	}
	if !slices.ContainsFunc(*list, func(have *condition) bool { return have.source == c.source }) {
		*list = append(*list, c)
	}
}

func hopeful(rules []*rule) []*rule {
	out := make([]*rule, len(rules))
	for i, r := range rules {
		if out[i] = r; r.condition != nil {
			out[i] = r.keeping(false)
		}
	}
	return out
}

// Settled reports whether no condition is open: the decision is the same for
// every record.
func (d *Decision) Settled() bool { return d.open == nil }

// Could reports whether the action is allowed, or would be on some record: when
// not, the caller is told 403, whether or not a record exists.
func (d *Decision) Could(a Action) bool { return d.best().Allows(a) }

// CouldRead is Read at best: as if every condition held and withheld nothing.
func (d *Decision) CouldRead(a Action, path string) Grant { return d.best().Read(a, path) }

// CouldSearch is MaySearch at best.
func (d *Decision) CouldSearch(path string) bool { return d.best().MaySearch(path) }

// Depends reports whether it depends on the record that the action is allowed:
// then one that is denied must look like one that is absent.
func (d *Decision) Depends(a Action) bool { return d.open != nil && !d.Allows(a) && d.Could(a) }

func (d *Decision) best() *Decision {
	if d.open == nil {
		return d
	}
	return d.open.hoped
}

// ForRequest judges the conditions that name no record. The decision that is
// left depends on records alone.
func (d *Decision) ForRequest(f *Facts) *Decision {
	if d.open == nil || len(d.open.request) == 0 {
		return d
	}
	return d.judge(d.open.request, f)
}

// ForRecord judges all conditions that are open. What a broken condition's rule
// withholds stays withheld, and all else of the rule is not granted.
func (d *Decision) ForRecord(f *Facts) *Decision {
	d = d.ForRequest(f)
	if d.open == nil {
		return d
	}
	return d.judge(d.open.record, f)
}

func (d *Decision) judge(conditions []*condition, f *Facts) *Decision {
	var room [maxConditions]byte
	outcome := room[:0]
	for _, c := range conditions {
		outcome = append(outcome, byte(c.judge(f)))
	}
	if known := d.open.variants.Load(); known != nil {
		if v := (*known)[string(outcome)]; v != nil {
			return v
		}
	}
	return d.open.variant(conditions, outcome)
}

// variant makes and keeps the decision for an outcome of some conditions.
func (o *openRules) variant(conditions []*condition, outcome []byte) *Decision {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := map[string]*Decision{}
	if old := o.variants.Load(); old != nil {
		known = *old
	}
	if v := known[string(outcome)]; v != nil {
		return v
	}
	v := newDecision(o.under(conditions, outcome), o.on)
	if len(known) < maxVariants {
		next := maps.Clone(known)
		next[string(outcome)] = v
		o.variants.Store(&next)
	}
	return v
}

// under returns the rules as an outcome leaves them.
func (o *openRules) under(conditions []*condition, outcome []byte) []*rule {
	var rules []*rule
	for _, r := range o.all {
		if r.condition != nil {
			r = r.under(conditions, outcome)
		}
		if r != nil {
			rules = append(rules, r)
		}
	}
	return rules
}

// under returns what is left of a rule: itself while its condition is open.
func (r *rule) under(conditions []*condition, outcome []byte) *rule {
	i := slices.IndexFunc(conditions, func(c *condition) bool { return c.source == r.condition.source })
	if i < 0 {
		return r
	}
	switch result(outcome[i]) {
	case holds:
		settled := *r
		settled.condition = nil
		return &settled
	case broken:
		return r.keeping(true)
	}
	return nil
}
