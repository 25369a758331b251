package rotate

import (
	"context"

	"strongroom/store"
)

// kekRotate has the key service make another version. What the newest was is
// written down first, so that it is made once.
func (p *part) kekRotate(ctx context.Context) (Next, error) {
	if p.doc.KEKFrom == 0 {
		from, err := p.m.store.KEKLatest(ctx, internal, p.doc.KeyDomain)
		if err != nil {
			return Next{}, err
		}
		return Next{}, p.advance(ctx, StepKEKRotate, func(d *Part) { d.KEKFrom = from })
	}
	to, err := p.m.store.RotateKEK(ctx, internal, p.doc.KeyDomain, p.doc.KEKFrom)
	if err != nil {
		return Next{}, err
	}
	return Next{}, p.advance(ctx, StepKEKRewrap, func(d *Part) { d.KEKTo = to })
}

// kekRewrap seals every keyset of the domain again, under the new version.
func (p *part) kekRewrap(ctx context.Context) (Next, error) {
	moved := 0
	err := p.with(StepKEKVerify, nil, func(row store.Row) (err error) {
		moved, err = p.m.store.RewrapKeysets(ctx, internal, p.doc.KeyDomain, row)
		return err
	})
	if err == nil {
		p.m.mu.Lock()
		p.doc.Counts.Keysets += moved // stored with the next step
		p.m.mu.Unlock()
	}
	return Next{}, err
}

// kekVerify looks whether a keyset is left under an older version.
func (p *part) kekVerify(ctx context.Context) (Next, error) {
	left, err := p.m.store.KEKLeft(ctx, p.doc.KeyDomain, p.doc.KEKTo)
	switch {
	case err != nil:
		return Next{}, err
	case left > 0:
		return Next{}, p.advance(ctx, StepKEKRewrap, nil)
	case p.r.doc.Retire || p.r.doc.Trim:
		return Next{}, p.advance(ctx, StepRetire, nil)
	}
	return Next{}, p.advance(ctx, StepDone, nil)
}

// retire has the key service refuse the older versions.
func (p *part) retire(ctx context.Context) (Next, error) {
	if err := p.m.store.RetireKEK(ctx, internal, p.doc.KeyDomain, p.doc.KEKTo); err != nil {
		return Next{}, err
	}
	step := StepDone
	if p.r.doc.Trim {
		step = StepTrim
	}
	return Next{}, p.advance(ctx, step, func(d *Part) { d.Retired = true })
}

// trim has it destroy them.
func (p *part) trim(ctx context.Context) (Next, error) {
	if err := p.m.store.TrimKEK(ctx, internal, p.doc.KeyDomain, p.doc.KEKTo); err != nil {
		return Next{}, err
	}
	return Next{}, p.advance(ctx, StepDone, func(d *Part) { d.Trimmed = true })
}
