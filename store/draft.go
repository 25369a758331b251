package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/schema"
)

// draft is what a revision is to hold, before it is sealed. It is made from
// the record as it was found; when that has changed by the time of the write,
// it is made again.
type draft struct {
	id         string
	values     []schema.Value
	labels     []Label
	created    time.Time
	updated    time.Time
	validUntil time.Time
	eraseAt    time.Time
	isNew      bool // 201: there was no (live) record

	decision *access.Decision // as its own header settles it; nil: as the record's did
}

// writer makes drafts for a caller: it knows what the caller may write. That
// must be allowed by the labels that a record has, and by those that it gets.
type writer struct {
	s      *Store
	sc     scope
	after  *access.Decision // by the labels that the record gets; nil: the same
	action access.Action
	now    time.Time
}

// settle settles what the caller may write by the labels that the record gets.
func (w *writer) settle(id string, old *header, in RecordInput) error {
	if w.sc.base.Settled() {
		return nil
	}
	labels, err := w.labels(old, in)
	if err != nil {
		return err
	}
	after := w.sc.on(id, labels)
	if !after.allows(w.action) {
		return &FieldsForbidden{Pointers: []string{"/labels"}}
	}
	if old == nil {
		w.sc = after
		return nil
	}
	w.after = after.decision
	for _, key := range changedLabels(old.labels, labels) {
		if !w.mayWriteLabel(key) {
			return &FieldsForbidden{Pointers: []string{"/labels/" + key}}
		}
	}
	return nil
}

// changedLabels returns the keys of labels that come, go or change.
func changedLabels(old, labels []Label) (keys []string) {
	for _, l := range labels {
		if !slices.Contains(old, l) {
			keys = append(keys, l.Key)
		}
	}
	for _, l := range old {
		if !slices.ContainsFunc(labels, func(n Label) bool { return n.Key == l.Key }) {
			keys = append(keys, l.Key)
		}
	}
	return keys
}

// mayWriteField and mayWriteLabel ask both decisions.
func (w *writer) mayWriteField(path string) bool {
	return w.sc.decision.MayWrite(w.action, path) && (w.after == nil || w.after.MayWrite(w.action, path))
}

func (w *writer) mayWriteLabel(key string) bool {
	return w.sc.decision.MayWriteLabel(w.action, key) && (w.after == nil || w.after.MayWriteLabel(w.action, key))
}

// fresh drafts a record that does not exist.
func (w *writer) fresh(id string, in RecordInput) (draft, error) {
	if err := w.settle(id, nil, in); err != nil {
		return draft{}, err
	}
	values, err := w.check(in.Fields)
	if err != nil {
		if denied := w.permit(in, nil); denied != nil {
			err = denied // what it may not write comes before what does not fit
		}
		return draft{}, err
	}
	if err := w.permitValues(values, in, nil); err != nil {
		return draft{}, err
	}
	d := draft{id: id, values: values, created: w.now, updated: w.now, isNew: true, decision: w.sc.decision}
	return d, w.attributes(&d, nil, in)
}

// anew drafts a record on an id that no reader finds one by. Where a deleted one
// can still be brought back, only who may erase it takes its place.
func (w *writer) anew(id string, f *found, in RecordInput) (draft, error) {
	if f.undeletable(w.now) && !w.sc.on(id, f.revision.header.labels).allows(access.ActionErase) {
		return draft{}, errDeletedHere
	}
	return w.fresh(id, in)
}

// errDeletedHere comes when a record is to be made in the place of a deleted one
// that can be brought back.
var errDeletedHere = fmt.Errorf("%w: a deleted record is kept here; undelete it, or expunge it", ErrConflict)

// replacing drafts what a PUT makes of a record: the caller's fields are as it
// says, those that it may not write are carried over.
func (w *writer) replacing(id string, f *found, in RecordInput) (draft, error) {
	present, err := w.changing(id, f, in)
	if err != nil {
		return draft{}, err
	}
	doc := in.Fields
	if kept := w.kept(present); len(kept) > 0 {
		values, err := w.split(in.Fields)
		if err != nil {
			return draft{}, err
		}
		doc = schema.Join(overlay(kept, values))
	}
	return w.revise(id, f, in, doc)
}

// merging drafts what a PATCH makes of a record (RFC 7396).
func (w *writer) merging(id string, f *found, in RecordInput) (draft, error) {
	present, err := w.changing(id, f, in)
	if err != nil {
		return draft{}, err
	}
	doc := schema.Join(present)
	if len(in.Fields) > 0 {
		if doc, err = schema.MergePatch(doc, in.Fields); err != nil {
			return draft{}, asInvalid("/fields", err)
		}
	}
	return w.revise(id, f, in, doc)
}

// changing judges a change of a record and returns the values that it has.
func (w *writer) changing(id string, f *found, in RecordInput) ([]schema.Value, error) {
	if err := w.settle(id, &f.revision.header, in); err != nil {
		return nil, err
	}
	if err := w.permit(in, f); err != nil {
		return nil, err
	}
	return w.present(f)
}

func (w *writer) revise(id string, f *found, in RecordInput, doc []byte) (draft, error) {
	values, err := w.check(doc)
	if err != nil {
		return draft{}, err
	}
	d := draft{id: id, values: values, created: f.revision.header.created, updated: w.now, decision: w.after}
	if d.decision == nil {
		d.decision = w.sc.decision
	}
	return d, w.attributes(&d, &f.revision.header, in)
}

// present opens the record as it is, split by the current schema. The caller
// does not get to see it.
func (w *writer) present(f *found) ([]schema.Value, error) {
	values, err := openAll(&f.revision, f.opener)
	if err != nil || f.revision.header.schemaVersion == w.sc.collection.doc.SchemaVersion {
		return values, err
	}
	return w.sc.collection.schema.Resplit(values), nil
}

// kept returns the present fields that the caller may not write.
func (w *writer) kept(present []schema.Value) (kept []schema.Value) {
	for _, v := range present {
		if !w.mayWriteField(v.Path) {
			kept = append(kept, v)
		}
	}
	return kept
}

// overlay puts written values over kept ones.
func overlay(kept, written []schema.Value) []schema.Value {
	out := make([]schema.Value, 0, len(kept)+len(written))
	for _, k := range kept {
		if !slices.ContainsFunc(written, func(v schema.Value) bool { return v.Path == k.Path && !emptyParent(v) }) {
			out = append(out, k)
		}
	}
	for _, v := range written {
		if !slices.ContainsFunc(out, func(k schema.Value) bool { return k.Path == v.Path }) {
			out = append(out, v)
		}
	}
	return out
}

func (w *writer) split(doc []byte) ([]schema.Value, error) {
	values, err := w.sc.collection.schema.Split(doc)
	return values, asInvalid("/fields", err)
}

// labelsNamed returns the labels that a request changes. One that it repeats as
// it is counts as unchanged only for a caller that may see labels: others could
// ask for the value by it.
func (w *writer) labelsNamed(in RecordInput, f *found) []string {
	if in.PatchLabels != nil {
		return slices.Sorted(maps.Keys(in.PatchLabels))
	}
	if !in.SetLabels {
		return nil
	}
	named := map[string]bool{}
	for key, value := range in.Labels {
		if f == nil || !w.seesHeader() || !hasLabel(f.revision.header.labels, key, value) {
			named[key] = true
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// seesHeader reports whether the caller is shown the labels and times of a record.
func (w *writer) seesHeader() bool {
	d := w.sc.decision
	return d.Allows(access.ActionRead) || d.Allows(access.ActionList) || d.Allows(access.ActionSearch) || d.Allows(access.ActionExport)
}

func hasLabel(labels []Label, key, value string) bool {
	return slices.Contains(labels, Label{key, value})
}

// check validates a document and splits it. What is wrong with members that
// the caller neither wrote nor may see is told without naming them.
func (w *writer) check(doc []byte) ([]schema.Value, error) {
	if len(doc) > w.s.limits.RecordBytes {
		return nil, invalid("/fields", "the fields of a record are larger than this store allows")
	}
	values, err := w.sc.collection.schema.Check(orEmptyObject(doc))
	if err != nil {
		return nil, w.discreet(err)
	}
	if len(values) > w.s.limits.Fields {
		return nil, invalid("/fields", "the record has more fields than this store allows")
	}
	return values, nil
}

func (w *writer) discreet(err error) error {
	err = asInvalid("/fields", err)
	bad, ok := err.(*Invalid)
	if !ok {
		return err
	}
	for i, issue := range bad.Issues {
		if !w.visible(strings.TrimPrefix(issue.Pointer, "/fields/")) || w.namesUnseen(issue.Detail) {
			bad.Issues[i] = schema.Issue{Pointer: "/fields", Detail: "a member that this client may not see does not fit the schema"}
		}
	}
	return bad
}

// visible reports whether the caller reads or writes a member: by the grant of
// the field that it is, or is a part of.
func (w *writer) visible(path string) bool {
	for strings.Contains(path, "/") && w.sc.collection.names[path] == "" {
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return w.sc.decision.Read(access.ActionRead, path).Kind != access.None || w.sc.decision.MayWrite(w.action, path)
}

// namesUnseen reports whether a detail quotes a member that the caller may not
// see: one that is required beside it, say.
func (w *writer) namesUnseen(detail string) bool {
	for _, f := range w.sc.collection.fields {
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		if strings.Contains(detail, strconv.Quote(name)) && !w.visible(f.Path) {
			return true
		}
	}
	return false
}

// attributes sets labels and times: those of the request, else those that the
// record has.
func (w *writer) attributes(d *draft, old *header, in RecordInput) (err error) {
	if d.labels, err = w.labels(old, in); err != nil {
		return err
	}
	d.validUntil, d.eraseAt = in.ValidUntil.Time, in.EraseAt.Time
	if old != nil && !in.ValidUntil.Given {
		d.validUntil = old.validUntil
	}
	if old != nil {
		d.eraseAt = old.eraseAt
	}
	if old != nil && in.EraseAt.Given {
		if err := w.reschedule(d, old, in); err != nil {
			return err
		}
	}
	if in.EraseAt.Given && !d.eraseAt.IsZero() && !d.eraseAt.After(w.now) {
		return invalid("/erase_at", "want a time in the future")
	}
	return checkTimes(d)
}

// reschedule sets the erase_at of a record that is there. Another one is for
// whoever may erase the record: its time ends fields that the caller may not
// write. To repeat what is shown, which can be the collection's, changes nothing
// for a caller that is shown it.
func (w *writer) reschedule(d *draft, old *header, in RecordInput) error {
	switch given := micros(in.EraseAt.Time); {
	case w.mayErase():
		d.eraseAt = in.EraseAt.Time
	case w.seesHeader() && (given == micros(old.eraseAt) || given == micros(w.sc.collection.eraseTime(old))):
		d.eraseAt = old.eraseAt
	default:
		return &FieldsForbidden{Pointers: []string{"/erase_at"}}
	}
	return nil
}

func (w *writer) mayErase() bool {
	return w.sc.decision.Allows(access.ActionErase) && (w.after == nil || w.after.Allows(access.ActionErase))
}

// labels returns the labels that a write leaves.
func (w *writer) labels(old *header, in RecordInput) ([]Label, error) {
	labels := map[string]string{}
	if in.SetLabels {
		maps.Copy(labels, in.Labels)
	}
	if old != nil {
		w.keepLabels(labels, old, in)
	}
	for key, value := range in.PatchLabels {
		if value == nil {
			delete(labels, key)
		} else {
			labels[key] = *value
		}
	}
	if err := checkLabels(labels); err != nil {
		return nil, err
	}
	return sortLabels(labels), nil
}

// keepLabels carries labels over: all when the request says nothing of them,
// else those that the caller may not write and did not name.
func (w *writer) keepLabels(labels map[string]string, old *header, in RecordInput) {
	for _, l := range old.labels {
		_, named := in.Labels[l.Key]
		if !in.SetLabels || !named && !w.sc.decision.MayWriteLabel(w.action, l.Key) {
			labels[l.Key] = l.Value
		}
	}
}

// checkTimes refuses times that the header cannot hold.
func checkTimes(d *draft) error {
	for _, c := range [...]struct {
		pointer string
		at      time.Time
	}{{"/valid_until", d.validUntil}, {"/erase_at", d.eraseAt}} {
		if !c.at.IsZero() && (c.at.Year() < 1971 || c.at.Year() > 9999) {
			return invalid(c.pointer, "want a time between 1971 and 9999")
		}
	}
	return nil
}

func sortLabels(labels map[string]string) []Label {
	if len(labels) == 0 {
		return nil
	}
	out := make([]Label, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, Label{key, labels[key]})
	}
	return out
}
