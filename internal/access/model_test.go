package access

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The model is the algebra of the package comment written down a second time,
// slowly and straight from its sentences: no compiled rules, no tables.
type model struct {
	rules  []Rule
	failed []Rule // rules whose condition could not be worked out
}

func (m model) granting(integration, collection string, a Action) []Rule {
	return granting(m.rules, integration, collection, a)
}

func granting(rules []Rule, integration, collection string, a Action) []Rule {
	var out []Rule
	for _, r := range rules {
		if globs(r.Integrations, integration) && globs(r.Collections, collection) && contains(r.Actions, a) {
			out = append(out, r)
		}
	}
	return out
}

func globs(patterns []string, name string) bool {
	for _, p := range patterns {
		if regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$").MatchString(name) {
			return true
		}
	}
	return false
}

func contains[S ~string](list []S, s S) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// entries returns what a rule names for a path, the most specific first.
func modelNames(path string, has func(string) bool) (exact bool, wide string, found bool) {
	exact = path != "*" && has(path)
	parts := strings.Split(path, "/")
	for n := len(parts) - 1; n > 0; n-- {
		if up := strings.Join(parts[:n], "/"); has(up) {
			return exact, up, true
		}
	}
	return exact, "*", has("*")
}

// modelOrder is the line in which the most permissive grant comes first.
var modelOrder = []string{
	"clear", "mask:first:5", "mask:first:2", "mask:email", "mask:domain", "mask:last4", "mask:year", "mask:hash",
	"mask:fixed:a", "mask:fixed:b", "mask:redact", "none",
}

// modelBelow lists what tells less than a grant, without none and what only
// tells that there is a value.
var modelBelow = map[string][]string{
	"mask:first:5": {"mask:first:2"},
	"mask:email":   {"mask:domain"},
}

// modelStricter is the most permissive grant that tells no more than either.
func modelStricter(a, b string) string {
	if rank(a) > rank(b) {
		a, b = b, a // b is not the more permissive one
	}
	bare := contains([]string{"mask:fixed:a", "mask:fixed:b", "mask:redact", "none"}, b)
	if a == b || a == "clear" || bare || contains(modelBelow[a], b) {
		return b
	}
	return "mask:redact"
}

func rank(g string) int {
	for i, have := range modelOrder {
		if have == g {
			return i
		}
	}
	panic(g)
}

// ruleSays returns "" when the rule says nothing.
func ruleSays(r Rule, f FieldInfo, declared bool) string {
	exact, wide, found := modelNames(f.Path, func(p string) bool { _, ok := r.Read[p]; return ok })
	if exact && (declared || r.Read[f.Path] == "none") {
		return r.Read[f.Path]
	}
	if !found {
		return ""
	}
	says := r.Read[wide]
	if says != "none" && f.High {
		return ""
	}
	if says != "none" && f.Mask != "" {
		says = modelStricter(says, "mask:"+f.Mask)
	}
	if exact {
		says = modelStricter(says, r.Read[f.Path])
	}
	return says
}

func (m model) read(integration, collection string, f FieldInfo, declared bool, a Action) string {
	if !contains([]Action{"read", "list", "search", "history", "export"}, a) {
		return "none"
	}
	for _, r := range granting(m.failed, integration, collection, a) {
		if ruleSays(onlyNone(r), f, declared) == "none" {
			return "none"
		}
	}
	best := "none"
	for _, r := range m.granting(integration, collection, a) {
		switch says := ruleSays(r, f, declared); {
		case says == "none":
			return "none"
		case says != "" && rank(says) < rank(best):
			best = says
		}
	}
	return best
}

// onlyNone keeps what a rule withholds.
func onlyNone(r Rule) Rule {
	kept := map[string]string{}
	for path, g := range r.Read {
		if g == "none" {
			kept[path] = g
		}
	}
	r.Read = kept
	return r
}

func (m model) listed(rules []Rule, list func(Rule) []string, f FieldInfo, declared bool) (exact, wide bool) {
	for _, r := range rules {
		names := list(r)
		e, _, w := modelNames(f.Path, func(p string) bool { return contains(names, p) })
		exact = exact || e && declared
		wide = wide || w
	}
	return exact, wide
}

func (m model) write(integration, collection string, f FieldInfo, declared bool, a Action) (may, explicit bool) {
	if !contains([]Action{"create", "update", "rollback", "import"}, a) {
		return false, false
	}
	masked := false
	for _, r := range []Action{"read", "list", "search", "history", "export"} {
		masked = masked || strings.HasPrefix(m.read(integration, collection, f, declared, r), "mask:")
	}
	exact, wide := m.listed(m.granting(integration, collection, a), func(r Rule) []string { return r.Write }, f, declared)
	return exact || wide && !f.High && !masked, exact
}

func (m model) search(integration, collection string, f FieldInfo, declared bool) bool {
	exact, wide := m.listed(m.granting(integration, collection, "search"), func(r Rule) []string { return r.Search }, f, declared)
	return declared && m.read(integration, collection, f, declared, "search") == "clear" && (exact || wide && !f.High)
}

// Small alphabets make rules meet.
var (
	modelNamesOf = []string{"acme", "acme-eu", "globex"}
	modelGlobs   = []string{"acme", "acme-*", "*", "*e*", "globex"}
	modelPaths   = []string{"a", "a/b", "a/b/c", "a/d", "b", "b/a", "ab", "*"}
	modelLabels  = []string{"region", "owner"}
)

func subset[S any](t *rapid.T, label string, from []S, least int) []S {
	var out []S
	for i, on := range rapid.SliceOfN(rapid.Bool(), len(from), len(from)).Draw(t, label) {
		if on {
			out = append(out, from[i])
		}
	}
	for len(out) < least {
		out = append(out, rapid.SampledFrom(from).Draw(t, label))
	}
	return out
}

func drawRule(t *rapid.T) Rule {
	r := Rule{
		Integrations: subset(t, "integrations", modelGlobs, 1),
		Collections:  subset(t, "collections", modelGlobs, 1),
		Actions:      subset(t, "actions", Actions(), 1),
		Read:         map[string]string{},
		Write:        subset(t, "write", modelPaths, 0),
		Search:       subset(t, "search", modelPaths, 0),
		WriteLabels:  subset(t, "labels", append([]string{"*"}, modelLabels...), 0),
	}
	for _, path := range subset(t, "read", modelPaths, 0) {
		// None is drawn seldom: it ends most decisions at once.
		r.Read[path] = rapid.SampledFrom(append(modelOrder, "clear", "clear", "clear", "mask:email")).Draw(t, "grant")
	}
	return r
}

func drawRules(t *rapid.T) []Rule {
	return rapid.SliceOfN(rapid.Custom(drawRule), 0, 4).Draw(t, "rules")
}

func drawFields(t *rapid.T) []FieldInfo {
	var fields []FieldInfo
	for _, path := range subset(t, "declared", modelPaths, 1) {
		fields = append(fields, FieldInfo{
			Path: path,
			Mask: rapid.SampledFrom([]string{"", "", "last4", "email", "domain", "first:2", "hash", "fixed:a", "redact"}).Draw(t, "x-mask"),
			High: rapid.IntRange(0, 3).Draw(t, "high") == 0,
		})
	}
	return fields
}

// split gives every rule a role of its own, or all of them one: that must make
// no difference.
func policyOf(rules []Rule, apart bool) *Policy {
	roles := map[string]*Role{"one": {Rules: rules}}
	names := []string{"one"}
	if apart {
		roles, names = map[string]*Role{}, nil
		for i := range rules {
			name := "r" + string(rune('a'+i))
			roles[name] = &Role{Rules: rules[i : i+1]}
			names = append(names, name)
		}
	}
	return NewPolicy(roles, names, false)
}

func TestDecisionsAgreeWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{rules: drawRules(t)}
		fields := drawFields(t)
		in, col := rapid.SampledFrom(modelNamesOf).Draw(t, "in"), rapid.SampledFrom(modelNamesOf).Draw(t, "col")
		d := policyOf(m.rules, rapid.Bool().Draw(t, "apart")).For(in, col, fields)
		compareAll(t, m, d, in, col, fields)
	})
}

func compareAll(t *rapid.T, m model, d *Decision, in, col string, fields []FieldInfo) {
	asked := make(map[string]bool)
	for _, f := range fields {
		asked[f.Path] = true
		compareField(t, m, d, in, col, f, true)
	}
	for _, path := range append(modelPaths, "a/b/x", "zz") {
		if !asked[path] {
			compareField(t, m, d, in, col, FieldInfo{Path: path}, false)
		}
	}
	for _, a := range append(Actions(), "fly") {
		if want := len(m.granting(in, col, a)) > 0; d.Allows(a) != want {
			t.Fatalf("Allows(%s) = %v, want %v", a, !want, want)
		}
		compareLabels(t, m, d, in, col, a)
	}
}

func compareField(t *rapid.T, m model, d *Decision, in, col string, f FieldInfo, declared bool) {
	for _, a := range append(Actions(), "fly") {
		if got, want := d.Read(a, f.Path).String(), m.read(in, col, f, declared, a); got != want {
			t.Fatalf("Read(%s, %+v, declared %v) = %s, want %s", a, f, declared, got, want)
		}
		may, explicit := m.write(in, col, f, declared, a)
		if got := d.MayWrite(a, f.Path); got != may {
			t.Fatalf("MayWrite(%s, %+v, declared %v) = %v, want %v", a, f, declared, got, may)
		}
		if got := d.MayWriteMasked(a, f.Path); got != explicit {
			t.Fatalf("MayWriteMasked(%s, %+v, declared %v) = %v, want %v", a, f, declared, got, explicit)
		}
	}
	if got, want := d.MaySearch(f.Path), m.search(in, col, f, declared); got != want {
		t.Fatalf("MaySearch(%+v, declared %v) = %v, want %v", f, declared, got, want)
	}
}

func compareLabels(t *rapid.T, m model, d *Decision, in, col string, a Action) {
	for _, name := range append(modelLabels, "other") {
		want := false
		for _, r := range m.granting(in, col, a) {
			want = want || contains(r.WriteLabels, name) || contains(r.WriteLabels, "*")
		}
		want = want && contains([]Action{"create", "update", "rollback", "import"}, a)
		if got := d.MayWriteLabel(a, name); got != want {
			t.Fatalf("MayWriteLabel(%s, %s) = %v, want %v", a, name, got, want)
		}
	}
}

func TestARuleWithoutNoneNeverWithholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, fields, more := drawRules(t), drawFields(t), drawRule(t)
		for path, g := range more.Read {
			if g == "none" {
				delete(more.Read, path)
			}
		}
		before := policyOf(rules, false).For("acme", "acme", fields)
		after := policyOf(append(rules[:len(rules):len(rules)], more), false).For("acme", "acme", fields)
		for _, f := range fields {
			for _, a := range Actions() {
				if b, c := before.Read(a, f.Path), after.Read(a, f.Path); rank(c.String()) > rank(b.String()) {
					t.Fatalf("%s %s: %s became %s", a, f.Path, b, c)
				}
			}
		}
	})
}

func TestHighIsReadOnlyWhereNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		for i := range rules {
			delete(rules[i].Read, "a/b")
		}
		d := policyOf(rules, false).For("acme", "acme", []FieldInfo{{Path: "a/b", High: true}})
		for _, a := range Actions() {
			if g := d.Read(a, "a/b"); g.Kind != None {
				t.Fatalf("%s gives %s of a field that no rule names", a, g)
			}
		}
	})
}

func TestHashFollowsReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := drawFields(t)
		a := policyOf(drawRules(t), false).For("acme", "acme", fields)
		b := policyOf(drawRules(t), false).For("acme", "acme", fields)
		for _, path := range append(modelPaths, "zz") {
			for _, act := range Actions() {
				if a.Hash() == b.Hash() && a.Read(act, path) != b.Read(act, path) {
					t.Fatalf("one hash, but %s of %s gives %s and %s", act, path, a.Read(act, path), b.Read(act, path))
				}
			}
		}
		rules := drawRules(t)
		reversed := make([]Rule, 0, len(rules))
		for i := range rules {
			reversed = append(reversed, rules[len(rules)-1-i])
		}
		if policyOf(rules, false).For("acme", "acme", fields).Hash() != policyOf(reversed, true).For("acme", "acme", fields).Hash() {
			t.Fatal("the order of the rules changes the hash")
		}
	})
}

func TestGlobAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{1,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
		if got, want := matchGlob(pattern, name), globs([]string{pattern}, name); got != want {
			t.Fatalf("matchGlob(%q, %q) = %v", pattern, name, got)
		}
	})
}
