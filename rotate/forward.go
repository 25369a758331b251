package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/store"
)

// internal is who the steps of a rotation are done by, after whoever asked for
// it was authorised.
var internal = store.Internal("rotation")

// moves are what is done at each step. A step that a part ends with has none.
var moves map[Step]func(*part, context.Context) (Next, error)

func init() {
	moves = map[Step]func(*part, context.Context) (Next, error){
		StepPending: (*part).begin, StepAdd: (*part).add, StepPromote: (*part).promote,
		StepSweep: (*part).sweepForward, StepDrain: (*part).drain, StepVerify: (*part).verify,
		StepDisable: (*part).disable, StepGrace: (*part).grace, StepDelete: (*part).destroy,
		StepKEKRotate: (*part).kekRotate, StepKEKRewrap: (*part).kekRewrap, StepKEKVerify: (*part).kekVerify,
		StepRetire: (*part).retire, StepTrim: (*part).trim,
		StepBackEnable: (*part).backEnable, StepBackPromote: (*part).backPromote, StepBackSweep: (*part).sweepBack,
		StepBackDrain: (*part).backDrain, StepBackVerify: (*part).backVerify, StepBackDelete: (*part).backDelete,
		StepRemove: (*part).remove,
	}
}

// ended reports whether a part at this step has nothing more to do.
func (s Step) ended() bool {
	switch s {
	case StepDone, StepSkipped, StepRolledBack, StepCancelled:
		return true
	}
	return false
}

// begin takes the counts before.
func (p *part) begin(ctx context.Context) (Next, error) {
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	step := StepAdd
	if len(p.doc.Purposes) == 0 {
		step = StepKEKRotate
	}
	return Next{}, p.advance(ctx, step, func(d *Part) {
		d.KEK = in.KEK.Name
		d.Counts.Before = d.byKey(in)
	})
}

// add makes the new keys. They open and do not seal: nothing is under them, and
// what was made is found again after a crash.
func (p *part) add(ctx context.Context) (Next, error) {
	want := make([]envelope.Purpose, len(p.doc.Purposes))
	for i, name := range p.doc.Purposes {
		want[i] = purposes[name]
	}
	if p.r.doc.Compromised != "" {
		if err := p.clear(ctx); err != nil {
			return Next{}, err
		}
	}
	made, err := p.m.store.AddKeysets(ctx, internal, p.doc.KeyDomain, want)
	if err != nil {
		return Next{}, err
	}
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	others := func(k *store.KeyState) bool { return p.doc.replaces(k) && !named(made, k) }
	old, err := refsOf(in, others)
	if err != nil {
		return Next{}, err
	}
	former, err := refsOf(in, func(k *store.KeyState) bool { return others(k) && k.State == envelope.StatePrimary.String() })
	if err != nil {
		return Next{}, err
	}
	return Next{}, p.advance(ctx, StepPromote, func(d *Part) {
		d.New, d.Old, d.Former = made, old, former
		d.Counts.Total = values(in, old)
	})
}

// clear destroys pending keys that an earlier rotation left: whoever may have a
// key of the domain may have those, and nothing is under them.
func (p *part) clear(ctx context.Context) error {
	in, err := p.keys(ctx)
	if err != nil {
		return err
	}
	left, err := refsOf(in, func(k *store.KeyState) bool {
		return p.doc.replaces(k) && k.State == envelope.StatePending.String() && k.CreatedAt.Before(p.r.doc.CreatedAt)
	})
	if err != nil || len(left) == 0 {
		return err
	}
	return p.m.store.DestroyKeysets(ctx, internal, p.doc.KeyDomain, left)
}

// promote makes the new keys the primary ones. Whoever is about to write under
// the former ones is refused, and does it again.
func (p *part) promote(ctx context.Context) (Next, error) {
	return Next{}, p.with(StepSweep, nil, func(row store.Row) error {
		return p.m.store.PromoteKeysets(ctx, internal, p.doc.KeyDomain, p.doc.New, row)
	})
}

// drain waits until what cannot be moved has ended by itself.
func (p *part) drain(ctx context.Context) (Next, error) { return p.outlive(ctx, p.doc.Old, StepVerify) }

// drainEvery is how often what ends by itself is looked at.
const drainEvery = time.Minute

func (p *part) outlive(ctx context.Context, old []Key, then Step) (Next, error) {
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	if n := values(in, old); n > 0 {
		return Next{Wait: drainEvery, why: fmt.Sprintf("%d idempotency keys are under a former key until they end, within a day", n)}, nil
	}
	return Next{}, p.advance(ctx, then, nil)
}

// maxSweeps is how often a domain is swept before what is left counts as stuck.
const maxSweeps = 3

// verify proves that nothing is left under the old keys, by the counts and by a
// scan, or has the domain swept once more.
func (p *part) verify(ctx context.Context) (Next, error) {
	return p.prove(ctx, p.doc.Old, StepSweep, StepDisable)
}

func (p *part) prove(ctx context.Context, old []Key, again, then Step) (Next, error) {
	from := p.m.now().UTC()
	scan, err := p.m.store.VerifyKeysets(ctx, internal, p.doc.KeyDomain, old, nil)
	if left, ok := errors.AsType[*store.LeftBehind](err); ok && p.doc.Sweeps < maxSweeps && left.Scan.Left+left.Scan.Counted > 0 {
		return Next{}, p.advance(ctx, again, func(d *Part) { d.Cursor = "" })
	}
	if err != nil {
		return Next{}, err
	}
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	return Next{}, p.advance(ctx, then, func(d *Part) {
		d.Scan = &Scan{Scan: scan, StartedAt: from, FinishedAt: p.m.now().UTC()}
		d.Counts.After = d.byKey(in)
		d.Cursor = ""
	})
}

// disable ends what the old keys open.
func (p *part) disable(ctx context.Context) (Next, error) {
	step, grace := StepDelete, p.r.doc.Grace.Or(0)
	if grace > 0 {
		step = StepGrace
	}
	return Next{}, p.with(step, func(d *Part) {
		if grace > 0 {
			ends := p.m.now().UTC().Add(grace)
			d.GraceEnds = &ends
		}
	}, func(row store.Row) error {
		return p.m.store.DisableKeysets(ctx, internal, p.doc.KeyDomain, p.doc.Old, row)
	})
}

// grace keeps the disabled keys for a while.
func (p *part) grace(ctx context.Context) (Next, error) {
	if left := p.doc.GraceEnds.Sub(p.m.now()); left > 0 {
		return Next{Wait: left, why: "the grace ends at " + p.doc.GraceEnds.Format(time.RFC3339)}, nil
	}
	return Next{}, p.advance(ctx, StepDelete, nil)
}

// destroy removes the old keys. From here there is no way back.
func (p *part) destroy(ctx context.Context) (Next, error) {
	step := StepKEKRotate
	if p.doc.has(purposeMAC) {
		step = StepDone // the other part of the system domain looks after its KEK
	}
	return Next{}, p.with(step, nil, func(row store.Row) error {
		return p.m.store.DestroyKeysets(ctx, internal, p.doc.KeyDomain, p.doc.Old, row)
	})
}
