package store

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"strongroom/internal/access"
)

// power is what lets its holder give access to values, or agree to it.
const power = access.ManageRoles | access.ManageClients | access.ManageCollections | access.ApproveChanges | access.ApproveReads

// holding is what a list of roles gives, in a form that can be compared.
type holding struct {
	roles []*access.Role
	all   bool // the role everything, of dev mode
	caps  access.Capability
}

// holding looks up what roles give; instead, when it is not nil, stands for the
// role of that name: what it is to become.
func (s *Store) holding(cat *catalog, names []string, instead map[string]*access.Role) (h holding) {
	for _, name := range names {
		caps, all, builtin := access.Builtin(name)
		changed, is := instead[name]
		switch {
		case builtin:
			h.caps, h.all = h.caps|caps, h.all || all && s.dev
		case is:
			h.roles = append(h.roles, changed)
		case cat.roles[name] != nil:
			h.roles = append(h.roles, cat.roles[name].role)
		}
	}
	return h
}

// wider reports whether a gives more than b, or may.
func (a holding) wider(b holding) bool {
	switch {
	case a.caps&power&^b.caps != 0, a.all && !b.all:
		return true
	case b.all && !a.all:
		return false
	}
	return access.Wider(b.roles, a.roles)
}

// gives reports whether a client with this can reach a value, or let somebody.
func (a holding) gives() bool { return a.wider(holding{}) }

// widerRole reports whether a role that becomes next gives more to somebody who
// has it alone, or beside the roles of a client.
func (s *Store) widerRole(cat *catalog, name string, next *access.Role) bool {
	instead := map[string]*access.Role{name: next}
	wider := func(names []string) bool {
		return s.holding(cat, names, instead).wider(s.holding(cat, names, nil))
	}
	if wider([]string{name}) {
		return true
	}
	seen := map[string]bool{} // many clients have the same roles
	for _, cl := range cat.clients {
		list := strings.Join(cl.doc.Roles, " ")
		if !slices.Contains(cl.doc.Roles, name) || seen[list] {
			continue
		}
		if seen[list] = true; wider(cl.doc.Roles) {
			return true
		}
	}
	return false
}

// widerClient reports whether a client that becomes next can reach more. A
// disabled client can reach nothing. Labels count for whoever can reach
// anything, since conditions read them; so does how a client authenticates,
// since that is who it is.
func (s *Store) widerClient(cat *catalog, old, next *client) bool {
	var before, after holding
	if old != nil && !old.doc.Disabled {
		before = s.holding(cat, old.doc.Roles, nil)
	}
	if !next.doc.Disabled {
		after = s.holding(cat, next.doc.Roles, nil)
	}
	switch {
	case after.wider(before):
		return true
	case old == nil || !after.gives():
		return false
	}
	return !maps.Equal(old.doc.Labels, next.doc.Labels) || !sameHands(&old.doc, &next.doc) || cat.unbounds(old, next)
}

// unbounds reports whether a budget of exposure bounds a client, and what it
// becomes no more: one that is for a role goes with the role.
func (c *catalog) unbounds(old, next *client) bool {
	for _, l := range c.limits {
		if l.def.Exposes(old.name, old.doc.Roles) && !l.def.Exposes(next.name, next.doc.Roles) {
			return true
		}
	}
	return false
}

// sameHands reports whether two documents of a client say the same of who can
// act as it: all that is not known to be of no matter has to be equal.
func sameHands(a, b *clientDoc) bool {
	return reflect.DeepEqual(handsOf(a), handsOf(b))
}

func handsOf(d *clientDoc) map[string]any {
	var members map[string]any
	raw, _ := json.Marshal(d)
	_ = json.Unmarshal(raw, &members)
	for _, name := range []string{"uid", "roles", "labels", "disabled", "created_at", "updated_at", "makers"} {
		delete(members, name)
	}
	return members
}

// widerSecret reports whether a secret lets somebody act as a client that can
// reach values. Who renews its own gets nothing that it has not.
func (s *Store) widerSecret(cat *catalog, c Caller, cl *client) bool {
	return c.ClientUID != cl.doc.UID && s.holding(cat, cl.doc.Roles, nil).gives()
}

// widerIssuer reports whether an issuer lets somebody act, in a new way, as a
// client that can reach values.
func (s *Store) widerIssuer(cat *catalog, old, next *issuer) bool {
	anew := next.vouchesAnew(old)
	for _, cl := range cat.clients {
		if slices.Contains(anew, cl.doc.UID) && s.holding(cat, cl.doc.Roles, nil).gives() {
			return true
		}
	}
	return false
}

// lessGuarded reports whether a value that the old definition guards is guarded
// less by the next: by its own declaration, by that of the parent that it goes
// back into, or by that of a field that is taken out of it.
func lessGuarded(old, next *collection) bool {
	for _, f := range old.fields {
		for _, now := range next.placesOf(f.Path) {
			if next.guardOf(now).weaker(old.guardOf(f)) {
				return true
			}
		}
	}
	for _, f := range next.fields {
		if _, had := old.names[f.Path]; had {
			continue
		}
		if parent, ok := old.ancestor(f.Path, false); ok && next.guardOf(f).weaker(old.guardOf(parent)) {
			return true
		}
	}
	return false
}

// placesOf returns the fields that a value of a path may be read as: the field
// of that path, and where the schema does not declare it the parent that it is
// put back into.
func (coll *collection) placesOf(path string) (list []access.FieldInfo) {
	for _, f := range coll.fields {
		if f.Path == path {
			list = append(list, f)
		}
	}
	if _, declared := coll.schema.Field(path); !declared {
		if parent, ok := coll.ancestor(path, true); ok {
			list = append(list, parent)
		}
	}
	return list
}

// ancestor returns the nearest field above a path, of those that are declared
// now or of all.
func (coll *collection) ancestor(path string, declared bool) (access.FieldInfo, bool) {
	for {
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return access.FieldInfo{}, false
		}
		path = path[:cut]
		for _, f := range coll.fields {
			if _, is := coll.schema.Field(path); f.Path == path && (is || !declared) {
				return f, true
			}
		}
	}
}

// guarding is all that a schema says to keep a value back.
type guarding struct {
	guard
	high bool
	mask string
}

func (coll *collection) guardOf(f access.FieldInfo) guarding {
	return guarding{guard: coll.guards[f.Path], high: f.High, mask: f.Mask}
}

func (g guarding) weaker(was guarding) bool {
	return was.high && !g.high || was.approval && !g.approval || was.purpose && !g.purpose ||
		was.mask != "" && g.mask != was.mask && g.mask != access.MaskRedact
}
