package access

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Bounds of a scope: it travels in every token.
const (
	maxScope        = 512 // bytes
	maxScopeEntries = 32
)

// Scope is what a token may be used for at most: a part of what the roles of
// its client give. It is a list of entries with a space between (RFC 6749,
// section 3.3), each of which is
//
//	ACTION[:INTEGRATION_GLOB[/COLLECTION_GLOB]]
//
// with one of the actions or `*` for all of them, or the name of a built-in
// role, for its rights over the control plane. What no entry covers is denied;
// an entry never gives what the roles don't.
type Scope struct {
	text    string
	names   []string
	entries []scopeEntry
	caps    Capability
}

type scopeEntry struct {
	actions                 actionSet
	integration, collection string // globs
}

// ErrScope comes when a text is not a scope.
var ErrScope = errors.New("want ACTION[:INTEGRATION[/COLLECTION]] or a built-in role, with spaces between")

// ParseScope reads a scope; empty text is the nil Scope, which narrows nothing.
func ParseScope(text string) (*Scope, error) {
	names := strings.Fields(text)
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	s := &Scope{text: strings.Join(names, " "), names: names}
	if len(s.text) > maxScope || len(names) > maxScopeEntries {
		return nil, ErrScope
	}
	for _, name := range names {
		if err := s.add(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Scope) add(name string) error {
	if caps, _, ok := Builtin(name); ok && caps != 0 {
		s.caps |= caps
		return nil
	}
	action, where, placed := strings.Cut(name, ":")
	integration, collection, deep := strings.Cut(where, "/")
	if !placed {
		integration = wildcard
	}
	if !deep {
		collection = wildcard
	}
	e := scopeEntry{actions: setOf([]Action{Action(action)}), integration: integration, collection: collection}
	if action == wildcard {
		e.actions = allActions
	}
	if e.actions == 0 || !validGlob(integration) || !validGlob(collection) {
		return ErrScope
	}
	s.entries = append(s.entries, e)
	return nil
}

// String returns the entries in order, each once; empty for the nil Scope.
func (s *Scope) String() string {
	if s == nil {
		return ""
	}
	return s.text
}

// Names returns the entries. They must not be changed.
func (s *Scope) Names() []string {
	if s == nil {
		return nil
	}
	return s.names
}

// touches reports whether an entry speaks about the integration.
func (s *Scope) touches(integration string) bool {
	return slices.ContainsFunc(s.entries, func(e scopeEntry) bool { return matchGlob(e.integration, integration) })
}

// inScope returns the actions that the scope lets through on a collection.
func (p *Policy) inScope(integration, collection string) actionSet {
	if p == nil || p.scope == nil {
		return allActions
	}
	var set actionSet
	for _, e := range p.scope.entries {
		if matchGlob(e.integration, integration) && matchGlob(e.collection, collection) {
			set |= e.actions
		}
	}
	return set
}

// within takes from a row what is not in scope. The row was worked out from
// all that the roles say first: a scope that leaves out reading must not make a
// field that is read masked look like one that is not.
func (r row) within(scope actionSet) row {
	for i := range readKinds {
		if scope&(1<<i) == 0 {
			r.read[i] = Grant{}
		}
	}
	r.write &= scope
	r.explicit &= scope
	r.search = r.search && scope.has(ActionSearch)
	return r
}

// maxNarrowed bounds the narrowed policies that a policy remembers.
const maxNarrowed = 1024

// narrowed holds what Narrow made before, by the text of the scope.
type narrowed struct {
	made  sync.Map
	count atomic.Int64
}

// Narrow returns the policy as far as the scope goes. It is compiled once for
// each scope, and shared by all tokens that have it.
func (p *Policy) Narrow(s *Scope) *Policy {
	if p == nil || s == nil {
		return p
	}
	if made, ok := p.made.Load(s.text); ok {
		return made.(*Policy)
	}
	n := &Policy{caps: p.caps & s.caps, rules: p.rules, scope: s}
	if p.count.Add(1) > maxNarrowed {
		return n
	}
	made, _ := p.made.LoadOrStore(s.text, n)
	return made.(*Policy)
}
