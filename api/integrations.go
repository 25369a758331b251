package api

import (
	"context"
	"net/http"

	"strongroom/store"
)

// integrations is what the store does with integrations.
type integrations interface {
	PutIntegration(context.Context, store.Caller, string, store.IntegrationSpec, store.Precondition) (store.Integration, store.PutResult, error)
	GetIntegration(context.Context, store.Caller, string) (store.Integration, error)
	ListIntegrations(context.Context, store.Caller) ([]store.Integration, error)
	DeleteIntegration(ctx context.Context, c store.Caller, name string, now bool) (store.Integration, error)
	UndeleteIntegration(context.Context, store.Caller, string) (store.Integration, error)
}

func (s *Server) putIntegration(c *call) error {
	spec, p, err := decodePut[store.IntegrationSpec](c)
	if err != nil {
		return err
	}
	value, result, err := s.Store.PutIntegration(c.ctx(), c.who, c.integration(), spec, p)
	if err != nil {
		return err
	}
	return c.sendPut(value.Version, result, warned[store.Integration]{value, result.Warnings})
}

func (s *Server) getIntegration(c *call) error {
	value, err := s.Store.GetIntegration(c.ctx(), c.who, c.integration())
	if err != nil {
		return err
	}
	return c.sendDefinition(value.Version, value)
}

func (s *Server) listIntegrations(c *call) error {
	return sendList[store.Integration](c)(s.Store.ListIntegrations(c.ctx(), c.who))
}

// deleteIntegration wants the name a second time: what it begins ends every
// record of the integration.
func (s *Server) deleteIntegration(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	now, err := c.query.flag("now")
	if err != nil {
		return err
	}
	if c.query.text("confirm") != c.integration() {
		return errConfirm
	}
	value, err := s.Store.DeleteIntegration(c.ctx(), c.who, c.integration(), now)
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, value)
}

func (s *Server) undeleteIntegration(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	value, err := s.Store.UndeleteIntegration(c.ctx(), c.who, c.integration())
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, value)
}
