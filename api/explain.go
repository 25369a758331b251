package api

import (
	"context"
	"net/http"
	"time"

	"strongroom/internal/access"
	"strongroom/store"
)

// explainer says who may do what, and why.
type explainer interface {
	ExplainAccess(context.Context, store.Caller, store.ExplainQuery) (store.Explanation, error)
}

// explainBody asks what a client may do. Request is what conditions on the
// request would see.
type explainBody struct {
	Client      string        `json:"client"`
	Integration string        `json:"integration"`
	Collection  string        `json:"collection"`
	Record      string        `json:"record"`
	Action      access.Action `json:"action"`
	Request     explainAs     `json:"request"`
}

type explainAs struct {
	Address string `json:"address"`
	Purpose string `json:"purpose"`
	Binding string `json:"binding"`
	Time    string `json:"time"`
}

func (s *Server) explainAccess(c *call) error {
	body, err := decode[explainBody](c)
	if err != nil {
		return err
	}
	q, err := body.query()
	if err != nil {
		return err
	}
	explanation, err := s.Store.ExplainAccess(c.ctx(), c.who, q)
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, explanation)
}

func (b *explainBody) query() (store.ExplainQuery, error) {
	q := store.ExplainQuery{
		Client: b.Client, CollectionRef: store.CollectionRef{Integration: b.Integration, Collection: b.Collection},
		Record: b.Record, Action: b.Action,
		Address: b.Request.Address, Purpose: b.Request.Purpose, Binding: b.Request.Binding,
	}
	for _, must := range []struct{ pointer, value string }{
		{"/client", b.Client}, {"/integration", b.Integration}, {"/collection", b.Collection},
	} {
		if must.value == "" {
			return q, refuseMember(must.pointer, "is missing")
		}
	}
	if b.Request.Time == "" {
		return q, nil
	}
	at, err := time.Parse(time.RFC3339, b.Request.Time)
	if err != nil {
		return q, refuseMember("/request/time", "must be a time (RFC 3339)")
	}
	q.At = at
	return q, nil
}
