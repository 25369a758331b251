package access

import "strings"

// Policy is what the roles of one client grant together, compiled. It is
// immutable and safe for concurrent use. A nil Policy grants nothing.
type Policy struct {
	caps  Capability
	rules []*rule
	scope *Scope // nil: all that the rules grant
	narrowed
}

// NewPolicy compiles the named roles. A built-in role hides a stored one of the
// same name; everything counts only when dev is set; a name that is neither
// built in nor in roles grants nothing. The roles may be changed afterwards.
func NewPolicy(roles map[string]*Role, names []string, dev bool) *Policy {
	p := &Policy{}
	for _, name := range names {
		caps, everything, ok := Builtin(name)
		switch {
		case ok && everything && dev:
			p.rules = append(p.rules, everythingRule)
		case ok:
			p.caps |= caps
		case roles[name] != nil:
			for i := range roles[name].Rules {
				p.rules = append(p.rules, compile(&roles[name].Rules[i], name, i))
			}
		}
	}
	return p
}

// Can reports whether the policy has all of the capabilities in c.
func (p *Policy) Can(c Capability) bool { return p != nil && p.caps&c == c }

// CanAny reports whether the policy has one of the capabilities in c.
func (p *Policy) CanAny(c Capability) bool { return p != nil && p.caps&c != 0 }

// Touches reports whether any rule speaks about the integration.
func (p *Policy) Touches(integration string) bool {
	if p == nil {
		return false
	}
	if p.scope != nil && !p.scope.touches(integration) {
		return false
	}
	for _, r := range p.rules {
		if r.actions != 0 && matchAny(r.integrations, integration) {
			return true
		}
	}
	return false
}

// matching returns the rules that speak about a collection.
func (p *Policy) matching(integration, collection string) []*rule {
	if p == nil {
		return nil
	}
	var list []*rule
	for _, r := range p.rules {
		if matchAny(r.integrations, integration) && matchAny(r.collections, collection) {
			list = append(list, r)
		}
	}
	return list
}

// rule is a Rule made ready for look-ups. One with a condition takes part where
// the condition holds; where it can't be worked out what keeping leaves of it
// takes its place: what the rule says none of, and no grant.
type rule struct {
	role                      string
	number                    int // in its role
	integrations, collections []string
	actions                   actionSet
	read                      map[string]Grant // without `*`
	readStar                  Grant
	hasStar                   bool
	write, search, labels     nameSet
	all                       bool // the rule of everything
	condition                 *condition
	silent                    bool // it only withholds
}

var everythingRule = &rule{
	role:         RoleEverything,
	integrations: []string{"*"}, collections: []string{"*"}, actions: allActions, all: true,
}

func compile(r *Rule, role string, number int) *rule {
	c := &rule{
		role:         role,
		number:       number,
		integrations: append([]string(nil), r.Integrations...),
		collections:  append([]string(nil), r.Collections...),
		actions:      setOf(r.Actions),
		read:         make(map[string]Grant, len(r.Read)),
		write:        newNameSet(r.Write),
		search:       newNameSet(r.Search),
		labels:       newNameSet(r.WriteLabels),
	}
	if c.condition = r.condition; r.conditional() && c.condition == nil {
		c.actions = 0 // a condition that nobody compiled must not grant
	}
	for path, text := range r.Read {
		g, _ := parseGrant(text) // a malformed one is none
		if path == wildcard {
			c.readStar, c.hasStar = g, true
		} else {
			c.read[path] = g
		}
	}
	return c
}

// keeping returns the rule without its condition, and with those of its read
// members alone that say none, or those that don't: what is certain of a broken
// rule, and what can be hoped of an open one.
func (r *rule) keeping(nones bool) *rule {
	c := *r
	c.condition, c.read, c.silent = nil, make(map[string]Grant, len(r.read)), nones
	c.hasStar = r.hasStar && (r.readStar.Kind == None) == nones
	for path, g := range r.read {
		if (g.Kind == None) == nones {
			c.read[path] = g
		}
	}
	return &c
}

// answer is what one rule says of reading one field.
type answer struct {
	grant Grant
	named bool // false: the rule says nothing
}

var (
	silent   = answer{}
	withheld = answer{named: true}
)

// readAnswer applies the algebra within a rule.
func (r *rule) readAnswer(f FieldInfo, declared bool) answer {
	if r.all {
		return answer{clearGrant, true}
	}
	exact, ok := r.read[f.Path]
	if ok && (declared || exact.Kind == None) {
		return answer{exact, true}
	}
	wide := r.wideAnswer(f)
	if ok && wide.named {
		wide.grant = stricter(wide.grant, exact)
	}
	return wide
}

// wideAnswer is what a rule says of a field that it does not name exactly.
func (r *rule) wideAnswer(f FieldInfo) answer {
	g, ok := r.nearest(f.Path)
	switch {
	case !ok:
		return silent
	case g.Kind == None:
		return withheld
	case f.High:
		return silent
	case f.Mask != "":
		return answer{stricter(g, maskedGrant(f.Mask)), true}
	}
	return answer{g, true}
}

// nearest finds the grant of the nearest ancestor, else of `*`.
func (r *rule) nearest(path string) (Grant, bool) {
	for {
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return r.readStar, r.hasStar
		}
		path = path[:cut]
		if g, ok := r.read[path]; ok {
			return g, true
		}
	}
}

// cover says how a list of names covers a path.
type cover uint8

const (
	uncovered cover = iota
	coverWide       // by an ancestor or `*`
	coverExact
)

// nameSet is a list of names, perhaps with `*` among them.
type nameSet struct {
	names map[string]struct{}
	star  bool
}

func newNameSet(list []string) nameSet {
	s := nameSet{names: make(map[string]struct{}, len(list))}
	for _, name := range list {
		if name == wildcard {
			s.star = true
		} else {
			s.names[name] = struct{}{}
		}
	}
	return s
}

func (s nameSet) covers(path string) cover {
	if _, ok := s.names[path]; ok {
		return coverExact
	}
	return s.coversWide(path)
}

func (s nameSet) coversWide(path string) cover {
	for !s.star {
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return uncovered
		}
		path = path[:cut]
		if _, ok := s.names[path]; ok {
			return coverWide
		}
	}
	return coverWide
}
