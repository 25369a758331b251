package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/store/kv"
)

// chunkTime bounds how long one read transaction of a walk is held.
const chunkTime = 20 * time.Millisecond

// walk goes through the records of a collection that a query may match, in
// chunks of a transaction each.
type walk struct {
	s       *Store
	sc      scope
	action  access.Action
	next    proposer
	indexed bool // next looks into the blind index
	match   func(sc scope, rev *revision, opener envelope.Opener) (bool, error)
	fields  []string
	all     bool // all fields; else only those of fields
	limit   int
	final   bool // a key that is not known is damage: the keysets were just refreshed
	met     bool // the index proposed a record
	ahead   bool // it only looks whether there is another record
}

// maxPageBytes bounds the values that a page holds in memory; a page beyond it
// is short.
const maxPageBytes = 8 << 20

// proposer hands the ids after a position to visit, in the order of their
// positions, until visit returns false.
type proposer func(tx kv.ReadTx, dom *envelope.Domain, after string, visit func(position, id string) bool)

// page collects a page and waits for what the client's budgets ask.
func (w *walk) page(ctx context.Context, position string) (records []Record, next string, err error) {
	records, next, err = w.collect(ctx, position)
	if err == nil {
		err = w.sc.spending.settle(ctx)
	}
	return records, next, err
}

// collect collects up to limit records after a position. It returns the position
// to go on from, "" at the end. A page can be short: what is not the caller's
// to see is left out after it was looked at, and where a budget of exposure ends the
// page does. A caller that conditions keep records from is told of a next page
// only when there is a record on it: else it would learn that there are others.
func (w *walk) collect(ctx context.Context, position string) (records []Record, next string, err error) {
	size := 0
	for {
		done, seen, spent := true, 0, false
		began := w.s.now()
		w.final = false
		err = w.s.view(ctx, w.sc.collection.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
			done = true
			if w.indexed {
				if err := indexCurrent(tx, w.sc.collection, dom); err != nil {
					return err
				}
			}
			defer func() { w.final = true }() // view runs this again after a refresh
			var failed error
			w.next(tx, dom, position, func(at, id string) bool {
				size += sizeOfFields(records[min(seen, len(records)):])
				if seen = len(records); seen == w.limit || size > maxPageBytes || w.s.now().Sub(began) > chunkTime {
					done = false
					return false
				}
				w.met = true
				failed = w.visit(tx, dom, id, &records)
				switch {
				case failed == nil:
					position = at
				case isExhausted(failed) && len(records) > 0:
					failed, spent, done = nil, true, false
					return false
				}
				return failed == nil
			})
			if !w.met {
				w.met = true
				_ = w.s.absent(w.sc, dom, w.action)
			}
			return failed
		})
		switch {
		case err != nil:
			return nil, "", err
		case done:
			return records, "", nil
		case len(records) == w.limit || size > maxPageBytes || spent:
			more, err := w.more(ctx, position)
			return records, more, err
		}
	}
}

// more returns the position if a record that the caller may see comes after
// it, else "".
func (w *walk) more(ctx context.Context, position string) (string, error) {
	if w.ahead || w.sc.base.Settled() {
		return position, nil
	}
	next := *w
	next.ahead, next.limit, next.fields, next.all = true, 1, nil, false
	records, _, err := next.collect(ctx, position)
	if err != nil || len(records) == 0 {
		return "", err
	}
	return position, nil
}

func sizeOfFields(records []Record) (size int) {
	for i := range records {
		for _, v := range records[i].Fields {
			size += len(v.JSON)
		}
	}
	return size
}

// visit adds a record to the page if it matches. One that fails its integrity
// check is named as damaged, and the walk goes on.
func (w *walk) visit(tx kv.ReadTx, dom *envelope.Domain, id string, records *[]Record) error {
	rec, ok, err := w.look(tx, dom, id)
	switch {
	case errors.Is(err, errUnknownKey) && !w.final:
		return err // a refresh may cure it
	case errors.Is(err, ErrIntegrity):
		w.s.noteDamage(w.sc.collection, id, err)
		// What its labels were nobody knows: who needs them is not told of it.
		rec, ok = Record{ID: id, Damaged: true}, !w.sc.base.Depends(w.action)
	case err != nil:
		return err
	}
	if ok {
		*records = append(*records, rec)
	}
	return nil
}

func (w *walk) look(tx kv.ReadTx, dom *envelope.Domain, id string) (Record, bool, error) {
	coll := w.sc.collection
	f, err := w.s.findCurrent(tx, coll, dom, id)
	if err != nil || !f.exists || f.state.life == deleted {
		return Record{}, false, err
	}
	if coll.expired(&f.revision.header, w.s.now()) {
		return Record{}, false, nil
	}
	sc := w.sc.on(id, f.revision.header.labels)
	if !sc.allows(w.action) {
		return Record{}, false, nil
	}
	if ok, err := w.match(sc, &f.revision, f.opener); !ok || err != nil {
		return Record{}, false, err
	}
	rec := describe(coll, id, f.state.revision, &f.revision.header, &f.state)
	err = w.s.revealAs(w.action, &rec, sc, &f.revision, f.opener, dom, ReadOptions{Fields: w.fields, Metadata: !w.all && w.fields == nil})
	return rec, true, err
}

// noteDamage logs, counts and audits a damaged record that a walk came across.
func (s *Store) noteDamage(coll *collection, id string, err error) {
	op := s.start(&access.Principal{Client: "strongroom"}, access.ActionRead, target{
		integration: coll.integration.name, collection: coll.name, record: id,
	})
	_ = op.end(err)
}

// ListRecords returns records in the order of their ids, or of their last
// change when UpdatedAfter is set. Without fields it shows metadata alone, and
// no field is decrypted.
func (s *Store) ListRecords(ctx context.Context, c Caller, ref CollectionRef, o ListOptions) (page Page, err error) {
	op := s.start(c, access.ActionList, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionList, ref)
	if err != nil {
		return page, err
	}
	if o.Limit, err = pageLimit(o.Limit); err != nil {
		return page, err
	}
	w, q := s.listing(c, sc, access.ActionList, o)
	return s.onePage(ctx, op, w, q, o.Cursor)
}

// listing prepares the walk of a list or an export, and what its cursor is
// bound to.
func (s *Store) listing(c Caller, sc scope, action access.Action, o ListOptions) (*walk, *query) {
	q := newQuery(c, sc.collection, "list")
	q.addLabels(o.Labels)
	q.addTime("updated", o.UpdatedAfter)
	q.addTime("valid", o.ValidUntilBefore)
	q.add(o.Fields...)
	w := &walk{s: s, sc: sc, action: action, fields: o.Fields, all: o.AllFields, limit: o.Limit}
	w.match = func(_ scope, rev *revision, _ envelope.Opener) (bool, error) { return o.matches(&rev.header), nil }
	switch {
	case !o.UpdatedAfter.IsZero():
		w.next = byChange(sc.collection, o.UpdatedAfter)
	case len(o.Labels) > 0:
		w.next = byLabel(sc.collection, o.Labels)
	default:
		w.next = byID(sc.collection)
	}
	return w, q
}

func (s *Store) onePage(ctx context.Context, op *operation, w *walk, q *query, cursor string) (Page, error) {
	position, err := s.openCursor(ctx, q, cursor)
	if err != nil {
		return Page{}, err
	}
	records, next, err := w.page(ctx, position)
	if err != nil {
		return Page{}, err
	}
	op.discloseAll(records)
	page := Page{Records: records}
	page.Next, err = s.sealCursor(ctx, q, next)
	return page, err
}

// discloseAll notes in the audit entry what a page shows.
func (op *operation) discloseAll(records []Record) {
	e := &op.entry
	e.Count = uint64(len(records))
	fields, masked, withheld := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range records {
		rec := &records[i]
		e.Records = append(e.Records, rec.ID)
		for _, v := range rec.Fields {
			fields[v.Path] = true
		}
		for _, path := range rec.Masked {
			masked[path] = true
		}
		for _, path := range rec.Withheld {
			withheld[path] = true
		}
	}
	for path := range masked {
		delete(fields, path)
	}
	e.Fields, e.Masked, e.Withheld = sortedSet(fields), sortedSet(masked), sortedSet(withheld)
}

func sortedSet(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(set))
}

// matches reports whether a header is what the list asks for. The indexes only
// propose: this, on the authenticated header, decides.
func (o *ListOptions) matches(h *header) bool {
	for key, value := range o.Labels {
		if !hasLabel(h.labels, key, value) {
			return false
		}
	}
	if !o.UpdatedAfter.IsZero() && !h.updated.After(o.UpdatedAfter) {
		return false
	}
	return o.ValidUntilBefore.IsZero() || !h.validUntil.IsZero() && h.validUntil.Before(o.ValidUntilBefore)
}

// byID walks a collection in the order of the ids; a position is an id.
func byID(coll *collection) proposer {
	prefix := coll.doc.UID[:]
	return func(tx kv.ReadTx, _ *envelope.Domain, position string, visit func(position, id string) bool) {
		tx.Scan(kv.Records, from(prefix, position), after(prefix), func(key, _ []byte) bool {
			id := string(key[len(prefix):])
			return visit(id, id)
		})
	}
}

// from returns the key to start at: the first after a position under a prefix.
func from(prefix []byte, position string) []byte {
	key := append(slices.Clone(prefix), position...)
	if position != "" {
		key = append(key, 0)
	}
	return key
}

// byLabel walks the records that have one of the labels; a position is an id.
func byLabel(coll *collection, labels map[string]string) proposer {
	key := slices.Sorted(maps.Keys(labels))[0]
	prefix := labelPrefix(coll.doc.UID, key, labels[key])
	return func(tx kv.ReadTx, _ *envelope.Domain, position string, visit func(position, id string) bool) {
		tx.Scan(kv.Labels, from(prefix, position), after(prefix), func(key, _ []byte) bool {
			id := string(key[len(prefix):])
			return visit(id, id)
		})
	}
}

// byChange walks the records in the order of their last change, from those
// changed after an instant; a position is the key of a change.
func byChange(coll *collection, since time.Time) proposer {
	prefix := coll.doc.UID[:]
	return func(tx kv.ReadTx, _ *envelope.Domain, position string, visit func(position, id string) bool) {
		start := from(prefix, position)
		if position == "" {
			start = changeKey(coll.doc.UID, firstChangeAfter(tx, coll, since))
		}
		tx.Scan(kv.Changes, start, after(prefix), func(key, value []byte) bool {
			ch, err := decodeChange(value)
			if err != nil {
				return true
			}
			return visit(string(key[len(prefix):]), strings.Clone(ch.id))
		})
	}
}

// firstChangeAfter finds the first sequence number whose change is later than
// an instant, by halving: times do not go back within a collection.
func firstChangeAfter(tx kv.ReadTx, coll *collection, since time.Time) uint64 {
	low, high := uint64(0), lastSequence(tx)+1
	for low < high {
		mid := low + (high-low)/2
		if changeAt(tx, coll, mid).After(since) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// changeAt returns the time of the first change of the collection at or after
// a sequence number; the end of time when there is none.
func changeAt(tx kv.ReadTx, coll *collection, sequence uint64) (at time.Time) {
	at = time.Unix(1<<40, 0)
	prefix := coll.doc.UID[:]
	tx.Scan(kv.Changes, changeKey(coll.doc.UID, sequence), after(prefix), func(_, value []byte) bool {
		ch, err := decodeChange(value)
		if err == nil {
			at = ch.at
		}
		return err != nil
	})
	return at
}

// ExportRecords hands every record of a list to emit, in pages of its own, and
// returns how many there were. The export sees no single moment: a record
// that changes meanwhile comes as it is when its page is read; each page is
// authorised anew, by what the caller's token and roles are worth then.
func (s *Store) ExportRecords(ctx context.Context, c Caller, ref CollectionRef, o ListOptions, emit func(*Record) error) (count uint64, err error) {
	op := s.start(c, access.ActionExport, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { op.entry.Records = nil; op.entry.Count = count; err = op.end(err) }()
	sc, err := s.authorise(c, access.ActionExport, ref)
	if err != nil {
		return 0, err
	}
	o.Limit, o.AllFields = 200, o.Fields == nil
	w, _ := s.listing(c, sc, access.ActionExport, o)
	for position := ""; ; {
		records, next, err := w.page(ctx, position)
		if err != nil {
			return count, err
		}
		if err := s.auditExport(c, ref, records); err != nil {
			return count, err
		}
		for i := range records {
			if err := emit(&records[i]); err != nil {
				return count, err
			}
			count++
		}
		if position = next; next == "" {
			return count, nil
		}
		if w.sc, err = s.authoriseAgain(c, access.ActionExport, ref); err != nil {
			return count, err
		}
	}
}

// auditExport writes what a page of an export shows before it leaves.
func (s *Store) auditExport(c Caller, ref CollectionRef, records []Record) error {
	op := s.start(c, access.ActionExport, target{integration: ref.Integration, collection: ref.Collection})
	op.discloseAll(records)
	return op.end(nil)
}
