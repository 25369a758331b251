package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/store"
)

// Get returns an erasure, to who asked for it, operates keys or audits.
func (e *Erasures) Get(ctx context.Context, c store.Caller, id string) (Erasure, error) {
	j, err := e.look(ctx, c, id)
	if err != nil {
		return Erasure{}, err
	}
	return e.describe(j), nil
}

func (e *Erasures) look(ctx context.Context, c store.Caller, id string) (*erasure, error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	j := e.all[id]
	own := j != nil && !c.ClientUID.IsZero() && j.doc.ByUID == c.ClientUID
	e.mu.Unlock()
	if !own {
		if err := e.store.DescribeRow(c, store.RowErasure, id); err != nil {
			return nil, err
		}
	}
	if j == nil {
		return nil, store.ErrNotFound
	}
	return j, nil
}

// List returns all erasures, the newest first.
func (e *Erasures) List(ctx context.Context, c store.Caller) ([]Erasure, error) {
	if err := e.store.DescribeRow(c, store.RowErasure, ""); err != nil {
		return nil, err
	}
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	jobs := make([]*erasure, 0, len(e.all))
	for _, j := range e.all {
		jobs = append(jobs, j)
	}
	e.mu.Unlock()
	slices.SortFunc(jobs, func(a, b *erasure) int { return strings.Compare(b.id, a.id) })
	out := make([]Erasure, len(jobs))
	for i, j := range jobs {
		out[i] = e.describe(j)
	}
	return out, nil
}

// Resume lets an erasure go on that has failed, for whoever operates keys or may
// ask for it now.
func (e *Erasures) Resume(ctx context.Context, c store.Caller, id string) (Erasure, error) {
	j, err := e.look(ctx, c, id)
	if err != nil {
		return Erasure{}, err
	}
	doc := e.docOf(j)
	by, err := e.resumer(ctx, c, j.id, &doc)
	if err != nil {
		return Erasure{}, err
	}
	if doc.Failed == "" {
		return Erasure{}, &store.Conflict{Detail: "this erasure has not failed"}
	}
	doc.Failed = ""
	if err := j.putAs(ctx, by, "resume", doc); err != nil {
		return Erasure{}, err
	}
	e.enlist(j)
	return e.describe(j), nil
}

// resumer judges who lets an erasure go on, and returns who that is written down
// as. To see it is not enough, nor is it to have been allowed to ask for it once. Of
// what is gone already it is enough to have asked for it.
func (e *Erasures) resumer(ctx context.Context, c store.Caller, id string, doc *erasureDoc) (store.Caller, error) {
	if !c.ClientUID.IsZero() && doc.ByUID == c.ClientUID {
		_, err := e.store.PlanErase(ctx, c, doc.Plan.EraseTarget, doc.Level == LevelKeys)
		if !errors.Is(err, store.ErrForbidden) {
			return eraser, nil
		}
	}
	return c, e.store.AuthoriseRow(c, "resume", store.RowErasure, id)
}

// Certificate returns the signed certificate of an erasure that has come as far
// as it was to go: see VerifyCertificate.
func (e *Erasures) Certificate(ctx context.Context, c store.Caller, id string) ([]byte, error) {
	j, err := e.look(ctx, c, id)
	if err != nil {
		return nil, err
	}
	doc := e.docOf(j)
	if doc.Certificate == "" {
		return nil, &store.Conflict{Detail: fmt.Sprintf("the erasure is at %s and was to go to %s: its certificate is made then", doc.state(), doc.Level)}
	}
	return []byte(doc.Certificate), nil
}

func (e *Erasures) docOf(j *erasure) erasureDoc {
	e.mu.Lock()
	defer e.mu.Unlock()
	return j.doc
}

func (e *Erasures) describe(j *erasure) Erasure {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := &j.doc
	out := Erasure{
		ID: j.id, ErasureRequest: ErasureRequest{EraseTarget: d.Plan.EraseTarget, Level: d.Level, Reason: d.Reason},
		State: d.state(), Failed: d.Failed != "", Done: d.Certificate != "", Detail: j.waits, By: d.By, CreatedAt: d.CreatedAt,
		E1At: d.E1At, E2At: d.E2At, E3At: d.E3At, Records: d.Records, Rotation: d.Rotation, HasCertificate: d.Certificate != "",
	}
	if d.Failed != "" {
		out.Detail = d.Failed
	}
	return out
}

// Subscribe returns an erasure now, and again when something of it changes,
// until it is done or has failed, or the context ends.
func (e *Erasures) Subscribe(ctx context.Context, c store.Caller, id string) (<-chan Erasure, error) {
	j, err := e.look(ctx, c, id)
	if err != nil {
		return nil, err
	}
	w := make(chan struct{}, 1)
	w <- struct{}{}
	e.mu.Lock()
	if e.watchers[id] == nil {
		e.watchers[id] = map[chan struct{}]struct{}{}
	}
	e.watchers[id][w] = struct{}{}
	e.mu.Unlock()
	out := make(chan Erasure)
	go e.follow(ctx, j, w, out)
	return out, nil
}

func (e *Erasures) follow(ctx context.Context, j *erasure, w chan struct{}, out chan<- Erasure) {
	defer close(out)
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if delete(e.watchers[j.id], w); len(e.watchers[j.id]) == 0 {
			delete(e.watchers, j.id)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w:
		}
		now := e.describe(j)
		select {
		case <-ctx.Done():
			return
		case out <- now:
		}
		if now.Done || now.Failed {
			return
		}
	}
}

// changed tells who follows an erasure. The caller holds mu.
func (e *Erasures) changed(id string) {
	for w := range e.watchers[id] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
