package api

import (
	"context"
	"errors"
	"net/http"

	"strongroom/store"
)

// governor is what the store does with changes that wait for a second person.
type governor interface {
	GetGovernance(context.Context, store.Caller) (store.Governance, error)
	PutGovernance(ctx context.Context, c store.Caller, twoPerson bool) (store.Governance, error)
	ListChanges(context.Context, store.Caller) ([]store.Change, error)
	GetChange(ctx context.Context, c store.Caller, id string) (store.Change, error)
	ApproveChange(ctx context.Context, c store.Caller, id string) (store.Change, error)
	RejectChange(ctx context.Context, c store.Caller, id string) (store.Change, error)
	WithdrawChange(ctx context.Context, c store.Caller, id string) (store.Change, error)
}

// approver is what the store does with approvals of reads.
type approver interface {
	RequestApproval(context.Context, store.Caller, store.ApprovalSpec) (store.Approval, error)
	ListApprovals(context.Context, store.Caller) ([]store.Approval, error)
	GetApproval(ctx context.Context, c store.Caller, id string) (store.Approval, error)
	ApproveRead(ctx context.Context, c store.Caller, id string) (store.Approval, error)
	RejectRead(ctx context.Context, c store.Caller, id string) (store.Approval, error)
	RevokeRead(ctx context.Context, c store.Caller, id string) (store.Approval, error)
}

// pendingBody answers a change that waits. A secret that waits is shown here,
// to who asked for it, and counts once the change is approved.
type pendingBody struct {
	Change   store.Change `json:"change"`
	SecretID string       `json:"secret_id,omitempty"`
	Secret   string       `json:"client_secret,omitempty"`
}

// heldBack answers 202 when the store keeps a change for a second person; other
// errors it hands on.
func (c *call) heldBack(err error) error {
	var pending *store.ChangePending
	if !errors.As(err, &pending) {
		return err
	}
	body := pendingBody{Change: pending.Change}
	if pending.Secret != nil {
		body.SecretID, body.Secret = pending.Secret.ID, pending.Secret.Secret.Reveal()
	}
	c.w.Header()["Location"] = []string{"/v1/changes/" + pending.Change.ID}
	return c.sendJSON(http.StatusAccepted, body)
}

type governanceBody struct {
	TwoPerson *bool `json:"two_person"`
}

func (s *Server) getGovernance(c *call) error {
	value, err := s.Store.GetGovernance(c.ctx(), c.who)
	return answered(c, value, err)
}

func (s *Server) putGovernance(c *call) error {
	body, err := decode[governanceBody](c)
	if err != nil {
		return err
	}
	if body.TwoPerson == nil {
		return refuseMember("/two_person", "is needed")
	}
	value, err := s.Store.PutGovernance(c.ctx(), c.who, *body.TwoPerson)
	return answered(c, value, err)
}

// answered answers with a value, or hands the error on.
func answered[T any](c *call, value T, err error) error {
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, value)
}

func (s *Server) listChanges(c *call) error {
	return sendList[store.Change](c)(s.Store.ListChanges(c.ctx(), c.who))
}

func (s *Server) listApprovals(c *call) error {
	return sendList[store.Approval](c)(s.Store.ListApprovals(c.ctx(), c.who))
}

func (s *Server) requestApproval(c *call) error {
	spec, err := decode[store.ApprovalSpec](c)
	if err != nil {
		return err
	}
	made, err := s.Store.RequestApproval(c.ctx(), c.who, spec)
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/v1/approvals/" + made.ID}
	return c.sendJSON(http.StatusCreated, made)
}

// onID runs a method of the store that takes an id of the path and no body.
func onID[T any](variable string, run func(context.Context, store.Caller, string) (T, error)) func(*call) error {
	return func(c *call) error {
		if c.e.method != http.MethodGet {
			if err := c.refuseBody(); err != nil {
				return err
			}
		}
		value, err := run(c.ctx(), c.who, c.vars[variable])
		return answered(c, value, err)
	}
}
