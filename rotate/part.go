package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/store"
)

// part is the job of one key domain of a rotation.
type part struct {
	m       *Manager
	r       *rotation
	doc     Part
	version uint64

	sweeper Sweeper
	unsure  bool // what the row holds: a write of it failed
	waiting string
}

// rowID is unique among the parts of all rotations.
func rowID(rotation, part string) string { return rotation + "/" + part }

// ID is that of the part's row.
func (p *part) ID() string { return rowID(p.r.id, p.doc.ID) }

// Urgent reports whether the rotation is.
func (p *part) Urgent() bool { return p.r.urgent() }

// Step does what comes next, and ends the rotation with its last part.
func (p *part) Step(ctx context.Context) (Next, error) {
	if p.unsure {
		if err := p.reload(ctx); err != nil {
			return Next{}, err
		}
	}
	var next Next
	var err error
	if do := moves[p.doc.Step]; do != nil {
		next, err = do(p, ctx)
	}
	if err != nil && ctx.Err() == nil && p.orphaned(err) {
		err = p.advance(ctx, StepSkipped, func(d *Part) { d.Detail = "the integration was deleted" })
	}
	if err != nil {
		p.unsure, p.sweeper = true, nil
		return Next{}, p.unlessStored(ctx, err)
	}
	p.wait(next.why)
	if !p.doc.Step.ended() {
		return next, nil
	}
	return Next{Done: true}, p.m.conclude(ctx, p.r)
}

// unlessStored returns the error of a step, or nil when the row was written
// meanwhile: by that step, before an earlier call of it was given up.
func (p *part) unlessStored(ctx context.Context, err error) error {
	version := p.version
	if errors.Is(err, store.ErrConflict) && p.reload(ctx) == nil && p.version != version {
		return nil
	}
	return err
}

// orphaned reports whether an error came because the domain is there no longer.
func (p *part) orphaned(err error) bool {
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrDisabled) || p.doc.System() {
		return false
	}
	all, err := p.m.store.KeyDomains(internal)
	return err == nil && !slices.ContainsFunc(all, func(d store.KeyDomain) bool { return d.UID == p.doc.UID })
}

// Waits notes why the part does not go on now.
func (p *part) Waits(reason error, _ time.Time) { p.wait(reason.Error()) }

// wait shows what the part waits for; for nothing, when why is empty.
func (p *part) wait(why string) {
	p.m.mu.Lock()
	p.waiting = why
	p.m.mu.Unlock()
	p.m.changed(p.r)
}

// Fails keeps why the part failed.
func (p *part) Fails(ctx context.Context, reason error) {
	fail := func(d *Part) { d.Failed, d.Detail = true, reason.Error() }
	err := error(nil)
	if p.unsure {
		err = p.reload(ctx)
	}
	if err == nil {
		err = p.advance(ctx, p.doc.Step, fail)
	}
	if err != nil { // it is tried, and fails, again after a restart
		p.m.logger.Error("that a part of a rotation failed could not be stored", "part", p.ID(), "error", err)
		p.m.mu.Lock()
		fail(&p.doc)
		p.m.mu.Unlock()
	}
	p.m.changed(p.r)
}

// row is the part's row with another document.
func (p *part) row(doc *Part) store.Row {
	return store.Row{Kind: store.RowPart, ID: p.ID(), Version: p.version, Doc: encode(doc)}
}

// to returns the part's document at another step, changed.
func (p *part) to(step Step, change func(*Part)) Part {
	next := p.doc
	next.Times = maps.Clone(p.doc.Times)
	if next.Times == nil {
		next.Times = map[Step]time.Time{}
	}
	if step != next.Step {
		next.Step, next.Detail = step, ""
		next.Times[step] = p.m.now().UTC()
	}
	if change != nil {
		change(&next)
	}
	return next
}

// commit takes over a document that was stored.
func (p *part) commit(doc Part) {
	p.m.mu.Lock()
	p.doc, p.version = doc, p.version+1
	p.m.mu.Unlock()
	p.m.changed(p.r)
}

// advance stores the part at another step, changed, in a transaction of its own.
func (p *part) advance(ctx context.Context, step Step, change func(*Part)) error {
	return p.with(step, change, func(row store.Row) error {
		return p.m.store.PutRows(ctx, internal, "rotation-step", row)
	})
}

// with lets write store the part at another step, together with what it does.
func (p *part) with(step Step, change func(*Part), write func(store.Row) error) error {
	next := p.to(step, change)
	if err := write(p.row(&next)); err != nil {
		return err
	}
	p.commit(next)
	return nil
}

// reload reads the part's row, after a write that may or may not have been
// stored.
func (p *part) reload(ctx context.Context) error {
	rows, err := p.m.store.Rows(ctx, store.RowPart)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(r store.Row) bool { return r.ID == p.ID() })
	if i < 0 {
		return errors.New("the row of this part is not there any longer")
	}
	var doc Part
	if err := json.Unmarshal(rows[i].Doc, &doc); err != nil {
		return err
	}
	p.m.mu.Lock()
	p.doc, p.version, p.unsure = doc, rows[i].Version, false
	p.m.mu.Unlock()
	return nil
}

// describe tells of a part; of keys it keeps what they are called.
func (p *part) describe() Part {
	out := p.doc
	out.Times = maps.Clone(p.doc.Times)
	if p.waiting != "" && !out.Failed {
		out.Detail = p.waiting
	}
	return out
}

// began returns when the part did something first.
func (d *Part) began() *time.Time {
	for _, step := range []Step{StepAdd, StepKEKRotate} {
		if at, ok := d.Times[step]; ok {
			return &at
		}
	}
	return nil
}

// keys returns the inventory of the part's domain.
func (p *part) keys(ctx context.Context) (store.DomainKeys, error) {
	return p.m.store.KeysOf(ctx, internal, p.doc.KeyDomain)
}

// values returns how many values are under keys, as the counts say.
func values(in store.DomainKeys, keys []Key) (n uint64) {
	for i := range in.Keys {
		if named(keys, &in.Keys[i]) {
			n += in.Keys[i].Values
		}
	}
	return n
}

func named(keys []Key, k *store.KeyState) bool {
	return slices.ContainsFunc(keys, func(r Key) bool {
		return r.Generation == k.Generation && purposeOf(k.Purpose) == r.Purpose
	})
}

// byKey returns the counts of an inventory by key id, of the part's purposes.
func (d *Part) byKey(in store.DomainKeys) map[string]uint64 {
	out := map[string]uint64{}
	for i := range in.Keys {
		k := &in.Keys[i]
		if k.State != store.KeyDestroyed && d.replaces(k) {
			out[k.KeyID] = k.Values
		}
	}
	return out
}

// refsOf returns references to the keys of an inventory that are wanted.
func refsOf(in store.DomainKeys, want func(k *store.KeyState) bool) (out []Key, err error) {
	for i := range in.Keys {
		k := &in.Keys[i]
		if k.State == store.KeyDestroyed || !want(k) {
			continue
		}
		id, err := envelope.ParseKeyID(k.KeyID)
		if err != nil {
			return nil, err
		}
		ref := Key{Purpose: purposeOf(k.Purpose), Generation: k.Generation, KeyID: id}
		if err := ref.State.UnmarshalText([]byte(k.State)); err != nil {
			return nil, err
		}
		out = append(out, ref)
	}
	return out, nil
}
