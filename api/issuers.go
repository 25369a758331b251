package api

import (
	"context"

	"strongroom/store"
)

// issuers is what the store does with outside issuers of tokens.
type issuers interface {
	PutIssuer(context.Context, store.Caller, string, store.IssuerSpec, store.Precondition) (store.Issuer, store.PutResult, error)
	GetIssuer(ctx context.Context, c store.Caller, name string) (store.Issuer, error)
	ListIssuers(context.Context, store.Caller) ([]store.Issuer, error)
	DeleteIssuer(ctx context.Context, c store.Caller, name string) error
}

func (s *Server) putIssuer(c *call) error {
	spec, p, err := decodePut[store.IssuerSpec](c)
	if err != nil {
		return err
	}
	value, result, err := s.Store.PutIssuer(c.ctx(), c.who, c.vars["issuer"], spec, p)
	if err != nil {
		return err
	}
	return c.sendPut(value.Version, result, warned[store.Issuer]{value, result.Warnings})
}

func (s *Server) getIssuer(c *call) error {
	value, err := s.Store.GetIssuer(c.ctx(), c.who, c.vars["issuer"])
	if err != nil {
		return err
	}
	return c.sendDefinition(value.Version, value)
}

func (s *Server) listIssuers(c *call) error {
	return sendList[store.Issuer](c)(s.Store.ListIssuers(c.ctx(), c.who))
}

func (s *Server) deleteIssuer(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteIssuer(c.ctx(), c.who, c.vars["issuer"]))
}
