package limits

import (
	"strconv"
	"strings"
	"sync"
)

// Policy is the value of the RateLimit-Policy field
// (draft-ietf-httpapi-ratelimit-headers-10), as a header holds it: every window
// that the request was counted in. It is nil when there is none, shared, and not
// to be changed.
func (t *Ticket) Policy() []string {
	if t.refusedBy != nil {
		return t.refusedBy.policyHeader
	}
	var told *rule
	several := false
	for i := range t.claims {
		if r := t.claims[i].rule; r.policy != "" && r != told {
			several = several || told != nil
			told = r
		}
	}
	switch {
	case told == nil:
		return nil
	case !several:
		return told.policyHeader
	}
	return told.set.policies.of(told.set, t.claims)
}

// policies remembers the headers of limits that are counted together.
type policies struct {
	mu    sync.RWMutex
	known map[[2]uint64][]string // by the numbers of the rules
}

func (p *policies) of(set *ruleset, claims []claim) []string {
	var which [2]uint64
	for i := range claims {
		r := claims[i].rule
		if r.set != set { // the limits have changed since the address was checked
			return []string{join(claims)}
		}
		which[r.number/64&1] |= 1 << (r.number % 64)
	}
	p.mu.RLock()
	header := p.known[which]
	p.mu.RUnlock()
	if header != nil {
		return header
	}
	header = []string{join(claims)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[[2]uint64][]string{}
	}
	if len(p.known) < 1024 {
		p.known[which] = header
	}
	return header
}

// join puts the policies of claims together; those of one rule stand side by
// side.
func join(claims []claim) string {
	var parts []string
	for i := range claims {
		if r := claims[i].rule; r.policy != "" && (i == 0 || r != claims[i-1].rule) {
			parts = append(parts, r.policy)
		}
	}
	return strings.Join(parts, ", ")
}

// AppendState appends the value of the RateLimit field: of the tightest window,
// what is left and in how many seconds more of it comes back.
func (t *Ticket) AppendState(b []byte) []byte {
	if t.tight == nil {
		return b
	}
	b = append(b, '"')
	b = append(b, t.tight.name...)
	b = append(b, `";r=`...)
	b = strconv.AppendUint(b, t.tight.told(t.left), 10)
	b = append(b, ";t="...)
	return strconv.AppendInt(b, int64(seconds(t.resetIn)), 10)
}
