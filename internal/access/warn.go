package access

import (
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/strict"
)

// Declared is a collection and the paths of the fields that its schema
// declares.
type Declared struct {
	Integration, Collection string
	Paths                   []string
}

// Unmatched returns a warning for each rule that matches none of the given
// collections, and for each path that no collection matched by its rule
// declares: such a name grants nothing. A path counts as declared when a field
// lies under it.
func (r *Role) Unmatched(collections []Declared) []strict.Issue {
	var warnings []strict.Issue
	for i := range r.Rules {
		rule, at := &r.Rules[i], fmt.Sprintf("/rules/%d", i)
		declared, found := rule.declaredPaths(collections)
		if !found {
			warnings = append(warnings, strict.Issue{Pointer: at, Detail: "No collection matches this rule yet."})
			continue
		}
		warnings = append(warnings, rule.unmatched(at, declared)...)
	}
	return warnings
}

// declaredPaths returns the paths of all matching collections with their
// ancestors, and whether any collection matches.
func (r *Rule) declaredPaths(collections []Declared) (paths map[string]bool, found bool) {
	paths = map[string]bool{wildcard: true}
	for _, c := range collections {
		if !matchAny(r.Integrations, c.Integration) || !matchAny(r.Collections, c.Collection) {
			continue
		}
		found = true
		for _, path := range c.Paths {
			for cut := len(path); cut >= 0; cut = strings.LastIndexByte(path[:cut], '/') {
				paths[path[:cut]] = true
			}
		}
	}
	return paths, found
}

func (r *Rule) unmatched(at string, declared map[string]bool) []strict.Issue {
	const detail = "No matching schema declares this field, so naming it grants nothing."
	var warnings []strict.Issue
	for _, path := range sortedKeys(r.Read) {
		if !declared[path] {
			warnings = append(warnings, strict.Issue{Pointer: at + "/read/" + escape(path), Detail: detail})
		}
	}
	list := func(member string, names []string) {
		for i, path := range names {
			if !declared[path] {
				warnings = append(warnings, strict.Issue{Pointer: fmt.Sprintf("%s/%s/%d", at, member, i), Detail: detail})
			}
		}
	}
	list("write", r.Write)
	list("search", r.Search)
	return warnings
}

// Idle returns a warning for each member that can have no effect, because its
// rule lists no action that it speaks about: `read` without an action that
// hands out values, above all a `none` that then withholds nothing.
func (r *Role) Idle() []strict.Issue {
	var warnings []strict.Issue
	for i := range r.Rules {
		rule, at := &r.Rules[i], fmt.Sprintf("/rules/%d", i)
		add := func(member string, used bool, able bool, detail string) {
			if used && !able {
				warnings = append(warnings, strict.Issue{Pointer: at + member, Detail: detail})
			}
		}
		reads := slices.ContainsFunc(rule.Actions, Action.HandsOut)
		writes := slices.ContainsFunc(rule.Actions, Action.Writes)
		searches := slices.Contains(rule.Actions, ActionSearch)
		add("/read", len(rule.Read) > 0, reads, "This rule lists no action that hands out values, so it neither grants nor withholds reading.")
		add("/write", len(rule.Write) > 0, writes, "This rule lists no action that writes, so it grants no writing.")
		add("/write_labels", len(rule.WriteLabels) > 0, writes, "This rule lists no action that writes, so it grants no writing of labels.")
		add("/search", len(rule.Search) > 0, searches, "This rule does not list the action search, so it grants no searching.")
	}
	return warnings
}

// Surprising returns a warning for each member that works as it says and may
// not do what whoever wrote it wants.
func (r *Role) Surprising() []strict.Issue {
	var warnings []strict.Issue
	for i := range r.Rules {
		rule, at := &r.Rules[i], fmt.Sprintf("/rules/%d", i)
		makes := slices.Contains(rule.Actions, ActionCreate) || slices.Contains(rule.Actions, ActionImport)
		if makes && rule.condition != nil && rule.condition.ofRecord {
			warnings = append(warnings, strict.Issue{Pointer: at + "/when", Detail: "Creating depends on the record here, so this rule lets nobody choose the id of a new record."})
		}
		writes := newNameSet(rule.Write)
		for _, path := range sortedKeys(rule.Read) {
			g, _ := parseGrant(rule.Read[path])
			if g.spec().name == MaskHash && g.Kind == Masked && writes.covers(path) != uncovered {
				warnings = append(warnings, strict.Issue{Pointer: at + "/read/" + escape(path), Detail: "Whoever may write this field and read its hash can check guesses of other records' values."})
			}
		}
	}
	return warnings
}
