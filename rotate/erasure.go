package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/internal/uid"
	"strongroom/store"
)

// Level is how far an erasure has come, or is to go. Each holds what those
// before it do.
type Level string

// The levels.
const (
	// LevelNone is that of an erasure that has not come to the end of the records.
	LevelNone Level = "E0"
	// LevelLive: wrapped DEKs and index tokens are gone from the live tree, and
	// the ledger tells every restore.
	LevelLive Level = "E1"
	// LevelFile: they are in no free page of the data file either.
	LevelFile Level = "E2"
	// LevelKeys: every key that covered the records is destroyed, and the
	// versions of the key-encryption key that wrapped those: copies and backups
	// cannot be opened any longer.
	LevelKeys Level = "E3"
)

// UnmarshalText reads a level. One that is left out is the first; one that is
// given and empty is refused, as every text that is no level is by Create.
func (l *Level) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("a level is E1, E2 or E3")
	}
	*l = Level(text)
	return nil
}

// ErasureRequest is what a client says of an erasure.
type ErasureRequest struct {
	store.EraseTarget
	Level  Level  `json:"level"` // how far it is to go
	Reason string `json:"reason,omitempty"`
}

// Erasure is an erasure as it stands.
type Erasure struct {
	ID string `json:"id"` // UUIDv7
	ErasureRequest
	State          Level      `json:"state"`  // how far it has come
	Failed         bool       `json:"failed"` // for the reason in Detail; it can be resumed
	Done           bool       `json:"done"`   // it has come as far as it was to go
	Detail         string     `json:"detail,omitempty"`
	By             string     `json:"by"` // the client that asked for it
	CreatedAt      time.Time  `json:"created_at"`
	E1At           *time.Time `json:"e1_at,omitempty"`
	E2At           *time.Time `json:"e2_at,omitempty"`
	E3At           *time.Time `json:"e3_at,omitempty"`
	Records        uint64     `json:"records"`            // erased; of a whole integration they are not counted
	Rotation       string     `json:"rotation,omitempty"` // that destroys the keys
	HasCertificate bool       `json:"has_certificate"`
}

// ErasureStore is what erasures need of a store, beyond what a Manager does.
type ErasureStore interface {
	UID() uid.UID
	Rows(ctx context.Context, kind store.RowKind) ([]store.Row, error)
	PutRows(ctx context.Context, c store.Caller, action string, rows ...store.Row) error
	DescribeRow(c store.Caller, kind store.RowKind, id string) error
	AuthoriseRow(c store.Caller, action string, kind store.RowKind, id string) error
	Attest(ctx context.Context, kind string, doc any) ([]byte, error)
	PlanErase(ctx context.Context, c store.Caller, t store.EraseTarget, keys bool) (store.ErasePlan, error)
	EraseSome(ctx context.Context, c store.Caller, plan store.ErasePlan, rows func(erased int) []store.Row) (int, error)
	EraseIntegration(ctx context.Context, c store.Caller, plan store.ErasePlan) (gone bool, err error)
	IntegrationGone(id uid.UID) bool
	KeyService() (name string, proves bool)
}

// ErasureOptions are what Erasures work with.
type ErasureOptions struct {
	Store ErasureStore
	Now   func() time.Time // nil: time.Now
	// Compact rewrites the data file without what was deleted, and returns when
	// the old file has no reader left.
	Compact func(ctx context.Context) error
	// Poll is how often a rotation is looked at that an erasure waits for;
	// default 5 s.
	Poll time.Duration
}

// Erasures keeps erasures; a Manager, whose Kinds it is one of, carries them on.
// Its methods are safe for concurrent use.
type Erasures struct {
	store   ErasureStore
	now     func() time.Time
	compact func(ctx context.Context) error
	poll    time.Duration

	control sync.Mutex // held while erasures are read or made
	mu      sync.Mutex
	m       *Manager // nil before Load
	loaded  bool
	all     map[string]*erasure
	// compacted is when the last compaction that ended well began.
	compacted time.Time
	watchers  map[string]map[chan struct{}]struct{}
}

// NewErasures makes Erasures.
func NewErasures(o ErasureOptions) *Erasures {
	e := &Erasures{store: o.Store, now: o.Now, compact: o.Compact, poll: o.Poll, all: map[string]*erasure{}, watchers: map[string]map[chan struct{}]struct{}{}}
	if e.now == nil {
		e.now = time.Now
	}
	if e.poll <= 0 {
		e.poll = 5 * time.Second
	}
	return e
}

// eraser is the caller of what an erasure does once it was allowed.
var eraser = store.Internal("erasure")

// erasureDoc is the document of a row.
type erasureDoc struct {
	Plan        store.ErasePlan `json:"plan"`
	Level       Level           `json:"level"`
	Reason      string          `json:"reason,omitempty"`
	By          string          `json:"by"`
	ByUID       uid.UID         `json:"by_uid"`
	CreatedAt   time.Time       `json:"created_at"`
	Records     uint64          `json:"records"`
	E1At        *time.Time      `json:"e1_at,omitempty"`
	E2At        *time.Time      `json:"e2_at,omitempty"`
	E3At        *time.Time      `json:"e3_at,omitempty"`
	Rotation    string          `json:"rotation,omitempty"`
	RotationAt  *time.Time      `json:"rotation_at,omitempty"` // when it was made
	RotatedAt   *time.Time      `json:"rotated_at,omitempty"`  // when it ended
	Keys        []DestroyedKeys `json:"keys,omitempty"`        // that it destroyed
	Failed      string          `json:"failed,omitempty"`      // why
	Certificate string          `json:"certificate,omitempty"`
}

// state is how far it has come.
func (d *erasureDoc) state() Level {
	switch {
	case d.E3At != nil:
		return LevelKeys
	case d.E2At != nil:
		return LevelFile
	case d.E1At != nil:
		return LevelLive
	}
	return LevelNone
}

// Load reads the erasures that have not ended, for a Manager to carry on.
func (e *Erasures) Load(ctx context.Context, m *Manager) (jobs []Job, err error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.m = m
	for _, j := range e.all {
		if j.doc.Certificate == "" && j.doc.Failed == "" {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

// load reads all erasures, once. A row that does not open is left alone.
func (e *Erasures) load(ctx context.Context) error {
	e.control.Lock()
	defer e.control.Unlock()
	e.mu.Lock()
	loaded := e.loaded
	e.mu.Unlock()
	if loaded {
		return nil
	}
	rows, err := e.store.Rows(ctx, store.RowErasure)
	if err != nil && !errors.Is(err, store.ErrIntegrity) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, row := range rows {
		j := &erasure{e: e, id: row.ID, version: row.Version}
		if json.Unmarshal(row.Doc, &j.doc) == nil {
			e.all[row.ID] = j
		}
	}
	e.loaded = true
	return nil
}

// Create makes an erasure, which begins at once.
func (e *Erasures) Create(ctx context.Context, c store.Caller, r ErasureRequest) (Erasure, error) {
	var bad faults
	if r.Level == "" {
		r.Level = LevelLive
	}
	if !slices.Contains([]Level{LevelLive, LevelFile, LevelKeys}, r.Level) {
		bad.add("/level", "must be E1, E2 or E3")
	}
	if len(r.Reason) > maxReason || !printable(r.Reason) {
		bad.add("/reason", "has at most 1024 bytes of UTF-8 and no control characters")
	}
	if bad.err() != nil {
		return Erasure{}, bad.err()
	}
	plan, err := e.store.PlanErase(ctx, c, r.EraseTarget, r.Level == LevelKeys)
	if err != nil {
		return Erasure{}, err
	}
	if err := e.load(ctx); err != nil {
		return Erasure{}, err
	}
	now := e.now().UTC()
	j := &erasure{e: e, id: uid.NewV7(now), doc: erasureDoc{
		Plan: plan, Level: r.Level, Reason: r.Reason, By: c.Client, ByUID: c.ClientUID, CreatedAt: now,
	}}
	if err := j.put(ctx, j.doc); err != nil {
		return Erasure{}, err
	}
	e.mu.Lock()
	e.all[j.id] = j
	e.mu.Unlock()
	e.enlist(j)
	return e.describe(j), nil
}

func (e *Erasures) enlist(j *erasure) {
	e.mu.Lock()
	m := e.m
	e.mu.Unlock()
	if m != nil {
		m.Enlist(j)
	}
}

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
