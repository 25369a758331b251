package client

import (
	"context"
	"encoding/json"
	"time"
)

func limitPath(name string) string { return "/v1" + escape("limits", name) }

// LimitWindow is so many within so long.
type LimitWindow struct {
	Limit  uint64 `json:"limit"`
	Window string `json:"window"` // 1s, 24h
}

// Limit is a limit as it is in force, with what it has counted.
type Limit struct {
	Name          string          `json:"name"`
	Builtin       bool            `json:"builtin"` // nobody stored one of this name
	Version       uint64          `json:"version"`
	CreatedAt     *time.Time      `json:"created_at,omitempty"`
	UpdatedAt     *time.Time      `json:"updated_at,omitempty"`
	Description   string          `json:"description,omitempty"`
	Disabled      bool            `json:"disabled,omitempty"`
	Per           string          `json:"per"` // client, role, address or total
	Clients       []string        `json:"clients,omitempty"`
	Roles         []string        `json:"roles,omitempty"`
	Addresses     []string        `json:"addresses,omitempty"`
	Routes        []string        `json:"routes,omitempty"`
	Requests      []LimitWindow   `json:"requests,omitempty"`
	RequestBytes  []LimitWindow   `json:"request_bytes,omitempty"`
	ResponseBytes []LimitWindow   `json:"response_bytes,omitempty"`
	Concurrency   uint64          `json:"concurrency,omitempty"`
	Exposure      *ExposureBudget `json:"exposure,omitempty"`
	Use           LimitUse        `json:"use"`
}

// ExposureBudget bounds how many distinct records and fields a client reads.
type ExposureBudget struct {
	Records       []LimitWindow `json:"records,omitempty"`
	Fields        []LimitWindow `json:"fields,omitempty"`
	WhenExhausted string        `json:"when_exhausted"` // mask, refuse or throttle
}

// LimitUse is what a limit has counted.
type LimitUse struct {
	Counted  int             `json:"counted"` // how many have a counter now
	Refused  uint64          `json:"refused"` // requests, since the server started
	MostUsed []LimitCount    `json:"most_used"`
	Exposure []LimitExposure `json:"exposure,omitempty"`
}

// LimitCount is one counter.
type LimitCount struct {
	Who      string       `json:"who"`
	UnderWay int          `json:"under_way"`
	Windows  []LimitState `json:"windows,omitempty"`
}

// LimitState is one window of a counter.
type LimitState struct {
	What    string `json:"what"`
	Window  string `json:"window"`
	Limit   uint64 `json:"limit"`
	Used    uint64 `json:"used"`
	ResetIn int    `json:"reset_in"` // seconds until the first of it comes back
}

// LimitExposure is what a client has spent of one budget.
type LimitExposure struct {
	Client string `json:"client"`
	LimitState
}

// PutLimit creates or replaces a limit. document is its JSON:
// {"per": "client", "requests": [{"limit": 10, "window": "1s"}], ...}.
func (c *Client) PutLimit(ctx context.Context, name string, document json.RawMessage, o WriteOptions) (*Limit, error) {
	return define[Limit](ctx, c, limitPath(name), document, o)
}

// GetLimit returns a limit with its use.
func (c *Client) GetLimit(ctx context.Context, name string) (*Limit, error) {
	return fetch[Limit](ctx, c, get(limitPath(name)))
}

// ListLimits returns the limits, stored and built in.
func (c *Client) ListLimits(ctx context.Context) ([]Limit, error) {
	return fetchItems[Limit](ctx, c, "/v1/limits")
}

// DeleteLimit deletes a limit: a built-in one of its name is in force again.
func (c *Client) DeleteLimit(ctx context.Context, name string) error {
	_, err := c.do(ctx, del(limitPath(name)))
	return err
}
