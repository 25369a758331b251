package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store/kv"
)

// criterion is one equality of a search.
type criterion struct {
	field  schema.Field
	normal []byte
}

// criteria checks what a search asks: indexed fields that the caller may
// search, and whose index is complete.
func (s *Store) criteria(sc scope, where []schema.Value) ([]criterion, error) {
	if len(where) == 0 {
		return nil, invalid("/where", "name at least one indexed field")
	}
	if len(where) > maxCriteria {
		return nil, invalid("/where", "a search names at most "+strconv.Itoa(maxCriteria)+" fields")
	}
	out := make([]criterion, 0, len(where))
	for _, v := range where {
		if !sc.decision.CouldSearch(v.Path) || sc.guardsSearch(v.Path) {
			return nil, &FieldsForbidden{Pointers: []string{"/where/" + v.Path}}
		}
		c, err := sc.collection.criterion(v)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (coll *collection) criterion(v schema.Value) (criterion, error) {
	f, ok := coll.indexedField(v.Path)
	if !ok {
		return criterion{}, invalid("/where/"+v.Path, "this field has no index (x-index)")
	}
	if coll.filling[v.Path] {
		return criterion{}, fmt.Errorf("%w: the index of %s is being filled", ErrConflict, strconv.Quote(v.Path))
	}
	normal, err := schema.Normalise(f.Normalise, v.JSON)
	if err != nil || normal == nil {
		return criterion{}, invalid("/where/"+v.Path, "a value of this type cannot be searched for")
	}
	return criterion{field: f, normal: normal}, nil
}

// SearchRecords returns the records whose indexed fields have these values.
// The blind index proposes candidates; each is decrypted and compared.
func (s *Store) SearchRecords(ctx context.Context, c Caller, ref CollectionRef, o SearchOptions) (page Page, err error) {
	op := s.start(c, access.ActionSearch, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionSearch, ref)
	if err != nil {
		return page, err
	}
	op.searched(sc, o.Where)
	criteria, err := s.criteria(sc, o.Where)
	if err != nil {
		return page, err
	}
	limit, err := pageLimit(o.Limit)
	if err != nil {
		return page, err
	}
	w := s.searching(sc, criteria, o.Labels, o.Fields, limit)
	return s.onePage(ctx, op, w, searchQuery(c, sc, criteria, o), o.Cursor)
}

// searched notes the fields that a search names. A name that no schema declares
// can be anything, and stays out of the log.
func (op *operation) searched(sc scope, where []schema.Value) {
	for _, v := range where {
		if _, declared := sc.collection.names[v.Path]; declared && len(op.entry.Searched) < maxCriteria {
			op.entry.Searched = append(op.entry.Searched, v.Path)
		}
	}
}

// maxCriteria bounds the fields of a search.
const maxCriteria = 8

func searchQuery(c Caller, sc scope, criteria []criterion, o SearchOptions) *query {
	q := newQuery(c, sc.collection, "search")
	q.add(strconv.Itoa(len(criteria)), strconv.Itoa(len(o.Labels))) // what follows is of one kind each
	for _, cr := range criteria {
		q.add(cr.field.Path, string(cr.normal))
	}
	q.addLabels(o.Labels)
	q.add(o.Fields...)
	return q
}

func (s *Store) searching(sc scope, criteria []criterion, labels map[string]string, fields []string, limit int) *walk {
	lead := leading(criteria)
	w := &walk{s: s, sc: sc, action: access.ActionSearch, fields: fields, all: fields == nil, limit: limit}
	w.match = func(sc scope, rev *revision, opener envelope.Opener) (bool, error) {
		if !(&ListOptions{Labels: labels}).matches(&rev.header) || !sc.maySearch(criteria) {
			return false, nil
		}
		return sc.collection.holds(rev, opener, criteria)
	}
	w.next, w.indexed = byToken(sc.collection, lead), true
	return w
}

// maySearch reports whether the caller may find a record by these fields.
func (sc scope) maySearch(criteria []criterion) bool {
	return !slices.ContainsFunc(criteria, func(c criterion) bool { return !sc.decision.MaySearch(c.field.Path) })
}

// leading returns the criterion that proposes the fewest candidates: a unique
// field before others.
func leading(criteria []criterion) criterion {
	for _, c := range criteria {
		if c.field.Index == schema.IndexUnique {
			return c
		}
	}
	return criteria[0]
}

// byToken walks the records with the token of a value, whatever generation of
// the index key it is of; a position is an id. A record has a token of one
// generation, and the same id when it gets one of another: whoever turns pages
// meanwhile sees it once.
func byToken(coll *collection, lead criterion) proposer {
	return func(tx kv.ReadTx, dom *envelope.Domain, position string, visit func(position, id string) bool) {
		var prefixes [][]byte
		for _, generation := range dom.IndexGenerations() {
			token := dom.TokenAt(generation, coll.doc.UID, lead.field.Path, lead.normal, coll.bitsOf(lead.field))
			prefixes = append(prefixes, indexPrefix(coll.doc.UID, lead.field.Path, generation, token))
		}
		mergeIDs(tx, prefixes, position, func(id string) bool { return visit(id, id) })
	}
}

// mergeIDs hands the ids under prefixes of the Index table that come after a
// position to visit, in order and each once, until visit returns false.
func mergeIDs(tx kv.ReadTx, prefixes [][]byte, position string, visit func(id string) bool) {
	if len(prefixes) == 1 {
		prefix := prefixes[0]
		tx.Scan(kv.Index, from(prefix, position), after(prefix), func(key, _ []byte) bool {
			return visit(string(key[len(prefix):]))
		})
		return
	}
	heads := make([]string, len(prefixes)) // "" when nothing is left
	for i, prefix := range prefixes {
		heads[i] = nextID(tx, prefix, position)
	}
	for {
		least := ""
		for _, id := range heads {
			if least == "" || id != "" && id < least {
				least = id
			}
		}
		if least == "" || !visit(least) {
			return
		}
		for i, prefix := range prefixes {
			if heads[i] == least {
				heads[i] = nextID(tx, prefix, least)
			}
		}
	}
}

// nextID returns the first id under a prefix of the Index table that comes after
// a position, "" when there is none.
func nextID(tx kv.ReadTx, prefix []byte, position string) (id string) {
	tx.Scan(kv.Index, from(prefix, position), after(prefix), func(key, _ []byte) bool {
		id = string(key[len(prefix):])
		return false
	})
	return id
}

// indexCurrent finds out whether a domain can look wherever index tokens may
// stand: one that was opened before a rotation would miss what was written since,
// and nobody would notice. errStaleKeys when not.
func indexCurrent(tx kv.ReadTx, coll *collection, dom *envelope.Domain) error {
	g, err := decodeGeneration(tx.Get(kv.Generations, coll.integration.doc.UID[:]))
	if err != nil || !g.opened(dom) {
		return errStaleKeys
	}
	return nil
}

// holds opens the searched fields of a candidate and compares them.
func (coll *collection) holds(rev *revision, opener envelope.Opener, criteria []criterion) (bool, error) {
	values, err := coll.searchable(rev, opener, criteria)
	if err != nil {
		return false, err
	}
	for _, c := range criteria {
		if !holdsOne(values, c) {
			return false, nil
		}
	}
	return true, nil
}

func holdsOne(values []schema.Value, c criterion) bool {
	for _, v := range values {
		if v.Path == c.field.Path {
			normal, err := schema.Normalise(c.field.Normalise, v.JSON)
			return err == nil && bytes.Equal(normal, c.normal)
		}
	}
	return false
}

// searchable opens the fields that are compared: those alone, unless the
// revision was written under an older schema.
func (coll *collection) searchable(rev *revision, opener envelope.Opener, criteria []criterion) ([]schema.Value, error) {
	if rev.header.schemaVersion != coll.doc.SchemaVersion {
		values, err := openAll(rev, opener)
		return coll.schema.Resplit(values), err
	}
	var values []schema.Value
	for i, path := range rev.header.fields {
		for _, c := range criteria {
			if c.field.Path != path {
				continue
			}
			json, err := opener.Field(nil, path, rev.sealed[i])
			if err != nil {
				return nil, openError(err)
			}
			values = append(values, schema.Value{Path: path, JSON: json})
		}
	}
	return values, nil
}

// LookupRecord returns the one record that a search finds: by a unique field,
// or ErrConflict when there are several.
func (s *Store) LookupRecord(ctx context.Context, c Caller, ref CollectionRef, where []schema.Value, o ReadOptions) (rec Record, err error) {
	op := s.start(c, access.ActionSearch, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionSearch, ref)
	if err != nil {
		return rec, err
	}
	op.searched(sc, where)
	criteria, err := s.criteria(sc, where)
	if err != nil {
		return rec, err
	}
	records, _, err := s.searching(sc, criteria, nil, o.Fields, maxDamagedCandidates+2).page(ctx, "")
	if err != nil {
		return rec, err
	}
	sound := slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Damaged })
	switch {
	case len(sound) > 1:
		return rec, fmt.Errorf("%w: more than one record matches; use :search", ErrConflict)
	case len(sound) == 1:
		op.disclose(&sound[0])
		return sound[0], nil
	case len(records) > 0:
		return rec, ErrIntegrity // it may be the one
	}
	return rec, ErrNotFound
}

// maxDamagedCandidates is how many damaged records a lookup passes by: the
// index proposes records with other values too, and a damaged one among them
// must not hide the one that matches.
const maxDamagedCandidates = 16
