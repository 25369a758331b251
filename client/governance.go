package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// ErrPending comes when a change widens access and two persons are wanted:
// nothing was changed yet. It is a *Pending.
var ErrPending = errors.New("strongroom: the change waits for a second person")

// Pending is a change that waits for a second person.
type Pending struct {
	Change Change `json:"change"`
	// SecretID and Secret are of a secret that counts once it is approved: it
	// is shown now, and never again.
	SecretID string `json:"secret_id,omitempty"`
	Secret   Secret `json:"client_secret,omitzero"`
}

// Error names the change.
func (p *Pending) Error() string { return ErrPending.Error() + ": " + p.Change.ID }

// Unwrap makes it an ErrPending.
func (p *Pending) Unwrap() error { return ErrPending }

// pendingOf returns the change that an answer says waits, nil when it does not.
func pendingOf(a *answer) *Pending {
	p := new(Pending)
	if a.status != http.StatusAccepted || json.Unmarshal(a.body, p) != nil || p.Change.ID == "" {
		return nil
	}
	return p
}

// Change is a change of access that waits for a second person, or did.
type Change struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"`   // put-role, delete-role, put-client, create-secret, put-issuer, put-collection, put-limit, delete-limit, two-person
	Target      string          `json:"target"` // kind/name
	State       string          `json:"state"`  // pending, approved, rejected, withdrawn, expired
	Requester   string          `json:"requester"`
	RequestedAt time.Time       `json:"requested_at"`
	ExpiresAt   time.Time       `json:"expires_at"`
	Decider     string          `json:"decider,omitempty"`
	DecidedAt   *time.Time      `json:"decided_at,omitempty"`
	SecretID    string          `json:"secret_id,omitempty"`
	BaseVersion uint64          `json:"base_version,omitempty"`
	Affects     []string        `json:"affects"`
	Document    json.RawMessage `json:"document,omitempty"` // what it is to become
	Current     json.RawMessage `json:"current,omitempty"`  // what it is
}

// Governance is how changes of access are governed.
type Governance struct {
	TwoPerson bool       `json:"two_person"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	UpdatedBy string     `json:"updated_by,omitempty"`
}

// ApprovalSpec is what an approval is asked for: to read fields of records, for
// a purpose, some times, for minutes.
type ApprovalSpec struct {
	Client      string   `json:"client,omitempty"` // who is to read; default: who asks
	Purpose     string   `json:"purpose"`
	Integration string   `json:"integration"`
	Collection  string   `json:"collection"`
	Records     []string `json:"records"`
	Fields      []string `json:"fields"`
	Uses        int      `json:"uses,omitempty"` // default 1
	TTL         string   `json:"ttl,omitempty"`  // default 15m
	Reason      string   `json:"reason,omitempty"`
}

// Approval is a second person's leave to read, asked for or given.
type Approval struct {
	ID string `json:"id"`
	ApprovalSpec
	UsesLeft    int        `json:"uses_left"`
	State       string     `json:"state"` // pending, approved, rejected, revoked, used, expired
	Requester   string     `json:"requester"`
	RequestedAt time.Time  `json:"requested_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	Decider     string     `json:"decider,omitempty"`
	DecidedAt   *time.Time `json:"decided_at,omitempty"`
}

// reading is what requests of a context say about what they read.
type reading struct{ purpose, approval string }

type readingKey struct{}

// WithPurpose has the requests of a context say what they read for. Fields that
// ask for a purpose are read in clear only with one.
func WithPurpose(ctx context.Context, purpose string) context.Context {
	r, _ := ctx.Value(readingKey{}).(reading)
	r.purpose = purpose
	return context.WithValue(ctx, readingKey{}, r)
}

// WithApproval has reads of a context name an approval, of which each spends a
// use. Such reads are not sent again by themselves.
func WithApproval(ctx context.Context, id string) context.Context {
	r, _ := ctx.Value(readingKey{}).(reading)
	r.approval = id
	return context.WithValue(ctx, readingKey{}, r)
}

// say puts into a request what its context says.
func (r reading) say(q *http.Request) {
	if r.purpose != "" {
		q.Header.Set("Strongroom-Purpose", r.purpose)
	}
	if r.approval != "" {
		q.Header.Set("Strongroom-Approval", r.approval)
	}
}

func changePath(id, verb string) string   { return "/v1" + escape("changes", id) + verb }
func approvalPath(id, verb string) string { return "/v1" + escape("approvals", id) + verb }

// decide posts a decision. One whose answer is lost is not sent again: the
// second would find it decided.
func decide[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return fetch[T](ctx, c, &call{method: http.MethodPost, path: path})
}

// GetGovernance says whether changes that widen access wait.
func (c *Client) GetGovernance(ctx context.Context) (*Governance, error) {
	return fetch[Governance](ctx, c, get("/v1/governance"))
}

// PutGovernance has changes that widen access wait, or not. Switching that off
// is such a change.
func (c *Client) PutGovernance(ctx context.Context, twoPerson bool) (*Governance, error) {
	return define[Governance](ctx, c, "/v1/governance", map[string]bool{"two_person": twoPerson}, WriteOptions{})
}

// ListChanges returns the changes that wait, and those decided about lately,
// without their documents.
func (c *Client) ListChanges(ctx context.Context) ([]Change, error) {
	return fetchItems[Change](ctx, c, "/v1/changes")
}

// GetChange returns a change, with what is and what it is to become.
func (c *Client) GetChange(ctx context.Context, id string) (*Change, error) {
	return fetch[Change](ctx, c, get(changePath(id, "")))
}

// ApproveChange carries out a change that somebody else asked for.
func (c *Client) ApproveChange(ctx context.Context, id string) (*Change, error) {
	return decide[Change](ctx, c, changePath(id, ":approve"))
}

// RejectChange refuses a change.
func (c *Client) RejectChange(ctx context.Context, id string) (*Change, error) {
	return decide[Change](ctx, c, changePath(id, ":reject"))
}

// WithdrawChange takes back a change that this client asked for.
func (c *Client) WithdrawChange(ctx context.Context, id string) (*Change, error) {
	return decide[Change](ctx, c, changePath(id, ":withdraw"))
}

// RequestApproval asks for an approval.
func (c *Client) RequestApproval(ctx context.Context, spec ApprovalSpec) (*Approval, error) {
	q, err := post("/v1/approvals", spec)
	if err != nil {
		return nil, err
	}
	return fetch[Approval](ctx, c, q)
}

// ListApprovals returns the approvals that concern this client.
func (c *Client) ListApprovals(ctx context.Context) ([]Approval, error) {
	return fetchItems[Approval](ctx, c, "/v1/approvals")
}

// GetApproval returns an approval.
func (c *Client) GetApproval(ctx context.Context, id string) (*Approval, error) {
	return fetch[Approval](ctx, c, get(approvalPath(id, "")))
}

// ApproveRead gives an approval that somebody else asked for.
func (c *Client) ApproveRead(ctx context.Context, id string) (*Approval, error) {
	return decide[Approval](ctx, c, approvalPath(id, ":approve"))
}

// RejectRead refuses an approval.
func (c *Client) RejectRead(ctx context.Context, id string) (*Approval, error) {
	return decide[Approval](ctx, c, approvalPath(id, ":reject"))
}

// RevokeRead ends an approval.
func (c *Client) RevokeRead(ctx context.Context, id string) (*Approval, error) {
	return decide[Approval](ctx, c, approvalPath(id, ":revoke"))
}
