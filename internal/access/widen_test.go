package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// edit changes rules a little, in either direction.
func edit(t *rapid.T, rules []Rule) []Rule {
	var out []Rule
	for _, r := range rules {
		r.Read = maps.Clone(r.Read)
		switch rapid.IntRange(0, 9).Draw(t, "edit") {
		case 0:
			continue // gone
		case 1:
			for _, path := range sortedKeys(r.Read) {
				r.Read[path] = rapid.SampledFrom([]string{r.Read[path], "mask:redact", "none", "clear", "mask:last4"}).Draw(t, "grant")
			}
		case 2:
			for _, path := range sortedKeys(r.Read) {
				if rapid.Bool().Draw(t, "drop") {
					delete(r.Read, path)
				}
			}
		case 3:
			r.Actions = subset(t, "actions", r.Actions, 1)
		case 4:
			r.Write, r.Search, r.WriteLabels = subset(t, "write", r.Write, 0), subset(t, "search", r.Search, 0), nil
		case 5:
			out = append(out, r) // twice
		case 6:
			r.Integrations = []string{"acme"}
		case 7:
			r.Collections = append(slices.Clone(r.Collections), "a*")
		case 8:
			r.Actions = subset(t, "other actions", Actions(), 1)
		}
		out = append(out, r)
	}
	return out
}

// exceeds returns something that after lets a client do and before does not.
func exceeds(before, after *Decision, fields []FieldInfo, paths []string) string {
	for _, a := range Actions() {
		if after.Allows(a) && !before.Allows(a) {
			return fmt.Sprint(a)
		}
		for _, path := range paths {
			switch {
			case !noMore(after.Read(a, path), before.Read(a, path)):
				return fmt.Sprintf("%s of %s: %s, it was %s", a, path, after.Read(a, path), before.Read(a, path))
			case after.MayWrite(a, path) && !before.MayWrite(a, path), after.MayWriteMasked(a, path) && !before.MayWriteMasked(a, path):
				return fmt.Sprintf("writing %s by %s", path, a)
			case after.MaySearch(path) && !before.MaySearch(path):
				return "searching " + path
			}
		}
		for _, label := range append(modelLabels, "other") {
			if after.MayWriteLabel(a, label) && !before.MayWriteLabel(a, label) {
				return fmt.Sprintf("the label %s by %s", label, a)
			}
		}
	}
	return ""
}

// What is not found wider shows and allows no more: to who holds the role
// alone, and to who holds others beside it.
func TestWhatIsNotWiderGivesNoMore(t *testing.T) {
	narrower := 0
	rapid.Check(t, func(t *rapid.T) {
		before, fields := drawRules(t), drawFields(t)
		after, beside := edit(t, before), drawRules(t)
		paths := append(slices.Clone(modelPaths), "zz", "a/zz")
		for _, others := range [][]Rule{nil, beside} {
			old, now := append(slices.Clone(before), others...), append(slices.Clone(after), others...)
			if Wider([]*Role{{Rules: old}}, []*Role{{Rules: now}}) {
				continue
			}
			narrower++
			for _, in := range modelNamesOf {
				for _, col := range modelNamesOf {
					b, a := policyOf(old, false).For(in, col, fields), policyOf(now, false).For(in, col, fields)
					if what := exceeds(b, a, fields, paths); what != "" {
						t.Fatalf("not wider, and yet it gives %s in %s/%s\nbefore %+v\nafter %+v\nfields %+v", what, in, col, old, now, fields)
					}
				}
			}
		}
	})
	if narrower == 0 {
		t.Error("none of the changes was found to be narrower: the test shows nothing")
	}
}

func TestWiderAndNot(t *testing.T) {
	rule := func(members string) string {
		return `{"integrations":["acme-*"],"collections":["customers"],"actions":["read","list"],` + members + `}`
	}
	base := rule(`"read":{"email":"mask:email","ssn":"none","customer":"clear","*":"clear"}`)
	for _, c := range []struct {
		what          string
		before, after string
		wider         bool
	}{
		{"the same", base, base, false},
		{"from nothing", ``, base, true},
		{"to nothing", base, ``, false},
		{"one rule in two", base, strings.Replace(base, `"read","list"`, `"read"`, 1) + "," + strings.Replace(base, `"read","list"`, `"list"`, 1), false},
		{"fewer integrations", base, strings.Replace(base, "acme-*", "acme-eu", 1), false},
		{"more integrations", base, strings.Replace(base, "acme-*", "*", 1), true},
		{"globs that only look narrower", base, strings.Replace(base, "acme-*", "acm*-eu", 1), true},
		{"one more action", base, strings.Replace(base, `"read","list"`, `"read","list","export"`, 1), true},
		{"clear for a mask", base, strings.Replace(base, "mask:email", "clear", 1), true},
		{"another mask", base, strings.Replace(base, "mask:email", "mask:last4", 1), true},
		{"redact for a mask", base, strings.Replace(base, "mask:email", "mask:redact", 1), false},
		{"without its none", base, strings.Replace(base, `"ssn":"none",`, "", 1), true},
		{"without a member that * covers", base, strings.Replace(base, `"customer":"clear",`, "", 1), false},
		{"none for a parent", base, strings.Replace(base, `"customer":"clear"`, `"customer":"none"`, 1), false},
		{"a child that is held back", base, strings.Replace(base, `"customer":"clear"`, `"customer":"clear","customer/phone":"none"`, 1), false},
		{"writing", base, rule(`"read":{"*":"clear"},"write":["email"]`), true},
		{"a none beside", base, base + `,` + rule(`"read":{"customer":"none"}`), false},
		{"a none beside, for more collections: they can be listed now", base, base + `,{"integrations":["*"],"collections":["*"],"actions":["list"],"read":{"customer":"none"}}`, true},
		{"a none elsewhere goes", base + `,` + rule(`"read":{"customer":"none"}`), base, true},
		{"a none goes that nothing is left to hold back for", rule(`"read":{"customer":"none"}`), ``, false},
	} {
		if got := Wider(rolesOf(t, c.before), rolesOf(t, c.after)); got != c.wider {
			t.Errorf("%s: wider is %v, want %v", c.what, got, c.wider)
		}
	}
}

func rolesOf(t *testing.T, rules string) []*Role {
	t.Helper()
	role, err := ParseRole([]byte(`{"rules":[` + rules + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return []*Role{role}
}

// A condition narrows; another one in its place may do anything.
func TestWiderWithConditions(t *testing.T) {
	with := func(when string) []*Role {
		return []*Role{{Rules: []Rule{{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{"read"},
			Read: map[string]string{"*": "clear"}, When: []byte(when)}}}}
	}
	for _, c := range []struct {
		before, after string
		wider         bool
	}{
		{``, `"a"`, false}, {`"a"`, `"a"`, false}, {`"a"`, ``, true}, {`"a"`, `"b"`, true},
	} {
		if got := Wider(with(c.before), with(c.after)); got != c.wider {
			t.Errorf("from %q to %q: wider is %v", c.before, c.after, got)
		}
	}
}

// What takes too long to prove is wider, unless it is the very same.
func TestAProofTooLongCountsAsWider(t *testing.T) {
	big := &Role{}
	for i := range 200 {
		big.Rules = append(big.Rules, Rule{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{"read"},
			Read: map[string]string{fmt.Sprintf("f%d", i): "clear"}})
	}
	copied := *big
	if !Wider([]*Role{big}, []*Role{&copied}) || Wider([]*Role{big}, []*Role{big}) {
		t.Error("a long proof is not refused, or is asked for where nothing changed")
	}
}
