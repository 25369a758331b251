package rotate

import (
	"context"
	"slices"

	"strongroom/envelope"
	"strongroom/store"
)

// turned says at which step a part goes on when its rotation turns back: ok is
// false for one whose old keys are destroyed, or that replaced none.
func (p *Part) turned() (Step, bool) {
	switch p.Step {
	case StepPending:
		return StepSkipped, true
	case StepAdd, StepPromote:
		return StepRemove, true
	case StepSweep, StepDrain, StepVerify, StepDisable:
		return StepBackPromote, true
	case StepGrace, StepDelete:
		return StepBackEnable, true
	}
	return p.Step, false
}

// stopped says at which step a part goes on when its rotation is cancelled: ok
// is false for one that must not stay as it is. One that has failed may: then
// its keys stay, and the next rotation of the domain replaces them all.
func (p *Part) stopped() (Step, bool) {
	switch p.Step {
	case StepPending:
		return StepSkipped, true
	case StepAdd, StepPromote:
		return StepRemove, true
	case StepKEKRotate, StepKEKRewrap, StepKEKVerify, StepRetire, StepTrim:
		return StepCancelled, true
	}
	if p.Step.ended() {
		return p.Step, true
	}
	return StepCancelled, p.Failed
}

// backEnable lets the old keys open again.
func (p *part) backEnable(ctx context.Context) (Next, error) {
	open := slices.DeleteFunc(slices.Clone(p.doc.Old), func(k Key) bool { return k.State == envelope.StateDisabled })
	return Next{}, p.with(StepBackPromote, nil, func(row store.Row) error {
		return p.m.store.EnableKeysets(ctx, internal, p.doc.KeyDomain, open, row)
	})
}

// backPromote makes the former keys the primary ones again.
func (p *part) backPromote(ctx context.Context) (Next, error) {
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	return Next{}, p.with(StepBackSweep, func(d *Part) {
		d.Cursor, d.Sweeps, d.Scan = "", 0, nil
		d.Counts = Counts{Before: d.Counts.Before, Total: values(in, d.New)}
	}, func(row store.Row) error {
		return p.m.store.PromoteKeysets(ctx, internal, p.doc.KeyDomain, p.doc.Former, row)
	})
}

func (p *part) backDrain(ctx context.Context) (Next, error) {
	return p.outlive(ctx, p.doc.New, StepBackVerify)
}

// backVerify proves that nothing is left under the keys that the rotation made.
func (p *part) backVerify(ctx context.Context) (Next, error) {
	return p.prove(ctx, p.doc.New, StepBackSweep, StepBackDelete)
}

// backDelete destroys them.
func (p *part) backDelete(ctx context.Context) (Next, error) {
	return Next{}, p.with(StepRolledBack, nil, func(row store.Row) error {
		return p.m.store.DestroyKeysets(ctx, internal, p.doc.KeyDomain, p.doc.New, row)
	})
}

// remove destroys new keys that never were primary. One that was made right
// before a crash may not be written down yet: pending ones are looked for.
func (p *part) remove(ctx context.Context) (Next, error) {
	in, err := p.keys(ctx)
	if err != nil {
		return Next{}, err
	}
	pending, err := refsOf(in, func(k *store.KeyState) bool {
		return p.doc.replaces(k) && k.State == envelope.StatePending.String()
	})
	if err != nil {
		return Next{}, err
	}
	if len(pending) == 0 {
		return Next{}, p.advance(ctx, StepCancelled, nil)
	}
	return Next{}, p.with(StepCancelled, nil, func(row store.Row) error {
		return p.m.store.DestroyKeysets(ctx, internal, p.doc.KeyDomain, pending, row)
	})
}
