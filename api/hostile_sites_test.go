package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// site is a place in a body where a value, or a member's name, can stand.
type site struct {
	path   []string // names of members; "0" is the first item of an array
	isName bool
}

func (s site) String() string {
	if s.isName {
		return "/" + strings.Join(s.path, "/") + "/(name)"
	}
	return "/" + strings.Join(s.path, "/")
}

// sitesOf finds every place that a schema of the document tells of.
func sitesOf(schema map[string]any, path []string) []site {
	var all []site
	if len(path) > 0 {
		all = append(all, site{path: path})
	}
	if len(path) > 8 {
		return all
	}
	below := func(name string, child any) {
		if child := theContract.resolve(child); child != nil {
			all = append(all, sitesOf(child, append(slices.Clone(path), name))...)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		below(name, properties[name])
	}
	if items, ok := schema["items"]; ok {
		below("0", items)
	}
	for _, member := range []string{"oneOf", "anyOf", "allOf"} {
		options, _ := schema[member].([]any)
		for _, option := range options {
			if child := theContract.resolve(option); child != nil {
				all = append(all, sitesOf(child, path)...)
			}
		}
	}
	if free, child := isFree(schema); free {
		all = append(all, site{path: path, isName: true})
		below("email", child)
	}
	return all
}

// isFree reports whether an object may have members of any name, and what they
// hold.
func isFree(schema map[string]any) (bool, any) {
	if schema["type"] != "object" {
		return false, nil
	}
	switch extra := schema["additionalProperties"].(type) {
	case map[string]any:
		return true, extra
	case bool:
		return extra, map[string]any{}
	}
	return schema["properties"] == nil, map[string]any{}
}

// resolve follows a reference.
func (c *contract) resolve(schema any) map[string]any {
	s, _ := schema.(map[string]any)
	for s["$ref"] != nil {
		s = c.at(strings.TrimPrefix(s["$ref"].(string), "#"))
	}
	return s
}

const placeholder = "placeholder-5c1d"

// put returns the base with a raw JSON text at the site, or with a member of
// that name there.
func (s site) put(base map[string]any, name, raw string) string {
	var tree any
	text, _ := json.Marshal(base)
	_ = json.Unmarshal(text, &tree)
	if s.isName {
		tree = graft(tree, append(slices.Clone(s.path), name), "a")
		text, _ = json.Marshal(tree)
		return string(text)
	}
	tree = graft(tree, s.path, placeholder)
	text, _ = json.Marshal(tree)
	return strings.Replace(string(text), `"`+placeholder+`"`, raw, 1)
}

// graft puts a value at a path and makes what is missing on the way. An item of
// an array takes the place of all of them.
func graft(tree any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	if path[0] == "0" {
		var first any
		if items, ok := tree.([]any); ok && len(items) > 0 {
			first = items[0]
		}
		return []any{graft(first, path[1:], value)}
	}
	members, ok := tree.(map[string]any)
	if !ok {
		members = map[string]any{}
	}
	members[path[0]] = graft(members[path[0]], path[1:], value)
	return members
}

// The suite is as good as the places it finds.
func TestSitesAreFound(t *testing.T) {
	found := map[string]bool{}
	for _, r := range targets() {
		if r.media == "" || r.media == mediaForm {
			continue
		}
		schema := theContract.resolve(r.op["requestBody"].(map[string]any)["content"].(map[string]any)[r.media].(map[string]any)["schema"])
		for _, s := range sitesOf(schema, nil) {
			found[r.id+" "+s.String()] = true
		}
	}
	for _, want := range []string{
		"createRecord /id", "createRecord /fields/email", "createRecord /fields/(name)", "createRecord /labels/(name)", "createRecord /labels/email",
		"createRecord /erase_at", "putRole /rules/0/integrations/0", "putRole /rules/0/read/(name)", "putRole /rules/0/read/email", "putClient /roles/0",
		"putCollection /schema/(name)", "putCollection /ttl", "searchRecords /cursor", "searchRecords /where/email", "upsertRecord /key",
		"putIntegration /description", "importRecords /labels/email", "rollbackRecord /revision", "createSecret /ttl",
	} {
		if !found[want] {
			t.Errorf("%s was not found", want)
		}
	}
}
