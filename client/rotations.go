package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// RotationRequest says what to rotate, and how deep.
type RotationRequest struct {
	Integrations []string `json:"integrations,omitempty"` // names, and globs in which * stands for any characters
	System       bool     `json:"system,omitempty"`       // the keys of the control plane too
	Depth        string   `json:"depth,omitempty"`        // kek, keyset or data
	Reindex      bool     `json:"reindex,omitempty"`      // with keyset: new index keys too; data does so anyway
	Grace        string   `json:"grace,omitempty"`        // how long an old key stays disabled before it is destroyed
	Retire       bool     `json:"retire,omitempty"`       // have the key service refuse old versions
	Trim         bool     `json:"trim,omitempty"`         // and destroy them, which nothing takes back
	Compromised  string   `json:"compromised,omitempty"`  // id of a key that others may know
	Rate         uint64   `json:"rate,omitempty"`         // values a second at most; 0: as many as leave requests unharmed
	Reason       string   `json:"reason,omitempty"`
}

// Rotation is a rotation as it stands.
type Rotation struct {
	ID string `json:"id"`
	RotationRequest
	State      string           `json:"state"`     // pending, running, paused, waiting, failed, done, cancelled, rolled_back
	Direction  string           `json:"direction"` // forward, back or cancel
	Detail     string           `json:"detail,omitempty"`
	By         string           `json:"by"`
	Schedule   string           `json:"schedule,omitempty"`
	Due        *time.Time       `json:"due,omitempty"`
	CreatedAt  time.Time        `json:"created_at"`
	StartedAt  *time.Time       `json:"started_at,omitempty"`
	FinishedAt *time.Time       `json:"finished_at,omitempty"`
	Progress   RotationProgress `json:"progress"`
	Parts      []RotationPart   `json:"parts"`
	HasReport  bool             `json:"has_report"`
}

// Ended reports whether nothing more happens to the rotation.
func (r *Rotation) Ended() bool {
	return r.State == "done" || r.State == "cancelled" || r.State == "rolled_back"
}

// RotationProgress is how far a rotation is, in values: wrapped DEKs, token sets
// of the index, values of the control plane.
type RotationProgress struct {
	Done       uint64   `json:"done"`
	Total      uint64   `json:"total"`
	Left       uint64   `json:"left"` // under a former key now
	Rate       float64  `json:"rate"` // values a second, lately
	ETASeconds *float64 `json:"eta_seconds,omitempty"`
	PartsDone  int      `json:"parts_done"`
	Parts      int      `json:"parts"`
}

// RotationPart is what a rotation does to one integration, or the system domain.
type RotationPart struct {
	ID          string               `json:"id"`
	Integration string               `json:"integration,omitempty"` // none: the system domain
	UID         string               `json:"uid"`
	Purposes    []string             `json:"purposes,omitempty"`
	Step        string               `json:"step"`
	Failed      bool                 `json:"failed,omitempty"` // it goes on when it is resumed
	Detail      string               `json:"detail,omitempty"`
	New         []RotationKey        `json:"new,omitempty"`
	Former      []RotationKey        `json:"former,omitempty"` // primary before
	Old         []RotationKey        `json:"old,omitempty"`    // all that are to go
	KEKName     string               `json:"kek,omitempty"`
	KEKFrom     int                  `json:"kek_from,omitempty"`
	KEKTo       int                  `json:"kek_to,omitempty"`
	Retired     bool                 `json:"retired,omitempty"`
	Trimmed     bool                 `json:"trimmed,omitempty"`
	Cursor      string               `json:"cursor,omitempty"`
	Counts      RotationCounts       `json:"counts"`
	Scan        *RotationScan        `json:"scan,omitempty"`
	Sweeps      int                  `json:"sweeps,omitempty"`
	GraceEnds   *time.Time           `json:"grace_ends,omitempty"`
	Times       map[string]time.Time `json:"times,omitempty"` // when each step was reached
}

// RotationKey names a key of a keyset.
type RotationKey struct {
	Purpose    string `json:"purpose"`
	Generation uint32 `json:"generation"`
	KeyID      string `json:"key_id"`
}

// RotationCounts tell what lay under which key, and what was moved.
type RotationCounts struct {
	Before    map[string]uint64 `json:"before,omitempty"` // by key id
	After     map[string]uint64 `json:"after,omitempty"`
	Total     uint64            `json:"total,omitempty"`
	Scanned   uint64            `json:"scanned,omitempty"`
	Rewrapped uint64            `json:"rewrapped,omitempty"`
	Resealed  uint64            `json:"resealed,omitempty"`
	Reindexed uint64            `json:"reindexed,omitempty"`
	Stale     uint64            `json:"stale,omitempty"`
	Damaged   uint64            `json:"damaged,omitempty"` // do not open, and stay as they are
	Bytes     uint64            `json:"bytes,omitempty"`
	Keysets   int               `json:"keysets,omitempty"`
}

// RotationScan is the scan that found nothing left.
type RotationScan struct {
	Values     uint64    `json:"values"` // looked at
	Opened     uint64    `json:"opened"`
	Left       uint64    `json:"left"`
	Damaged    uint64    `json:"damaged"`
	Counted    uint64    `json:"counted"` // under the old keys, as the counters say
	Named      []string  `json:"named,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}

func rotationPath(id, verb string) string { return "/v1" + escape("rotations", id) + verb }

// CreateRotation begins a rotation, which goes on by itself.
func (c *Client) CreateRotation(ctx context.Context, r RotationRequest) (*Rotation, error) {
	q, err := post("/v1/rotations", r)
	if err != nil {
		return nil, err
	}
	return fetch[Rotation](ctx, c, q)
}

// GetRotation returns a rotation.
func (c *Client) GetRotation(ctx context.Context, id string) (*Rotation, error) {
	return fetch[Rotation](ctx, c, get(rotationPath(id, "")))
}

// ListRotations returns the rotations that go on and those that ended, the
// newest first.
func (c *Client) ListRotations(ctx context.Context) ([]Rotation, error) {
	return fetchItems[Rotation](ctx, c, "/v1/rotations")
}

// WatchRotation yields a rotation whenever it changed, until it has ended or
// failed. It asks again by itself when the connection breaks.
func (c *Client) WatchRotation(ctx context.Context, id string) iter.Seq2[*Rotation, error] {
	return watch[Rotation](ctx, c, rotationPath(id, ""))
}

// steer posts what an operator wants of a job. Doing so twice ends in the same.
func steer[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return fetch[T](ctx, c, &call{method: http.MethodPost, path: path, safe: true})
}

// PauseRotation has a rotation stop where it is.
func (c *Client) PauseRotation(ctx context.Context, id string) (*Rotation, error) {
	return steer[Rotation](ctx, c, rotationPath(id, ":pause"))
}

// ResumeRotation has one go on that was paused, or failed.
func (c *Client) ResumeRotation(ctx context.Context, id string) (*Rotation, error) {
	return steer[Rotation](ctx, c, rotationPath(id, ":resume"))
}

// CancelRotation ends a rotation none of whose keys has become primary.
func (c *Client) CancelRotation(ctx context.Context, id string) (*Rotation, error) {
	return steer[Rotation](ctx, c, rotationPath(id, ":cancel"))
}

// RollbackRotation brings the former keys back, as long as they exist.
func (c *Client) RollbackRotation(ctx context.Context, id string) (*Rotation, error) {
	return steer[Rotation](ctx, c, rotationPath(id, ":rollback"))
}

// ThrottleRotation bounds how many values a rotation moves in a second; 0 takes
// the bound away.
func (c *Client) ThrottleRotation(ctx context.Context, id string, rate uint64) (*Rotation, error) {
	q, err := post(rotationPath(id, ":throttle"), map[string]uint64{"rate": rate})
	if err != nil {
		return nil, err
	}
	q.safe = true
	return fetch[Rotation](ctx, c, q)
}

// RotationReport returns the signed report of a rotation that has ended.
func (c *Client) RotationReport(ctx context.Context, id string) ([]byte, error) {
	a, err := c.do(ctx, get(rotationPath(id, "/report")))
	if err != nil {
		return nil, err
	}
	return a.body, nil
}
