package store_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/audit"
	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/kv"
)

// place is what something that a store shows is about: a record, or with none
// a definition.
type place struct{ integration, record string }

// sight is one way to look at a place.
type sight struct {
	place
	how string
}

// seen is everything that a store shows, by every way there is. An error is
// its code behind a !.
type seen map[sight]string

const refusal = "!integrity"

func (v seen) note(p place, how, what string, err error) {
	if err != nil {
		what = "!" + store.Code(err)
	}
	v[sight{p, how}] = what
}

// told is a record as it was shown.
func told(rec *store.Record) string {
	if rec.Damaged {
		return refusal
	}
	return fmt.Sprintf("revision %d labels %v fields %s", rec.Revision, rec.Labels, schema.Join(rec.Fields))
}

// look sees everything that a store of fill shows.
func (r *rich) look(s *store.Store) seen {
	v := seen{}
	for _, name := range []string{"acme", "globex"} {
		v.lookAtDefinitions(s, name)
		for i := range 3 {
			v.lookAtRecord(s, in(name, "customers"), fmt.Sprint("rec-", i), i)
		}
		v.lookAtLists(s, in(name, "customers"))
	}
	v.lookAtClients(s, r.secret)
	return v
}

func (v seen) lookAtDefinitions(s *store.Store, name string) {
	c := anyone()
	integration, err := s.GetIntegration(always, c, name)
	v.note(place{integration: name}, "integration", fmt.Sprint(integration), err)
	coll, err := s.GetCollection(always, c, in(name, "customers"))
	coll.Records = nil
	v.note(place{integration: name}, "collection", fmt.Sprintf("%+v", coll), err)
}

// lookAtRecord reads a record in every way that names it.
func (v seen) lookAtRecord(s *store.Store, coll store.CollectionRef, id string, i int) {
	c, at := anyone(), place{coll.Integration, id}
	ref := store.RecordRef{CollectionRef: coll, Record: id}
	for how, o := range map[string]store.ReadOptions{
		"read": {}, "metadata": {Metadata: true}, "revision 1": {Revision: 1}, "revision 2": {Revision: 2}, "previous": {Previous: true},
	} {
		rec, err := s.GetRecord(always, c, ref, o)
		v.note(at, how, told(&rec), err)
	}
	field, err := s.GetField(always, c, ref, "customer/phone", store.ReadOptions{})
	v.note(at, "field", string(field.JSON), err)
	revisions, err := s.ListRevisions(always, c, ref)
	v.note(at, "history", fmt.Sprint(revisions), err)
	unique := []schema.Value{{Path: "external_id", JSON: fmt.Appendf(nil, `"x%d"`, i)}}
	rec, err := s.LookupRecord(always, c, coll, unique, store.ReadOptions{})
	v.note(at, "lookup", told(&rec), err)
	again := store.RecordInput{ID: id, Fields: fieldsOf(coll, i)}
	res, err := s.CreateRecord(always, c, coll, again, store.WriteOptions{IdempotencyKey: id, Route: coll.Integration, Request: again.Fields})
	v.note(at, "repeat", fmt.Sprintf("revision %d of %s", res.Revision, res.ID), err)
}

// lookAtLists notes each record that a list shows.
func (v seen) lookAtLists(s *store.Store, coll store.CollectionRef) {
	for how, o := range map[string]store.ListOptions{
		"list": {AllFields: true}, "list by label": {AllFields: true, Labels: map[string]string{"region": "eu"}},
		"list by change": {AllFields: true, UpdatedAfter: time.Unix(1, 0)},
	} {
		page, err := s.ListRecords(always, anyone(), coll, o)
		v.noteEach(coll, how, page.Records, err)
	}
	page, err := s.SearchRecords(always, anyone(), coll, store.SearchOptions{Where: []schema.Value{{Path: "email", JSON: fmt.Appendf(nil, `"a0@%s.c"`, coll.Integration)}}})
	v.noteEach(coll, "search", page.Records, err)
	var exported []store.Record
	_, err = s.ExportRecords(always, anyone(), coll, store.ListOptions{}, func(rec *store.Record) error {
		exported = append(exported, *rec)
		return nil
	})
	v.noteEach(coll, "export", exported, err)
}

func (v seen) noteEach(coll store.CollectionRef, how string, records []store.Record, err error) {
	for i := range 4 {
		v.note(place{coll.Integration, fmt.Sprint("rec-", i)}, how, "", err)
	}
	for i := range records {
		v.note(place{coll.Integration, records[i].ID}, how, told(&records[i]), nil)
	}
}

// lookAtClients sees roles and clients, and what a client with a role reads.
func (v seen) lookAtClients(s *store.Store, known store.NewSecret) {
	c, at := anyone(), place{}
	for _, name := range []string{"reader", "guest"} {
		role, err := s.GetRole(always, c, name)
		v.note(at, "role "+name, string(role.Raw), err)
	}
	cl, err := s.GetClient(always, c, "invoicing")
	v.note(at, "client", fmt.Sprint(cl), err)
	who, err := s.VerifySecret(always, store.Attempt{Client: "invoicing"}, known.Secret)
	v.note(at, "secret", fmt.Sprint(who), err)
	p, err := s.Principal(&store.TokenRef{Client: "invoicing", ClientUID: cl.UID, SecretID: known.ID})
	v.note(at, "principal", fmt.Sprint(p != nil && p.Labels["owner"] == "o1"), err)
	if err == nil {
		rec, err := s.GetRecord(always, p, store.RecordRef{CollectionRef: in("acme", "customers"), Record: "rec-0"}, store.ReadOptions{})
		v.note(place{"acme", "rec-0"}, "read by role", told(&rec), err)
	}
}

// opened is a store on an engine with an audit log of its own.
type opened struct {
	*store.Store
	dir string
	log *audit.Log
}

// reopen opens a store on an engine as after a restart.
func (r *rich) reopen(t testing.TB, engine kv.Engine, dir string) (*opened, error) {
	t.Helper()
	log, err := audit.Open(dir, audit.Options{})
	need(t, err)
	d, now := r.deps, r.now
	d.Now = func() time.Time { now = now.Add(time.Millisecond); return now } // thousands of looks must not take an hour
	d.Counting = limits.New(d.Now)
	d.Engine, d.Audit, d.Logger = engine, log, slog.New(slog.DiscardHandler)
	s, err := store.Open(always, d)
	if err != nil {
		need(t, log.Close())
		return nil, err
	}
	return &opened{s, dir, log}, nil
}

func (o *opened) close(t testing.TB) {
	t.Helper()
	need(t, o.Store.Close())
	need(t, o.log.Close())
}

// within makes a folder for an audit log under the test's own.
func within(t testing.TB, root string, n int) string {
	t.Helper()
	return filepath.Join(root, fmt.Sprint(n))
}

// owns reports whether what was shown of a record is of that record: values of
// fill name the integration and the number of theirs.
func owns(p place, shown string) bool {
	number := strings.TrimPrefix(p.record, "rec-")
	return strings.Contains(shown, fmt.Sprintf(`"email":"a%s@%s.c"`, number, p.integration))
}
