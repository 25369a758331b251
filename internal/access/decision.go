package access

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// FieldInfo is what a decision must know of a field that a schema declares. A
// store that keeps values written under an older schema passes the fields of
// every schema still in use: once high, a field stays high for as long as a
// value of it is kept.
type FieldInfo struct {
	Path string
	Mask string // x-mask, empty without one
	High bool   // x-sensitivity: high
}

// Decision is what a policy grants on one collection. It is immutable, safe
// for concurrent use, and its look-ups allocate nothing.
//
// A field that was not declared to For is answered by the same algebra as a
// plain one, except that naming it grants nothing and that it can't be searched.
//
// While rules with conditions are open, the decision answers for the others
// alone, and what it grants it grants of every record. ForRequest and ForRecord
// settle it.
type Decision struct {
	actions actionSet // that a rule grants and the scope lets through
	scope   actionSet // the actions that the scope of the token lets through
	rules   []*rule
	fields  map[string]*row
	hash    [8]byte
	open    *openRules // nil once settled
}

// row holds the answers for one declared field.
type row struct {
	read     [readKinds]Grant
	write    actionSet
	explicit actionSet // the write actions under which the field is named exactly
	search   bool
}

// For decides about one collection. It costs some microseconds: keep its result
// until the roles or the fields change.
func (p *Policy) For(integration, collection string, fields []FieldInfo) *Decision {
	return newDecision(p.matching(integration, collection), basis{fields, p.inScope(integration, collection)})
}

// basis is what all decisions about one collection have in common, whatever
// their conditions say.
type basis struct {
	fields []FieldInfo
	scope  actionSet // the actions that the scope of the token lets through
}

func newDecision(rules []*rule, on basis) *Decision {
	d := &Decision{scope: on.scope, fields: make(map[string]*row, len(on.fields))}
	d.rules, d.open = takeOpen(rules, on)
	for _, r := range d.rules {
		if !r.silent {
			d.actions |= r.actions & d.scope
		}
	}
	for _, f := range on.fields {
		if known := d.fields[f.Path]; known == nil {
			r := d.resolve(f, true).within(d.scope)
			d.fields[f.Path] = &r
		}
	}
	d.hash = d.digest()
	return d
}

// Allows reports whether a rule grants the action on the collection: on all of
// its records while conditions are open, else on the one that it was settled for.
func (d *Decision) Allows(a Action) bool { return d.actions.has(a) }

// Any reports whether a rule grants any action, or would on some record.
func (d *Decision) Any() bool { return d.best().actions != 0 }

// Read returns how the field may be read while action a is done. An action that
// hands out no values gives None.
func (d *Decision) Read(a Action, path string) Grant {
	i := a.index()
	if i < 0 || i >= readKinds {
		return Grant{}
	}
	if r := d.fields[path]; r != nil {
		return r.read[i]
	}
	return d.readUndeclared(path, i)
}

// readUndeclared is Read of a field that was not declared, under action i.
func (d *Decision) readUndeclared(path string, i int) Grant {
	if d.scope&(1<<i) == 0 {
		return Grant{}
	}
	return d.readOne(FieldInfo{Path: path}, false, i)
}

// MayWrite reports whether the field may be written while action a is done.
func (d *Decision) MayWrite(a Action, path string) bool {
	if !a.Writes() {
		return false
	}
	if r := d.fields[path]; r != nil {
		return r.write.has(a)
	}
	w := d.resolve(FieldInfo{Path: path}, false).within(d.scope)
	return w.write.has(a)
}

// MayWriteMasked reports whether a rule that grants a names the field exactly
// in its `write`: only then may a caller write a field that it reads masked.
// MayWrite heeds this already.
func (d *Decision) MayWriteMasked(a Action, path string) bool {
	if !a.Writes() {
		return false
	}
	if r := d.fields[path]; r != nil {
		return r.explicit.has(a)
	}
	w := d.resolve(FieldInfo{Path: path}, false).within(d.scope)
	return w.explicit.has(a)
}

// MayWriteLabel reports whether the label may be set or removed while action a
// is done.
func (d *Decision) MayWriteLabel(a Action, name string) bool {
	if !a.Writes() || !d.scope.has(a) {
		return false
	}
	for _, r := range d.rules {
		if r.actions.has(a) && !r.silent && (r.all || r.labels.star || r.labels.covers(name) == coverExact) {
			return true
		}
	}
	return false
}

// MaySearch reports whether the field may be searched and looked up by.
func (d *Decision) MaySearch(path string) bool {
	r := d.fields[path]
	return r != nil && r.search
}

// Hash changes whenever what the decision lets a caller read changes. It says
// nothing of values and belongs into ETags.
func (d *Decision) Hash() [8]byte { return d.hash }

// resolve works out everything about one field.
func (d *Decision) resolve(f FieldInfo, declared bool) row {
	var r row
	masked := false
	for i := range readKinds {
		r.read[i] = d.readOne(f, declared, i)
		masked = masked || r.read[i].Kind == Masked
	}
	for i := readKinds; i < readKinds+writeKinds; i++ {
		how := d.cover(i, f.Path, declared, (*rule).writes)
		if how == coverExact {
			r.explicit |= 1 << i
		}
		if how == coverExact || how == coverWide && !f.High && !masked {
			r.write |= 1 << i
		}
	}
	if search := ActionSearch.index(); declared && r.read[search].Kind == Clear {
		how := d.cover(search, f.Path, declared, (*rule).searches)
		r.search = how == coverExact || how == coverWide && !f.High
	}
	return r
}

// readOne puts the answers of all rules that grant action i together.
func (d *Decision) readOne(f FieldInfo, declared bool, i int) Grant {
	var best Grant
	for _, r := range d.rules {
		if r.actions&(1<<i) == 0 {
			continue
		}
		a := r.readAnswer(f, declared)
		if a.named && a.grant.Kind == None {
			return Grant{}
		}
		if a.named {
			best = looser(best, a.grant)
		}
	}
	return best
}

// cover returns the best cover that the lists of rules granting action i give.
func (d *Decision) cover(i int, path string, declared bool, list func(*rule) nameSet) cover {
	best := uncovered
	for _, r := range d.rules {
		switch {
		case r.actions&(1<<i) == 0 || r.silent:
		case r.all:
			return coverExact
		case declared:
			best = max(best, list(r).covers(path))
		default:
			best = max(best, list(r).coversWide(path))
		}
	}
	return best
}

func (r *rule) writes() nameSet   { return r.write }
func (r *rule) searches() nameSet { return r.search }

// digest hashes how every declared field, every path that a rule names, and a
// path that nothing names may be read: decisions with one digest read equal.
func (d *Decision) digest() (short [8]byte) {
	paths := make([]string, 0, len(d.fields))
	for path := range d.fields {
		paths = append(paths, path)
	}
	for _, r := range d.rules {
		for path := range r.read {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	text := make([]byte, 0, 1024)
	for i := range readKinds {
		text = append(text, d.readUndeclared(wildcard, i).String()...)
		text = append(text, 0)
	}
	for _, path := range slices.Compact(paths) {
		text = binary.BigEndian.AppendUint32(text, uint32(len(path)))
		text = append(text, path...)
		for i := range readKinds {
			text = append(append(text, d.Read(actions[i], path).String()...), 0)
		}
	}
	sum := sha256.Sum256(text)
	copy(short[:], sum[:])
	return short
}
