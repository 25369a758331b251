package api

import (
	"context"
	"net/http"

	"strongroom/rotate"
	"strongroom/store"
)

// Jobs is what is carried on after the request that began it; rotate.Manager is
// one. Its methods authorise and audit their caller, and are safe for concurrent
// use.
type Jobs interface {
	rotations
	schedules
}

// rotations is what is done with rotations.
type rotations interface {
	Create(ctx context.Context, c store.Caller, r rotate.Request) (rotate.Rotation, error)
	Get(ctx context.Context, c store.Caller, id string) (rotate.Rotation, error)
	List(context.Context, store.Caller) ([]rotate.Rotation, error)
	Pause(ctx context.Context, c store.Caller, id string) (rotate.Rotation, error)
	Resume(ctx context.Context, c store.Caller, id string) (rotate.Rotation, error)
	Cancel(ctx context.Context, c store.Caller, id string) (rotate.Rotation, error)
	Rollback(ctx context.Context, c store.Caller, id string) (rotate.Rotation, error)
	Throttle(ctx context.Context, c store.Caller, id string, rate uint64) (rotate.Rotation, error)
	Subscribe(ctx context.Context, c store.Caller, id string) (<-chan rotate.Rotation, error)
	Report(ctx context.Context, c store.Caller, id string) ([]byte, error)
}

func (s *Server) createRotation(c *call) error {
	request, err := decode[rotate.Request](c)
	if err != nil {
		return err
	}
	made, err := s.Jobs.Create(c.ctx(), c.who, request)
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/v1/rotations/" + made.ID}
	return c.sendJSON(http.StatusCreated, made)
}

func (s *Server) listRotations(c *call) error {
	return sendList[rotate.Rotation](c)(s.Jobs.List(c.ctx(), c.who))
}

// getRotation answers with the rotation as it stands or, when events are asked
// for, with how it goes on.
func (s *Server) getRotation(c *call) error {
	if !c.wantsEvents() {
		value, err := s.Jobs.Get(c.ctx(), c.who, c.vars["rotation"])
		return answered(c, value, err)
	}
	return follow(c, s.Jobs.Subscribe, c.vars["rotation"], func(r *rotate.Rotation) bool {
		return r.State.Ended() || r.State == rotate.StateFailed
	})
}

type throttleBody struct {
	Rate *uint64 `json:"rate"`
}

func (s *Server) throttleRotation(c *call) error {
	body, err := decode[throttleBody](c)
	if err != nil {
		return err
	}
	if body.Rate == nil {
		return refuseMember("/rate", "is needed")
	}
	value, err := s.Jobs.Throttle(c.ctx(), c.who, c.vars["rotation"], *body.Rate)
	return answered(c, value, err)
}

func (s *Server) rotationReport(c *call) error {
	return c.sendStatement(s.Jobs.Report(c.ctx(), c.who, c.vars["rotation"]))
}

// sendStatement answers with a signed statement, as it was signed.
func (c *call) sendStatement(text []byte, err error) error {
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, mediaText, text)
}
