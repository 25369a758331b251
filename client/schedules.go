package client

import (
	"context"
	"encoding/json"
	"time"
)

// Schedule is a rotation that comes again.
type Schedule struct {
	Name      string          `json:"name"`
	Rotation  RotationRequest `json:"rotation"`
	Every     string          `json:"every,omitempty"` // a duration; or Cron
	Start     *time.Time      `json:"start,omitempty"` // that Every counts from
	Cron      string          `json:"cron,omitempty"`
	TimeZone  string          `json:"time_zone,omitempty"` // of Cron and Window; default UTC
	Jitter    string          `json:"jitter,omitempty"`
	Window    *ScheduleWindow `json:"window,omitempty"`
	MaxAge    string          `json:"max_age,omitempty"`
	Paused    bool            `json:"paused,omitempty"`
	Version   uint64          `json:"version"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	Run       ScheduleRun     `json:"run"`
}

// ScheduleWindow is when rotations of a schedule may start.
type ScheduleWindow struct {
	Days []string `json:"days,omitempty"` // mon, tue, ...; none: every day
	From string   `json:"from"`
	To   string   `json:"to"`
}

// ScheduleRun is what a schedule has done and will do.
type ScheduleRun struct {
	LastDue      *time.Time `json:"last_due,omitempty"`
	LastStarted  *time.Time `json:"last_started,omitempty"`
	LastRotation string     `json:"last_rotation,omitempty"`
	LastDone     *time.Time `json:"last_done,omitempty"`
	Missed       uint64     `json:"missed,omitempty"`
	Detail       string     `json:"detail,omitempty"`
	NextDue      *time.Time `json:"next_due,omitempty"`
	NextStart    *time.Time `json:"next_start,omitempty"`
	Overdue      bool       `json:"overdue"`
}

func schedulePath(name string) string { return "/v1" + escape("schedules", name) }

// PutSchedule creates or replaces a schedule. document is its JSON:
// {"rotation": {"integrations": ["*"], "depth": "kek"}, "every": "720h", ...}.
func (c *Client) PutSchedule(ctx context.Context, name string, document json.RawMessage, o WriteOptions) (*Schedule, error) {
	return define[Schedule](ctx, c, schedulePath(name), document, o)
}

// GetSchedule returns a schedule with what it has done.
func (c *Client) GetSchedule(ctx context.Context, name string) (*Schedule, error) {
	return fetch[Schedule](ctx, c, get(schedulePath(name)))
}

// ListSchedules returns all schedules.
func (c *Client) ListSchedules(ctx context.Context) ([]Schedule, error) {
	return fetchItems[Schedule](ctx, c, "/v1/schedules")
}

// DeleteSchedule deletes a schedule. A rotation that it began goes on.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	_, err := c.do(ctx, del(schedulePath(name)))
	return err
}
