package limits

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Capacities of the tables, in entries.
const (
	addressCapacity = 65_536
	nameCapacity    = 16_384
)

// unit is what a window counts.
type unit uint8

const (
	requests unit = iota
	requestBytes
	responseBytes
)

// unitNames are those of the RateLimit-Policy field; requests is its default.
var unitNames = [...]string{"requests", "request-bytes", "response-bytes"}

// meter is a compiled window.
type meter struct {
	unit  unit
	limit uint64 // requests, or units of bytes
	span  Span
	slice int64
	name  string // in the RateLimit fields
}

// rule is a compiled definition without its exposure.
type rule struct {
	name         string
	def          *Definition
	groups       Group
	routes       []string
	networks     []netip.Prefix
	meters       []meter
	concurrency  uint64
	table        *table
	policy       string   // its part of RateLimit-Policy
	policyHeader []string // the whole, when it is alone; nil without windows
	set          *ruleset
	number       uint // in the set; a store has fewer than 128
	full         func([]counter) float64
	refused      atomic.Uint64
}

func compile(name string, d *Definition) *rule {
	r := &rule{name: name, def: d, concurrency: d.Concurrency}
	for _, route := range d.Routes {
		if g := groupOf(route); g != 0 {
			r.groups |= g
		} else {
			r.routes = append(r.routes, route)
		}
	}
	for _, text := range d.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			r.networks = append(r.networks, p.Masked())
		}
	}
	r.addMeters(requests, d.Requests)
	r.addMeters(requestBytes, d.RequestBytes)
	r.addMeters(responseBytes, d.ResponseBytes)
	if r.policy = r.policyText(); r.policy != "" {
		r.policyHeader = []string{r.policy}
	}
	r.full = r.fullness
	return r
}

func (r *rule) addMeters(u unit, list []Window) {
	for _, w := range list {
		m := meter{unit: u, limit: w.Limit, span: w.Window, slice: sliceOf(w.Window), name: r.name + "-" + w.Window.String()}
		if u != requests {
			m.name = r.name + "-" + unitNames[u] + "-" + w.Window.String()
			m.limit = inUnits(w.Limit)
		}
		r.meters = append(r.meters, m)
	}
}

// inUnits turns bytes into the units that they are counted in.
func inUnits(bytes uint64) uint64 { return (bytes + byteUnit - 1) / byteUnit }

// told turns a count into what people are told of.
func (m *meter) told(n uint64) uint64 {
	if m.unit != requests {
		return n * byteUnit
	}
	return n
}

func (r *rule) policyText() string {
	var b strings.Builder
	for i := range r.meters {
		m := &r.meters[i]
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q;q=%d", m.name, m.told(m.limit))
		if m.unit != requests {
			b.WriteString(`;qu="content-bytes"`)
		}
		b.WriteString(";w=" + strconv.FormatInt(int64(time.Duration(m.span)/time.Second), 10))
	}
	return b.String()
}

// shape says what the rule's table counts: a changed definition of the same
// shape goes on counting in it, so that raising a limit is no reset.
func (r *rule) shape() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.name, r.def.Per)
	for _, m := range r.meters {
		fmt.Fprintf(&b, " %d:%s", m.unit, m.span)
	}
	return b.String()
}

func (r *rule) newTable() *table {
	spans := make([]int64, len(r.meters))
	for i, m := range r.meters {
		spans[i] = m.slice
	}
	switch r.def.Per {
	case PerAddress:
		return newTable(addressCapacity, spans)
	case InTotal:
		return newTable(1, spans)
	}
	return newTable(nameCapacity, spans)
}

// fullness is how far the fullest window is used: 1 is exhausted.
func (r *rule) fullness(cs []counter) (most float64) {
	for i := range cs {
		most = max(most, float64(cs[i].used())/float64(r.meters[i].limit))
	}
	return most
}

// concerns reports whether the rule is for a request, as far as its route and
// address tell.
func (r *rule) concerns(q *Request) bool {
	if r.groups&GroupConnection != q.Group&GroupConnection {
		return false
	}
	if (r.groups != 0 || len(r.routes) > 0) && r.groups&q.Group == 0 && !slices.Contains(r.routes, q.Route) {
		return false
	}
	return len(r.networks) == 0 || slices.ContainsFunc(r.networks, func(p netip.Prefix) bool { return p.Contains(q.Address) })
}

// appendClaims appends what the rule counts of a request.
func (r *rule) appendClaims(to []claim, q *Request) []claim {
	if !r.concerns(q) {
		return to
	}
	if r.def.Per == PerAddress {
		return append(to, r.claim(AddressKey(q.Address), ""))
	}
	if len(r.def.Clients) > 0 && !matchesAny(r.def.Clients, q.Client) {
		return to
	}
	if r.def.Per == PerRole {
		for _, role := range q.Roles {
			if len(r.def.Roles) == 0 || matchesAny(r.def.Roles, role) {
				to = append(to, r.claim(nameKey(role), role))
			}
		}
		return to
	}
	if len(r.def.Roles) > 0 && !slices.ContainsFunc(q.Roles, func(role string) bool { return matchesAny(r.def.Roles, role) }) {
		return to
	}
	if r.def.Per == InTotal {
		return append(to, r.claim(key{1}, "all"))
	}
	return append(to, r.claim(q.ClientUID, q.Client))
}

func (r *rule) claim(k key, label string) claim {
	return claim{rule: r, key: k, label: label, shard: shardOf(k)}
}

var nameSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// nameKey is the key of a name, in this process.
func nameKey(name string) (k key) {
	for i, s := range nameSeeds {
		h := maphash.String(s, name)
		for j := range 8 {
			k[8*i+j] = byte(h >> (8 * j))
		}
	}
	return k
}

// AddressKey is what an address is counted as: an IPv4 address by itself, an
// IPv6 address by its /64 network, which is what one customer gets.
func AddressKey(a netip.Addr) [16]byte {
	a = a.Unmap()
	b := a.As16()
	if a.Is6() {
		clear(b[8:])
	}
	return b
}

// addressText is the text of a key of an address.
func addressText(k key) string {
	a := netip.AddrFrom16(k).Unmap()
	if a.Is6() {
		return netip.PrefixFrom(a, 64).String()
	}
	return a.String()
}

// matchesAny reports whether a name matches one of the globs, in which each `*`
// stands for any run of characters.
func matchesAny(globs []string, name string) bool {
	for _, g := range globs {
		if g == name || strings.IndexByte(g, '*') >= 0 && matchGlob(g, name) {
			return true
		}
	}
	return false
}

func matchGlob(glob, name string) bool {
	first, rest, star := strings.Cut(glob, "*")
	if !star || !strings.HasPrefix(name, first) {
		return !star && glob == name
	}
	name = name[len(first):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}
