package rotate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"strongroom/store"
)

// rotationDoc is a rotation as its row holds it. Where its parts stand is in
// their rows: so a step writes little, and never over what an operator says.
type rotationDoc struct {
	Request
	Direction  Direction  `json:"direction"`
	Paused     bool       `json:"paused,omitempty"`
	By         string     `json:"by"`
	Schedule   string     `json:"schedule,omitempty"`
	Due        *time.Time `json:"due,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	State      State      `json:"state,omitempty"` // once it has ended
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// rotation is a rotation in memory. It and its parts change under Manager.mu,
// and while no step is under way or by the step itself.
type rotation struct {
	id      string
	doc     rotationDoc
	version uint64
	parts   []*part
	limiter *rate.Limiter // of an operator; nil: none
	meter   meter
	unsure  bool // what the row holds: a write of it failed
}

func (r *rotation) row(doc rotationDoc) store.Row {
	return store.Row{Kind: store.RowRotation, ID: r.id, Version: r.version, Doc: encode(doc)}
}

// encode writes a document of our own, which can always be written.
func encode(doc any) json.RawMessage {
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("rotate: encode a document: %v", err))
	}
	return raw
}

// throttle makes the limiter of a rate.
func (r *rotation) throttle() {
	r.limiter = nil
	if n := r.doc.Rate; n > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(n), int(min(max(n, 1), 1<<20)))
	}
}

func (r *rotation) urgent() bool { return r.doc.Compromised != "" || r.doc.Direction == Back }

// ended reports whether every part has.
func (r *rotation) ended() bool {
	return !slices.ContainsFunc(r.parts, func(p *part) bool { return !p.doc.Step.ended() })
}

// holds reports whether the rotation works on a domain, or will when it is
// resumed.
func (r *rotation) holds(d store.KeyDomain) bool {
	if r.doc.State != "" {
		return false
	}
	return slices.ContainsFunc(r.parts, func(p *part) bool { return p.doc.UID == d.UID && !p.doc.Step.ended() })
}

// final is the state in which a rotation ends.
func (r *rotation) final() State {
	switch r.doc.Direction {
	case Back:
		return StateRolledBack
	case Cancel:
		return StateCancelled
	}
	return StateDone
}

// state says where a rotation stands, and why it does not go on.
func (r *rotation) state() (State, string) {
	if r.doc.State != "" {
		return r.doc.State, ""
	}
	var waits, failed, begun, runs int
	why := ""
	for _, p := range r.parts {
		if p.doc.Step != StepPending {
			begun++
		}
		switch {
		case p.doc.Step.ended() && p.waiting == "":
			continue
		case p.doc.Failed:
			if failed++; failed == 1 {
				why = p.doc.String() + ": " + p.doc.Detail
			}
		case p.waiting != "":
			if waits++; waits == 1 && failed == 0 {
				why = p.doc.String() + ": " + p.waiting
			}
		default:
			runs++
		}
	}
	switch {
	case r.doc.Paused:
		return StatePaused, ""
	case runs > 0 && begun == 0:
		return StatePending, why
	case runs > 0:
		return StateRunning, why
	case waits > 0:
		return StateWaiting, why
	case failed > 0:
		return StateFailed, why
	}
	return StateRunning, ""
}

// describe tells of a rotation; without its parts when they are not wanted.
func (r *rotation) describe(now time.Time, parts bool) Rotation {
	out := Rotation{
		ID: r.id, Request: r.doc.Request, Direction: r.doc.Direction, By: r.doc.By, Schedule: r.doc.Schedule, Due: r.doc.Due,
		CreatedAt: r.doc.CreatedAt, FinishedAt: r.doc.FinishedAt, Progress: r.progress(now), Parts: []Part{},
	}
	out.State, out.Detail = r.state()
	out.HasReport = out.State.Ended()
	for _, p := range r.parts {
		if at := p.doc.began(); at != nil && (out.StartedAt == nil || at.Before(*out.StartedAt)) {
			out.StartedAt = at
		}
		if parts {
			out.Parts = append(out.Parts, p.describe())
		}
	}
	return out
}

func (r *rotation) progress(now time.Time) Progress {
	out := Progress{Parts: len(r.parts), Rate: r.meter.rate(now)}
	for _, p := range r.parts {
		if p.doc.Step.ended() {
			out.PartsDone++
		}
		c := &p.doc.Counts
		out.Total += c.Total
		if p.doc.Scan != nil {
			out.Done += c.Total // what was not moved was erased
		} else {
			out.Done += min(c.moved(), c.Total)
		}
	}
	if state, _ := r.state(); !state.Ended() {
		out.Left = out.Total - out.Done
	}
	if out.Left > 0 && out.Rate > 0 {
		eta := float64(out.Left) / out.Rate
		out.ETASeconds = &eta
	}
	return out
}

// moved counts the values that the sweep has dealt with.
func (c *Counts) moved() uint64 { return c.Rewrapped + c.Resealed + c.Reindexed + c.Stale }

// meter tells at what rate something goes on lately.
type meter struct {
	perSecond float64
	last      time.Time
	pending   float64
}

// meterSpan is over how long a meter looks back.
const meterSpan = 5 * time.Second

func (m *meter) add(now time.Time, n uint64) {
	m.pending += float64(n)
	passed := now.Sub(m.last)
	switch {
	case m.last.IsZero() || passed > 4*meterSpan:
		m.last, m.perSecond = now, 0
	case passed >= meterSpan/10:
		weight := min(passed.Seconds()/meterSpan.Seconds(), 1)
		if m.perSecond == 0 {
			weight = 1
		}
		m.perSecond += (m.pending/passed.Seconds() - m.perSecond) * weight
		m.last, m.pending = now, 0
	}
}

func (m *meter) rate(now time.Time) float64 {
	if now.Sub(m.last) > 4*meterSpan {
		return 0
	}
	return m.perSecond
}
