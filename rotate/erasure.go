package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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
