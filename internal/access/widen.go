package access

import (
	"bytes"
	"slices"
	"strings"
)

// maxProof bounds the work of a proof. A change that would need more of it
// counts as wider, like everything that is not proven.
const maxProof = 1_000_000

// Wider reports whether somebody who held the roles of after could reach more
// than with those of before: read, write or search a field, or act on a
// collection. It is a proof of the opposite that failed, over every collection
// and every field there may ever be, not only those that exist: what cannot be
// proven to stay within is wider. The masks of two kinds are never within each
// other, except that redact shows less than all.
//
// The proof also holds for whoever holds other roles beside them, since each
// rule of after stays within rules of before, and nothing that takes away is
// lost where anything is granted.
func Wider(before, after []*Role) bool {
	b, a := provable(before), provable(after)
	p := proof{before: b, after: a, paths: distinctPaths(b, a)}
	if len(p.after)*(len(p.before)+1)*len(p.paths)*readKinds > maxProof {
		return !sameRules(before, after)
	}
	return p.actsMore() || p.writesMoreLabels() || slices.ContainsFunc(p.paths, p.reachesMore)
}

// clause is a rule with what a proof needs of it besides what is compiled.
type clause struct {
	*rule
	when string // the condition's text, empty without one
}

func provable(roles []*Role) (list []clause) {
	for _, role := range roles {
		for i := range role.Rules {
			r := role.Rules[i]
			c := clause{when: string(bytes.TrimSpace(r.When))}
			r.When, r.condition = nil, nil // compiled as what it grants when its condition holds
			c.rule = compile(&r, "", 0)
			list = append(list, c)
		}
	}
	return list
}

func sameRules(before, after []*Role) bool {
	return slices.EqualFunc(before, after, func(a, b *Role) bool { return a == b })
}

// proof compares what two lists of clauses grant, field by field. A path is one
// that a clause names, or stands for all that have it as nearest ancestor.
type proof struct {
	before, after []clause
	paths         []string
}

// unnamed is a name that no rule can give: it stands for every other one.
const unnamed = "\x00"

// distinctPaths returns a path of every kind that the clauses tell apart.
func distinctPaths(lists ...[]clause) []string {
	paths := []string{unnamed}
	add := func(path string) { paths = append(paths, path, path+"/"+unnamed) }
	for _, list := range lists {
		for _, c := range list {
			for path := range c.read {
				add(path)
			}
			for _, set := range []nameSet{c.write, c.search} {
				for path := range set.names {
					add(path)
				}
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// within reports whether clause c speaks, for one action, only about what d
// does as well: its globs are matched by d's as texts, so whatever they match
// d's do too, and d's condition is none or the same.
func (c clause) within(d clause, action int) bool {
	return d.actions&(1<<action) != 0 && (d.when == "" || d.when == c.when) &&
		globsWithin(c.integrations, d.integrations) && globsWithin(c.collections, d.collections)
}

func globsWithin(narrow, wide []string) bool {
	return !slices.ContainsFunc(narrow, func(glob string) bool { return !matchAny(wide, glob) })
}

// actsMore reports whether an action is granted where it was not.
func (p *proof) actsMore() bool {
	for i := range actions {
		for _, c := range p.after {
			if c.actions&(1<<i) != 0 && !p.covered(c, i, func(clause) bool { return true }) {
				return true
			}
		}
	}
	return false
}

// covered reports whether a clause of before that c is within satisfies ok.
func (p *proof) covered(c clause, action int, ok func(clause) bool) bool {
	return slices.ContainsFunc(p.before, func(d clause) bool { return c.within(d, action) && ok(d) })
}

func (p *proof) writesMoreLabels() bool {
	for i := readKinds; i < readKinds+writeKinds; i++ {
		for _, c := range p.after {
			if c.actions&(1<<i) != 0 && p.labelsMore(c, i) {
				return true
			}
		}
	}
	return false
}

func (p *proof) labelsMore(c clause, action int) bool {
	if c.labels.star && !p.covered(c, action, func(d clause) bool { return d.labels.star }) {
		return true
	}
	for name := range c.labels.names {
		if !p.covered(c, action, func(d clause) bool { return d.labels.star || d.labels.covers(name) == coverExact }) {
			return true
		}
	}
	return false
}

// reachesMore reports whether a field of this path can be read, written or
// searched better than before, whatever a schema says of it.
func (p *proof) reachesMore(path string) bool {
	for _, f := range kindsOfField(path) {
		for i := range readKinds {
			if p.readsMore(f, i) || p.losesNone(f, i) {
				return true
			}
		}
	}
	for i := readKinds; i < readKinds+writeKinds; i++ {
		if p.namesMore(path, i, (*rule).writes) {
			return true
		}
	}
	return p.namesMore(path, ActionSearch.index(), (*rule).searches) || p.unmasks(path)
}

// fieldKind is a field as a schema may declare it, or not.
type fieldKind struct {
	FieldInfo
	declared bool
}

func kindsOfField(path string) []fieldKind {
	kinds := []fieldKind{{FieldInfo{Path: path}, true}, {FieldInfo{Path: path}, false}, {FieldInfo{Path: path, High: true}, true}}
	for _, mask := range Masks() {
		kinds = append(kinds, fieldKind{FieldInfo{Path: path, Mask: mask}, true})
	}
	return kinds
}

// readsMore reports whether a clause of after gives the field where no single
// clause of before gave at least as much of it.
func (p *proof) readsMore(f fieldKind, action int) bool {
	for _, c := range p.after {
		got := c.readAnswer(f.FieldInfo, f.declared)
		if c.actions&(1<<action) == 0 || !got.named || got.grant.Kind == None {
			continue
		}
		if !p.covered(c, action, func(d clause) bool {
			had := d.readAnswer(f.FieldInfo, f.declared)
			return had.named && noMore(got.grant, had.grant)
		}) {
			return true
		}
	}
	return false
}

// noMore reports whether grant a certainly shows no more than b.
func noMore(a, b Grant) bool {
	switch {
	case a.Kind == None, b.Kind == Clear:
		return true
	case a.Kind == Clear, b.Kind == None:
		return false
	}
	return a.Mask == b.Mask || a.Mask == MaskRedact
}

// losesNone reports whether something that held the field back is gone while
// another clause still gives it: an explicit none, or a mask that won over
// another one of which it is not known which shows more.
func (p *proof) losesNone(f fieldKind, action int) bool {
	if !slices.ContainsFunc(p.after, func(c clause) bool { return c.gives(f, action) }) {
		return false
	}
	for _, d := range p.before {
		had := d.readAnswer(f.FieldInfo, f.declared)
		if d.actions&(1<<action) == 0 || !had.named || had.grant.Kind == Clear || !p.holdsBack(f, action, had.grant) {
			continue
		}
		kept := slices.ContainsFunc(p.after, func(c clause) bool {
			return d.within(c, action) && c.readAnswer(f.FieldInfo, f.declared) == had
		})
		if !kept {
			return true
		}
	}
	return false
}

func (c clause) gives(f fieldKind, action int) bool {
	got := c.readAnswer(f.FieldInfo, f.declared)
	return c.actions&(1<<action) != 0 && got.named && got.grant.Kind != None
}

// holdsBack reports whether a grant of before takes something away from what
// the others give.
func (p *proof) holdsBack(f fieldKind, action int, g Grant) bool {
	if g.Kind == None {
		return true
	}
	return slices.ContainsFunc(p.before, func(d clause) bool {
		other := d.readAnswer(f.FieldInfo, f.declared)
		return d.gives(f, action) && other.grant.Kind == Masked && !noMore(other.grant, g)
	})
}

// namesMore reports whether a list of after, of what may be written or
// searched, covers the path better than one of before.
func (p *proof) namesMore(path string, action int, list func(*rule) nameSet) bool {
	for _, c := range p.after {
		if c.actions&(1<<action) == 0 {
			continue
		}
		how := list(c.rule).covers(path)
		if how != uncovered && !p.covered(c, action, func(d clause) bool { return list(d.rule).covers(path) >= how }) {
			return true
		}
	}
	return false
}

// unmasks reports whether a field that was read masked, and so could only be
// written when named, may be written by a wide list now because its reading
// changed: less reading can mean more writing.
func (p *proof) unmasks(path string) bool {
	wide := slices.ContainsFunc(p.after, func(c clause) bool {
		return c.actions&writeActions != 0 && c.write.covers(path) == coverWide
	})
	if !wide {
		return false
	}
	for _, f := range kindsOfField(path) {
		had, has := readings(p.before, f), readings(p.after, f)
		if slices.ContainsFunc(had, func(s string) bool { return strings.Contains(s, "mask:") }) && !slices.Equal(had, has) {
			return true
		}
	}
	return false
}

// readings lists, as texts that can be compared, what clauses say of reading a
// field.
func readings(list []clause, f fieldKind) []string {
	var all []string
	for _, c := range list {
		if a := c.readAnswer(f.FieldInfo, f.declared); a.named && c.actions&readActions != 0 {
			all = append(all, strings.Join(c.integrations, ",")+" "+strings.Join(c.collections, ",")+" "+c.when+" "+
				string(rune('a'+c.actions&readActions))+" "+a.grant.String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
