package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Bounds of a chunk of an import: what is sealed side by side and stored in
// one transaction.
const (
	chunkLines = 512
	chunkBytes = 512 << 10
)

// line is one line of an import under way.
type line struct {
	ImportLine
	input  RecordInput
	sealed *sealedDraft
	result ImportResult
}

func (l *line) fail(err error) { l.result.Err, l.sealed = err, nil }

// importer runs an import: lines are decoded, checked and sealed by several
// goroutines while the chunk before them is being stored.
type importer struct {
	s        *Store
	ctx      context.Context
	caller   Caller
	ref      CollectionRef
	o        ImportOptions
	upserter *upserter
}

// ImportRecords stores the lines that next returns, in order and in chunks,
// and emits the result of each. Without Continue the first line that fails
// ends the import; what came before it is stored.
func (s *Store) ImportRecords(ctx context.Context, c Caller, ref CollectionRef, o ImportOptions, next func() (ImportLine, bool), emit func(ImportResult) error) (err error) {
	op := s.start(c, access.ActionImport, target{integration: ref.Integration, collection: ref.Collection})
	defer func() { err = op.end(err) }()
	if _, err := s.authorise(c, access.ActionImport, ref); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := &importer{s: s, ctx: ctx, caller: c, ref: ref, o: o}
	if err := im.prepareUpsert(); err != nil {
		return err
	}
	chunks := im.chunks(next)
	defer func() {
		cancel()
		for range chunks {
		}
	}()
	for chunk := range chunks {
		stored, err := im.store(chunk)
		op.entry.Count += stored
		if err != nil {
			return err
		}
		if err := im.emit(chunk, emit); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (im *importer) prepareUpsert() (err error) {
	if !im.o.Upsert {
		return nil
	}
	action, err := upsertAction(im.o.OnConflict)
	if err != nil {
		return err
	}
	op := im.s.start(im.caller, action, target{integration: im.ref.Integration, collection: im.ref.Collection})
	im.upserter, err = im.s.upserter(op, im.ref, im.o.Key, im.o.OnConflict)
	return err
}

// renewUpsert authorises the upserts of a chunk, as authoriseAgain does.
func (im *importer) renewUpsert() error {
	if _, err := im.s.authoriseAgain(im.caller, access.ActionImport, im.ref); err != nil {
		return err
	}
	c, err := im.s.renewed(im.caller)
	if err != nil {
		return err
	}
	u := im.upserter
	op := im.s.start(c, u.op.action(), target{integration: im.ref.Integration, collection: im.ref.Collection})
	im.upserter, err = im.s.upserter(op, im.ref, im.o.Key, im.o.OnConflict)
	return err
}

// chunks reads lines and seals them, one chunk ahead of the one being stored.
func (im *importer) chunks(next func() (ImportLine, bool)) <-chan []line {
	out := make(chan []line)
	go func() {
		defer close(out)
		for {
			chunk := readChunk(next)
			if len(chunk) == 0 {
				return
			}
			im.decode(chunk)
			if !im.o.Upsert {
				im.seal(chunk, 0)
			}
			select {
			case out <- chunk:
			case <-im.ctx.Done():
				return
			}
		}
	}()
	return out
}

func readChunk(next func() (ImportLine, bool)) []line {
	chunk := make([]line, 0, chunkLines)
	for size := 0; len(chunk) < chunkLines && size < chunkBytes; {
		l, ok := next()
		if !ok {
			break
		}
		size += len(l.Raw)
		chunk = append(chunk, line{ImportLine: l, result: ImportResult{Line: l.Number}})
	}
	return chunk
}

// side runs fn for every line, on all processors.
func side(chunk []line, fn func(*line)) {
	workers := min(runtime.GOMAXPROCS(0), len(chunk))
	var wg sync.WaitGroup
	for i := range workers {
		part := chunk[i*len(chunk)/workers : (i+1)*len(chunk)/workers]
		wg.Go(func() {
			for i := range part {
				fn(&part[i])
			}
		})
	}
	wg.Wait()
}

func (im *importer) decode(chunk []line) {
	side(chunk, func(l *line) {
		in, err := im.o.Decode(l.Raw)
		if err == nil && in.ID != "" {
			err = checkRecordID("/id", in.ID)
		}
		if err != nil {
			l.fail(err)
			return
		}
		l.input = in
		if l.result.ID = in.ID; in.ID == "" && !im.o.Upsert {
			l.result.ID = uid.NewV7(im.s.now())
		}
	})
}

// seal drafts and seals the lines of a chunk as new records, from one look at
// the collection. Their revision is the first above the floor and gap more.
func (im *importer) seal(chunk []line, gap uint64) {
	sc, dom, floor, err := im.look()
	if err != nil {
		failAll(chunk, err)
		return
	}
	operation := newOperationID(im.s.now())
	side(chunk, func(l *line) {
		if l.result.Err != nil {
			return
		}
		w := writer{s: im.s, sc: sc, action: access.ActionImport, now: im.s.now().UTC().Truncate(time.Microsecond)}
		err := sc.ownID(access.ActionImport, l.input)
		var d draft
		if err == nil {
			d, err = w.fresh(l.result.ID, l.input)
		}
		if err == nil {
			l.sealed, err = im.s.seal(dom, sc.collection, operation, found{floor: floor + gap}, d)
		}
		if err != nil {
			l.fail(err)
		}
	})
}

func failAll(chunk []line, err error) {
	for i := range chunk {
		if chunk[i].result.Err == nil {
			chunk[i].fail(err)
		}
	}
}

// look takes the collection, its keys and its floor as they are now.
func (im *importer) look() (sc scope, dom *envelope.Domain, floor uint64, err error) {
	for try := 0; ; try++ {
		if sc, err = im.s.authoriseAgain(im.caller, access.ActionImport, im.ref); err != nil {
			return
		}
		err = im.s.view(im.ctx, sc.collection.integration, func(tx kv.ReadTx, d *envelope.Domain) error {
			dom, floor = d, counter(tx, sc.collection.doc.UID, counterFloor)
			if err := indexCurrent(tx, sc.collection, d); err != nil {
				return err
			}
			return inForce(tx, sc.collection, sc.collection.integration.generation)
		})
		if !errors.Is(err, errStale) || try >= totalTries {
			return sc, dom, floor, finalError(err)
		}
		im.s.awaitChange()
	}
}

// store stores a chunk and returns how many of its lines it stored. Its error
// ends the import; what is wrong with a line is the line's own.
func (im *importer) store(chunk []line) (uint64, error) {
	if im.o.Upsert {
		return im.storeUpserts(chunk)
	}
	for try := 0; ; try++ {
		stored, err := im.storeOnce(chunk)
		if !errors.Is(err, errStale) || try >= totalTries {
			return stored, finalError(err)
		}
		im.s.stats.stale.Add(1)
		im.s.awaitChange()
		im.seal(chunk, headroom<<try)
	}
}

// headroom is by how much a chunk that is sealed again begins above the floor:
// under deletes that go on raising it, a chunk would never get done. Revisions
// may have gaps.
const headroom = 16

func (im *importer) storeOnce(chunk []line) (stored uint64, err error) {
	sc, err := im.s.authoriseAgain(im.caller, access.ActionImport, im.ref)
	if err != nil {
		return 0, err
	}
	op := im.s.start(im.caller, access.ActionImport, target{integration: im.ref.Integration, collection: im.ref.Collection})
	size := 0
	for i := range chunk {
		if d := chunk[i].sealed; d != nil {
			size += d.size()
			op.id = d.operation()
			op.entry.Records = append(op.entry.Records, d.id)
		}
	}
	if size == 0 {
		return 0, nil
	}
	op.entry.Operation = op.id.String()
	op.entry.Count = uint64(len(op.entry.Records))
	if err := op.intent(); err != nil {
		return 0, err
	}
	err = im.s.engine.Update(im.ctx, kv.Bulk, size, func(tx kv.Tx) error {
		stored, err = im.commit(tx, sc, chunk, op.id)
		return err
	})
	if err != nil {
		stored = 0
	}
	op.entry.Records, op.entry.Count = nil, stored
	return stored, op.end(err)
}

// operation returns the operation id that the sealed header names.
func (d *sealedDraft) operation() (id uid.UID) {
	copy(id[:], d.rawHeader[1+4+4*8:])
	return id
}

// commit checks and applies line after line. A line that is refused writes
// nothing and does not hold up the others, unless the import is to stop.
func (im *importer) commit(tx kv.Tx, sc scope, chunk []line, operation uid.UID) (stored uint64, err error) {
	coll := sc.collection
	var t tally
	first := firstSequence(tx, chunk)
	for i := range chunk {
		l := &chunk[i]
		refused := l.result.Err
		if l.sealed != nil {
			refused = im.refuse(tx, sc, l)
		}
		if errors.Is(refused, errStale) {
			return 0, errStale
		}
		l.result.Err, l.result.Created = refused, false
		if refused == nil {
			l.sealed.apply(tx, coll, operation, first+stored, im.s.changeTime(l.sealed.updated), &t)
			l.result.Created = true
			stored++
		} else if !im.o.Continue {
			break
		}
	}
	if stored > 0 {
		setSequence(tx, first+stored-1)
		t.add(tx, coll.doc.UID)
	}
	return stored, nil
}

// firstSequence returns the commit sequence number of the first line of a chunk:
// the next one, or a later one where the revisions have headroom, since no
// revision is higher than the last commit.
func firstSequence(tx kv.ReadTx, chunk []line) uint64 {
	first := lastSequence(tx) + 1
	for i := range chunk {
		if d := chunk[i].sealed; d != nil {
			first = max(first, d.number)
		}
	}
	return first
}

// refuse says why a sealed line cannot be stored. errStale is about the whole
// chunk: nothing of it was written when it comes, since what it is about is the
// same for every line.
func (im *importer) refuse(tx kv.ReadTx, sc scope, l *line) error {
	if tx.Get(kv.Records, recordKey(sc.collection.doc.UID, l.sealed.id)) != nil {
		return ErrExists
	}
	return discreetConflict(sc, l.sealed.recheck(tx, sc.collection))
}

// storeUpserts runs the lines of a chunk as upserts, one after the other.
func (im *importer) storeUpserts(chunk []line) (stored uint64, err error) {
	if err := im.renewUpsert(); err != nil {
		return 0, err
	}
	for i := range chunk {
		l := &chunk[i]
		if l.result.Err == nil {
			im.upsertLine(l)
		}
		if l.result.Err == nil {
			stored++
		} else if !im.o.Continue {
			return stored, im.ctx.Err()
		}
		if err := im.ctx.Err(); err != nil {
			return stored, err
		}
	}
	return stored, nil
}

func (im *importer) upsertLine(l *line) {
	u := *im.upserter
	u.op = im.s.start(im.upserter.op.caller, im.upserter.op.action(), target{integration: im.ref.Integration, collection: im.ref.Collection})
	w := u.write(l.input, &claim{})
	res, err := w.run(im.ctx)
	u.op.entry.Record, u.op.entry.Revision = w.id, res.Revision
	if err = u.op.end(err); err != nil {
		l.fail(err)
		return
	}
	l.result.ID, l.result.Created = res.ID, res.Created
}

// emit hands out the results of a chunk, up to the line at which the import
// stops.
func (im *importer) emit(chunk []line, emit func(ImportResult) error) error {
	for i := range chunk {
		if err := emit(chunk[i].result); err != nil {
			return err
		}
		if err := chunk[i].result.Err; err != nil && !im.o.Continue {
			return &ImportStopped{Line: chunk[i].Number, Cause: err}
		}
	}
	return nil
}

// ImportStopped comes when an import without Continue met a line that failed.
// The line's result was emitted before.
type ImportStopped struct {
	Line  int
	Cause error
}

// Error says why.
func (e *ImportStopped) Error() string { return "the import stopped: " + e.Cause.Error() }

// Unwrap returns what was wrong with the line.
func (e *ImportStopped) Unwrap() error { return e.Cause }
