package api

import (
	"context"
	"net/http"

	"strongroom/store"
)

// collections is what the store does with collections.
type collections interface {
	PutCollection(context.Context, store.Caller, store.CollectionRef, store.CollectionSpec, store.Precondition) (store.Collection, store.PutResult, error)
	ValidateCollection(context.Context, store.Caller, store.CollectionRef, store.CollectionSpec) (store.PutResult, error)
	GetCollection(context.Context, store.Caller, store.CollectionRef) (store.Collection, error)
	ListCollections(ctx context.Context, c store.Caller, integration string) ([]store.Collection, error)
	DeleteCollection(context.Context, store.Caller, store.CollectionRef) error
}

func (s *Server) putCollection(c *call) error {
	spec, p, err := decodePut[store.CollectionSpec](c)
	if err != nil {
		return err
	}
	value, result, err := s.Store.PutCollection(c.ctx(), c.who, c.collection(), spec, p)
	if err != nil {
		return err
	}
	return c.sendPut(value.Version, result, warned[store.Collection]{value, result.Warnings})
}

// validation is the answer of a dry run.
type validation struct {
	Creates  bool     `json:"creates"`
	Backfill bool     `json:"backfill"`
	Warnings []string `json:"warnings"`
}

func (s *Server) validateCollection(c *call) error {
	spec, err := decode[store.CollectionSpec](c)
	if err != nil {
		return err
	}
	result, err := s.Store.ValidateCollection(c.ctx(), c.who, c.collection(), spec)
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, validation{result.Created, result.Backfill, append([]string{}, result.Warnings...)})
}

func (s *Server) getCollection(c *call) error {
	value, err := s.Store.GetCollection(c.ctx(), c.who, c.collection())
	if err != nil {
		return err
	}
	return c.sendDefinition(value.Version, value)
}

func (s *Server) listCollections(c *call) error {
	return sendList[store.Collection](c)(s.Store.ListCollections(c.ctx(), c.who, c.integration()))
}

func (s *Server) deleteCollection(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteCollection(c.ctx(), c.who, c.collection()))
}
