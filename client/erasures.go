package client

import (
	"context"
	"iter"
	"time"
)

// ErasureRequest says what is to be erased: one record, every record with all of
// some labels, or the whole integration, whose name Confirm repeats.
type ErasureRequest struct {
	Integration string            `json:"integration"`
	Collection  string            `json:"collection,omitempty"`
	Record      string            `json:"record,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Level       string            `json:"level,omitempty"` // E1 (the default), E2 or E3
	Reason      string            `json:"reason,omitempty"`
	Confirm     string            `json:"confirm,omitempty"`
}

// Erasure is an erasure as it stands.
type Erasure struct {
	ID string `json:"id"`
	ErasureRequest
	State          string     `json:"state"`            // E0, E1, E2 or E3: how far it has come
	Failed         bool       `json:"failed"`           // it can be resumed
	Done           bool       `json:"done"`             // it has come as far as it was to go
	Detail         string     `json:"detail,omitempty"` // what it waits for, or why it failed
	By             string     `json:"by"`
	CreatedAt      time.Time  `json:"created_at"`
	E1At           *time.Time `json:"e1_at,omitempty"`
	E2At           *time.Time `json:"e2_at,omitempty"`
	E3At           *time.Time `json:"e3_at,omitempty"`
	Records        uint64     `json:"records"`
	Rotation       string     `json:"rotation,omitempty"` // that destroys the keys
	HasCertificate bool       `json:"has_certificate"`
}

func erasurePath(id, verb string) string { return "/v1" + escape("erasures", id) + verb }

// CreateErasure begins an erasure, which goes on by itself.
func (c *Client) CreateErasure(ctx context.Context, r ErasureRequest) (*Erasure, error) {
	q, err := post("/v1/erasures", r)
	if err != nil {
		return nil, err
	}
	return fetch[Erasure](ctx, c, q)
}

// GetErasure returns an erasure.
func (c *Client) GetErasure(ctx context.Context, id string) (*Erasure, error) {
	return fetch[Erasure](ctx, c, get(erasurePath(id, "")))
}

// ListErasures returns all erasures, the newest first.
func (c *Client) ListErasures(ctx context.Context) ([]Erasure, error) {
	return fetchItems[Erasure](ctx, c, "/v1/erasures")
}

// WatchErasure yields an erasure whenever it changed, until it is done or has
// failed. It asks again by itself when the connection breaks.
func (c *Client) WatchErasure(ctx context.Context, id string) iter.Seq2[*Erasure, error] {
	return watch[Erasure](ctx, c, erasurePath(id, ""))
}

// ResumeErasure has one go on that failed.
func (c *Client) ResumeErasure(ctx context.Context, id string) (*Erasure, error) {
	return steer[Erasure](ctx, c, erasurePath(id, ":resume"))
}

// ErasureCertificate returns the signed certificate of an erasure that is done.
func (c *Client) ErasureCertificate(ctx context.Context, id string) ([]byte, error) {
	a, err := c.do(ctx, get(erasurePath(id, "/certificate")))
	if err != nil {
		return nil, err
	}
	return a.body, nil
}
