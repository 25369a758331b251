package store

import (
	"bytes"
	"slices"

	"strongroom/internal/access"
	"strongroom/internal/schema"
)

// permit refuses a write that names fields or labels that the caller may not
// write.
func (w *writer) permit(in RecordInput, f *found) error {
	values, err := w.split(orEmptyObject(in.Fields))
	if err != nil {
		return err
	}
	return w.permitValues(values, in, f)
}

func (w *writer) permitValues(values []schema.Value, in RecordInput, f *found) error {
	var pointers []string
	for i, v := range values {
		if !w.mayWrite(v, values[i+1:]) {
			pointers = append(pointers, "/fields/"+v.Path)
		}
	}
	for _, key := range w.labelsNamed(in, f) {
		if !w.mayWriteLabel(key) {
			pointers = append(pointers, "/labels/"+key)
		}
	}
	if len(pointers) > 0 {
		return &FieldsForbidden{Pointers: pointers}
	}
	return nil
}

func orEmptyObject(doc []byte) []byte {
	if len(doc) == 0 {
		return []byte("{}")
	}
	return doc
}

// mayWrite judges one field of a request. The empty rest of a parent that was
// only written to hold nested fields counts as they do. A parent that a patch
// removes or replaces needs the grant of every field under it.
func (w *writer) mayWrite(v schema.Value, rest []schema.Value) bool {
	if emptyParent(v) && hasNested(v.Path, rest) {
		return true
	}
	if !w.mayWriteOne(v.Path) || w.redactedBack(v) {
		return false
	}
	if isObject(v.JSON) {
		return true
	}
	for _, f := range w.sc.collection.schema.Fields() {
		if f.Nested && f.Top == v.Path && !w.mayWriteOne(f.Path) {
			return false
		}
	}
	return true
}

// mayWriteOne also holds back the field that the caller reads masked, unless
// it is named: a client that writes back what it read would store the mask.
func (w *writer) mayWriteOne(path string) bool {
	d := w.sc.decision
	if !w.mayWriteField(path) {
		return false
	}
	_, guarded := w.sc.collection.guards[path] // read masked without a permit
	return d.Read(access.ActionRead, path).Kind != access.Masked && !guarded || d.MayWriteMasked(w.action, path)
}

// redactedBack reports whether a value is what a client is shown whose budget of
// exposure is used up: one that writes back what it read would store that.
func (w *writer) redactedBack(v schema.Value) bool {
	return w.sc.spending != nil && w.sc.decision.Read(access.ActionRead, v.Path).Kind != access.None &&
		bytes.Equal(v.JSON, access.Mask(nil, access.MaskRedact, nil, nil))
}

func emptyParent(v schema.Value) bool { return string(bytes.TrimSpace(v.JSON)) == "{}" }

func hasNested(parent string, values []schema.Value) bool {
	return slices.ContainsFunc(values, func(v schema.Value) bool {
		return len(v.Path) > len(parent) && v.Path[:len(parent)] == parent && v.Path[len(parent)] == '/'
	})
}

func isObject(json []byte) bool {
	json = bytes.TrimSpace(json)
	return len(json) > 0 && json[0] == '{'
}
