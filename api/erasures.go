package api

import (
	"context"
	"net/http"

	"strongroom/rotate"
	"strongroom/store"
)

// Erasures is what is done with erasures; rotate.Erasures is one. Its methods
// authorise and audit their caller, and are safe for concurrent use.
type Erasures interface {
	Create(ctx context.Context, c store.Caller, r rotate.ErasureRequest) (rotate.Erasure, error)
	Get(ctx context.Context, c store.Caller, id string) (rotate.Erasure, error)
	List(context.Context, store.Caller) ([]rotate.Erasure, error)
	Resume(ctx context.Context, c store.Caller, id string) (rotate.Erasure, error)
	Subscribe(ctx context.Context, c store.Caller, id string) (<-chan rotate.Erasure, error)
	Certificate(ctx context.Context, c store.Caller, id string) ([]byte, error)
}

// erasureBody is a request, and the name of the integration once more when all
// of it is to go.
type erasureBody struct {
	rotate.ErasureRequest
	Confirm string `json:"confirm"`
}

func (s *Server) createErasure(c *call) error {
	body, err := decode[erasureBody](c)
	if err != nil {
		return err
	}
	if whole := body.Whole(); whole && body.Confirm != body.Integration || !whole && body.Confirm != "" {
		return refuseMember("/confirm", "goes with a whole integration, whose name it repeats")
	}
	made, err := s.Erasures.Create(c.ctx(), c.who, body.ErasureRequest)
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/v1/erasures/" + made.ID}
	return c.sendJSON(http.StatusCreated, made)
}

func (s *Server) listErasures(c *call) error {
	return sendList[rotate.Erasure](c)(s.Erasures.List(c.ctx(), c.who))
}

// getErasure answers with the erasure as it stands or, when events are asked
// for, with how it goes on.
func (s *Server) getErasure(c *call) error {
	if !c.wantsEvents() {
		value, err := s.Erasures.Get(c.ctx(), c.who, c.vars["erasure"])
		return answered(c, value, err)
	}
	return follow(c, s.Erasures.Subscribe, c.vars["erasure"], func(e *rotate.Erasure) bool { return e.Done || e.Failed })
}

func (s *Server) erasureCertificate(c *call) error {
	return c.sendStatement(s.Erasures.Certificate(c.ctx(), c.who, c.vars["erasure"]))
}
