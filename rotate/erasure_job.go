package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strongroom/store"
)

// erasure is the job of one erasure.
type erasure struct {
	e       *Erasures
	id      string
	version uint64     // of the row; guarded by e.mu, as the rest
	doc     erasureDoc // as it is stored
	waits   string     // for what
	held    bool       // by something that was not to be expected
	unsure  bool       // a write that failed may have been stored; of the goroutine that steps
}

// ID is that of the erasure.
func (j *erasure) ID() string { return "erasure/" + j.id }

// Urgent lets erasures go before rotations that move values: what is to be
// erased is not moved first.
func (j *erasure) Urgent() bool { return j.e.docOf(j).E1At == nil }

// Step does the next thing.
func (j *erasure) Step(ctx context.Context) (Next, error) {
	doc := j.e.docOf(j)
	switch {
	case doc.E1At == nil:
		return j.eraseLive(ctx, doc)
	case doc.state() == LevelLive && doc.Level != LevelLive:
		return j.eraseFile(ctx, doc)
	case doc.state() == LevelFile && doc.Level == LevelKeys:
		return j.eraseKeys(ctx, doc)
	case doc.Certificate == "":
		return Next{Done: true}, j.certify(ctx, doc)
	}
	return Next{Done: true}, nil
}

// eraseLive erases what is in the live tree, a chunk at a time.
func (j *erasure) eraseLive(ctx context.Context, doc erasureDoc) (Next, error) {
	if doc.Plan.Whole() {
		if len(doc.Keys) == 0 {
			return Next{}, j.nameKeys(ctx, doc)
		}
		gone, err := j.e.store.EraseIntegration(ctx, eraser, doc.Plan)
		if err != nil || !gone {
			return j.wait(j.e.poll, "what the integration held is being swept away"), err
		}
	} else {
		more, err := j.eraseSome(ctx)
		if err != nil || more {
			return Next{}, err
		}
		doc = j.e.docOf(j)
	}
	doc.E1At = j.nowAt()
	return Next{}, j.put(ctx, doc)
}

// nameKeys writes down which keys a whole integration has, while it has them.
func (j *erasure) nameKeys(ctx context.Context, doc erasureDoc) error {
	keys := DestroyedKeys{Integration: doc.Plan.Integration, Detail: "the key-encryption key with all its versions, and with it every key of the integration"}
	in, err := j.e.manager().store.KeysOf(ctx, eraser, store.KeyDomain{Integration: doc.Plan.Integration, UID: doc.Plan.UID})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDisabled): // somebody deleted it meanwhile
	case err != nil:
		return err
	default:
		keys.KEK = in.KEK.Name
		if keys.Keys, err = refsOf(in, func(*store.KeyState) bool { return true }); err != nil {
			return err
		}
	}
	doc.Keys = []DestroyedKeys{keys}
	return j.put(ctx, doc)
}

// eraseSome erases some records, and counts them in the same transaction.
func (j *erasure) eraseSome(ctx context.Context) (more bool, err error) {
	if j.unsure {
		if err := j.reread(ctx); err != nil {
			return false, err
		}
		j.unsure = false
	}
	doc := j.e.docOf(j)
	next := doc
	n, err := j.e.store.EraseSome(ctx, eraser, doc.Plan, func(erased int) []store.Row {
		next.Records = doc.Records + uint64(erased)
		return []store.Row{j.row(next)}
	})
	if err != nil || n == 0 {
		j.unsure = err != nil
		return false, err
	}
	j.stored(next)
	return true, nil
}

// eraseFile compacts the data file. Records that came meanwhile, under a label
// that is erased, go first.
func (j *erasure) eraseFile(ctx context.Context, doc erasureDoc) (Next, error) {
	if !doc.Plan.Whole() {
		more, err := j.eraseSome(ctx)
		if err != nil {
			return Next{}, err
		}
		if more {
			doc = j.e.docOf(j)
			doc.E1At = nil
			return Next{}, j.put(ctx, doc)
		}
		doc = j.e.docOf(j)
	}
	if err := j.e.compactAfter(ctx, *doc.E1At); err != nil {
		return Next{}, err
	}
	doc.E2At = j.nowAt()
	return Next{}, j.put(ctx, doc)
}

// compactAfter makes sure that a compaction has ended well that began after an
// instant: one serves every erasure that waits.
func (e *Erasures) compactAfter(ctx context.Context, at time.Time) error {
	e.mu.Lock()
	enough := e.compacted.After(at)
	e.mu.Unlock()
	if enough {
		return nil
	}
	if e.compact == nil {
		return &store.Conflict{Detail: "the data file of this store cannot be compacted while it runs"}
	}
	began := e.now()
	if err := e.compact(ctx); err != nil {
		return &Awaits{Detail: "the data file was not compacted and will be again: " + err.Error(), For: time.Minute}
	}
	e.mu.Lock()
	e.compacted = began
	e.mu.Unlock()
	return nil
}

// eraseKeys has every key destroyed that covered the records.
func (j *erasure) eraseKeys(ctx context.Context, doc erasureDoc) (Next, error) {
	switch {
	case doc.RotatedAt != nil:
		if err := j.e.compactAfter(ctx, *doc.RotatedAt); err != nil {
			return Next{}, err
		}
		doc.E3At = j.nowAt()
		return Next{}, j.put(ctx, doc)
	case j.e.store.IntegrationGone(doc.Plan.UID):
		doc.E3At = j.nowAt()
		if len(doc.Keys) == 0 { // it was deleted by somebody else than this erasure
			doc.Keys = []DestroyedKeys{{Integration: doc.Plan.Integration, Detail: "the key-encryption key with all its versions, and with it every key of the integration"}}
		}
		return Next{}, j.put(ctx, doc)
	case doc.Rotation == "":
		return j.begin(ctx, doc)
	}
	return j.follow(ctx, doc)
}

// begin finds a rotation that began after the records were gone, or makes one:
// it destroys every key that covered them. Several erasures share one.
func (j *erasure) begin(ctx context.Context, doc erasureDoc) (Next, error) {
	if id, at, ok := j.e.shared(j); ok {
		doc.Rotation, doc.RotationAt = id, &at
		return Next{}, j.put(ctx, doc)
	}
	grace := Span(0)
	next := doc
	next.RotationAt = j.nowAt()
	made, err := j.e.manager().CreateWith(ctx, eraser, Request{
		Integrations: []string{doc.Plan.Integration}, Depth: DepthKeyset, Reindex: true, Retire: true, Trim: true, Grace: &grace,
		Reason: "erasure " + j.id,
	}, func(id string) []store.Row {
		next.Rotation = id
		return []store.Row{j.row(next)}
	})
	if errors.Is(err, store.ErrConflict) {
		return j.wait(j.e.poll, "another rotation works on the integration: "+err.Error()), nil
	}
	if err != nil {
		return Next{}, errors.Join(err, j.reread(ctx))
	}
	next.Rotation = made.ID
	j.stored(next)
	return j.wait(j.e.poll, "the rotation "+made.ID), nil
}

// shared finds the rotation of another erasure of the integration, which began
// after the records of this one were gone.
func (e *Erasures) shared(j *erasure) (id string, at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.all {
		d := &other.doc
		if other != j && d.Rotation != "" && d.Plan.UID == j.doc.Plan.UID && d.RotationAt.After(*j.doc.E1At) {
			return d.Rotation, *d.RotationAt, true
		}
	}
	return "", time.Time{}, false
}

func (e *Erasures) manager() *Manager {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.m
}

// follow waits for the end of the rotation.
func (j *erasure) follow(ctx context.Context, doc erasureDoc) (Next, error) {
	r, err := j.e.manager().stand(ctx, doc.Rotation)
	if err != nil {
		return Next{}, err
	}
	switch r.State {
	case StateDone:
		keys, err := destroyedBy(&r, &doc)
		if err != nil {
			return Next{}, err
		}
		doc.Keys, doc.RotatedAt = keys, j.nowAt()
		return Next{}, j.put(ctx, doc)
	case StateCancelled, StateRolledBack:
		ended := doc.Rotation
		doc.Rotation, doc.RotationAt = "", nil
		if err := j.put(ctx, doc); err != nil {
			return Next{}, err
		}
		return Next{}, fmt.Errorf("the rotation %s, which was to destroy the keys, is %s: resume the erasure to have another one made", ended, r.State)
	}
	why := "the rotation " + r.ID + ", which is " + string(r.State)
	if r.Detail != "" {
		why += ": " + r.Detail
	}
	return j.wait(j.e.poll, why), nil
}

// destroyedBy names the keys that a rotation destroyed. One that trimmed
// nothing, or was of a namesake, proves nothing.
func destroyedBy(r *Rotation, doc *erasureDoc) (keys []DestroyedKeys, err error) {
	for i := range r.Parts {
		p := &r.Parts[i]
		if p.UID != doc.Plan.UID {
			continue
		}
		if p.Step != StepDone || !p.Trimmed {
			return nil, fmt.Errorf("the rotation %s ended without having destroyed the keys of %s: %s", r.ID, p.KeyDomain, p.Step)
		}
		keys = append(keys, DestroyedKeys{Integration: p.Integration, Keys: p.Old, KEK: p.KEK, Below: p.KEKTo})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the rotation %s was not of this integration", r.ID)
	}
	return keys, nil
}

// Waits is told that a step met something temporary.
func (j *erasure) Waits(reason error, _ time.Time) {
	j.say(reason.Error())
	j.e.mu.Lock()
	defer j.e.mu.Unlock()
	j.held = true
}

// Fails is told that a step met something that waiting does not mend.
func (j *erasure) Fails(ctx context.Context, reason error) {
	doc := j.e.docOf(j)
	doc.Failed = reason.Error()
	if err := j.put(context.WithoutCancel(ctx), doc); err != nil {
		j.say(reason.Error())
		j.e.mu.Lock()
		j.doc.Failed = reason.Error()
		j.e.changed(j.id)
		j.e.mu.Unlock()
	}
}

func (j *erasure) wait(d time.Duration, why string) Next {
	j.say(why)
	return Next{Wait: d, why: why}
}

// say keeps what an erasure waits for, for who asks.
func (j *erasure) say(why string) {
	j.e.mu.Lock()
	defer j.e.mu.Unlock()
	j.held = false
	if j.waits != why {
		j.waits = why
		j.e.changed(j.id)
	}
}

func (j *erasure) nowAt() *time.Time { return new(j.e.now().UTC()) }

// row makes the row of a document, in the place of the one that is stored.
func (j *erasure) row(doc erasureDoc) store.Row {
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err) // texts, numbers and times
	}
	j.e.mu.Lock()
	defer j.e.mu.Unlock()
	return store.Row{Kind: store.RowErasure, ID: j.id, Version: j.version, Doc: raw}
}

// put stores a document.
func (j *erasure) put(ctx context.Context, doc erasureDoc) error {
	return j.putAs(ctx, eraser, "erase", doc)
}

func (j *erasure) putAs(ctx context.Context, c store.Caller, action string, doc erasureDoc) error {
	if err := j.e.store.PutRows(ctx, c, action, j.row(doc)); err != nil {
		return errors.Join(err, j.rereadAfter(ctx, err))
	}
	j.stored(doc)
	return nil
}

// stored takes over what was written.
func (j *erasure) stored(doc erasureDoc) {
	j.e.mu.Lock()
	defer j.e.mu.Unlock()
	j.doc, j.waits, j.held = doc, "", false
	j.version++
	j.e.changed(j.id)
}

// rereadAfter reads the row again when a failed write may have been stored.
func (j *erasure) rereadAfter(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrLedgerUnavailable) {
		return j.reread(context.WithoutCancel(ctx))
	}
	return nil
}

// reread takes over what is stored: an earlier write may have been stored
// although it failed.
func (j *erasure) reread(ctx context.Context) error {
	rows, err := j.e.store.Rows(ctx, store.RowErasure)
	for _, row := range rows {
		if row.ID != j.id {
			continue
		}
		var doc erasureDoc
		if err := json.Unmarshal(row.Doc, &doc); err != nil {
			return err
		}
		j.e.mu.Lock()
		j.doc, j.version = doc, row.Version
		j.e.mu.Unlock()
		return nil
	}
	return err
}
