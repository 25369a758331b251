package rotate

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store"
)

// Bounds of requests.
const (
	// DefaultGrace is for how long a replaced key stays disabled: longer than
	// keys are held in memory while the key service is away, and than any read.
	DefaultGrace = 2 * time.Hour
	maxGrace     = 90 * 24 * time.Hour
	maxGlobs     = 256
	maxGlob      = 128
	maxReason    = 1024
	maxRate      = 1 << 31
)

// faults gathers what is wrong with a definition.
type faults []schema.Issue

func (f *faults) add(pointer, detail string) {
	*f = append(*f, schema.Issue{Pointer: pointer, Detail: detail})
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &store.Invalid{Issues: f}
}

// check says what is wrong with a request, under a pointer.
func (r *Request) check(at string, bad *faults) {
	switch r.Depth {
	case DepthKEK, DepthKeyset, DepthData:
	case "":
		if r.Compromised == "" {
			bad.add(at+"/depth", "is needed: kek, keyset or data")
		}
	default:
		bad.add(at+"/depth", "must be kek, keyset or data")
	}
	r.checkDomains(at, bad)
	if r.Reindex && r.Depth == DepthKEK {
		bad.add(at+"/reindex", "goes with the depths keyset and data: kek replaces no index key")
	}
	if !r.Grace.Whole(0, maxGrace) {
		bad.add(at+"/grace", "must be whole seconds, from 0s to 2160h")
	}
	if r.Rate > maxRate {
		bad.add(at+"/rate", "is out of range")
	}
	if len(r.Reason) > maxReason || !printable(r.Reason) {
		bad.add(at+"/reason", "has at most 1024 bytes of UTF-8 and no control characters")
	}
}

func (r *Request) checkDomains(at string, bad *faults) {
	if r.Compromised != "" {
		r.checkCompromised(at, bad)
		return
	}
	if len(r.Integrations) == 0 && !r.System {
		bad.add(at+"/integrations", "name integrations, or set system")
	}
	if len(r.Integrations) > maxGlobs {
		bad.add(at+"/integrations", fmt.Sprintf("has at most %d members", maxGlobs))
	}
	for i, g := range r.Integrations {
		if !validGlob(g) {
			bad.add(fmt.Sprintf("%s/integrations/%d", at, i), "is no name of an integration, with * for any characters")
		}
	}
}

func (r *Request) checkCompromised(at string, bad *faults) {
	if _, err := envelope.ParseKeyID(r.Compromised); err != nil {
		bad.add(at+"/compromised", "is no key id: eight hexadecimal digits in lower case")
	}
	if len(r.Integrations) > 0 || r.System {
		bad.add(at+"/compromised", "the key says which domain it is of: leave integrations and system out")
	}
	if r.Depth != "" && r.Depth != DepthData {
		bad.add(at+"/depth", "is data when a key is compromised")
	}
	if r.Grace.Or(0) != 0 {
		bad.add(at+"/grace", "there is none when a key is compromised")
	}
}

func validGlob(s string) bool {
	return s != "" && len(s) <= maxGlob && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-*") == ""
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
}

// completed returns the request with what follows from it written out.
func (r Request) completed(grace time.Duration) Request {
	r.Integrations = slices.Clone(r.Integrations)
	if r.Compromised != "" {
		r.Depth, grace = DepthData, 0
	}
	if r.Depth == DepthData {
		r.Reindex = true
	}
	if r.Trim {
		r.Retire = true
	}
	if r.Grace == nil && r.Depth != DepthKEK {
		span := Span(grace)
		r.Grace = &span
	}
	return r
}

// selects returns the domains that a request is for. What names none is wrong
// with the request.
func (r *Request) selects(all []store.KeyDomain) ([]store.KeyDomain, error) {
	var bad faults
	var out []store.KeyDomain
	for i, glob := range r.Integrations {
		if !slices.ContainsFunc(all, func(d store.KeyDomain) bool { return matches(glob, d) }) {
			bad.add(fmt.Sprintf("/integrations/%d", i), "there is no such integration")
		}
	}
	for _, d := range all {
		named := slices.ContainsFunc(r.Integrations, func(glob string) bool { return matches(glob, d) })
		if named || d.System() && r.System {
			out = append(out, d)
		}
	}
	return out, bad.err()
}

func matches(glob string, d store.KeyDomain) bool {
	return !d.System() && access.MatchPattern(glob, d.Integration)
}

// having returns the domains in which a key with an id is, or was once.
func having(inventory []store.DomainKeys, keyID string) (out []store.KeyDomain) {
	for i := range inventory {
		if slices.ContainsFunc(inventory[i].Keys, func(k store.KeyState) bool { return k.KeyID == keyID }) {
			out = append(out, inventory[i].KeyDomain)
		}
	}
	return out
}

// parts returns what a rotation does in a domain. The system domain's MAC keys
// are a part of their own: what is under them cannot be moved, only outlived.
func (r *Request) parts(d store.KeyDomain) []Part {
	base := Part{ID: partID(d, ""), KeyDomain: d, Step: StepPending, Times: map[Step]time.Time{}}
	if r.Depth == DepthKEK {
		return []Part{base}
	}
	if !d.System() {
		base.Purposes = []string{purposeWrapping}
		if r.Reindex {
			base.Purposes = append(base.Purposes, purposeIndex)
		}
		return []Part{base}
	}
	base.Purposes = []string{purposeSystem}
	if !r.Reindex {
		return []Part{base}
	}
	mac := base
	mac.ID, mac.Purposes, mac.Times = partID(d, "-mac"), []string{purposeMAC}, map[Step]time.Time{}
	return []Part{base, mac}
}

func partID(d store.KeyDomain, suffix string) string {
	if d.System() {
		return "system" + suffix
	}
	return d.UID.String()
}

// The purposes of keys, as documents name them.
const (
	purposeWrapping = "wrapping"
	purposeIndex    = "index"
	purposeSystem   = "system"
	purposeMAC      = "system_mac"
)

var purposes = map[string]envelope.Purpose{
	purposeWrapping: envelope.PurposeWrapping, purposeIndex: envelope.PurposeIndex,
	purposeSystem: envelope.PurposeSystem, purposeMAC: envelope.PurposeSystemMAC,
}

// purposeOf returns the purpose of a key in the inventory.
func purposeOf(name string) envelope.Purpose {
	for _, p := range purposes {
		if p.String() == name {
			return p
		}
	}
	return purposes[name]
}

// replaces reports whether the part replaces keys of the purpose of this one.
func (p *Part) replaces(k *store.KeyState) bool {
	return slices.ContainsFunc(p.Purposes, func(name string) bool { return purposes[name] == purposeOf(k.Purpose) })
}

func (p *Part) has(purpose string) bool { return slices.Contains(p.Purposes, purpose) }
