package api

import (
	"context"
	"net/http"
	"time"

	"strongroom/store"
)

// clients is what the store does with clients.
type clients interface {
	PutClient(context.Context, store.Caller, string, store.ClientSpec, store.Precondition) (store.Client, store.PutResult, error)
	GetClient(ctx context.Context, c store.Caller, name string) (store.Client, error)
	ListClients(context.Context, store.Caller) ([]store.Client, error)
	DeleteClient(ctx context.Context, c store.Caller, name string) error
}

// secrets is what the store does with the secrets of a client.
type secrets interface {
	CreateSecret(ctx context.Context, c store.Caller, client string, ttl time.Duration, o store.WriteOptions) (store.NewSecret, error)
	ListSecrets(ctx context.Context, c store.Caller, client string) ([]store.SecretInfo, error)
	DeleteSecret(ctx context.Context, c store.Caller, client, id string) error
}

func (c *call) client() string { return c.vars["client"] }

func (s *Server) putClient(c *call) error {
	spec, p, err := decodePut[store.ClientSpec](c)
	if err != nil {
		return err
	}
	value, result, err := s.Store.PutClient(c.ctx(), c.who, c.client(), spec, p)
	if err != nil {
		return err
	}
	return c.sendPut(value.Version, result, warned[store.Client]{value, result.Warnings})
}

func (s *Server) getClient(c *call) error {
	value, err := s.Store.GetClient(c.ctx(), c.who, c.client())
	if err != nil {
		return err
	}
	return c.sendDefinition(value.Version, value)
}

func (s *Server) listClients(c *call) error {
	return sendList[store.Client](c)(s.Store.ListClients(c.ctx(), c.who))
}

func (s *Server) deleteClient(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteClient(c.ctx(), c.who, c.client()))
}

type secretBody struct {
	TTL string `json:"ttl"`
}

// newSecret is a secret on its one way out.
type newSecret struct {
	store.SecretInfo
	Secret string `json:"client_secret"`
}

func (s *Server) createSecret(c *call) error {
	raw, err := c.readBody()
	if err != nil {
		return err
	}
	ttl, err := readTTL(raw)
	if err != nil {
		return err
	}
	o, err := c.writeOptions(raw)
	if err != nil {
		return err
	}
	made, err := s.Store.CreateSecret(c.ctx(), c.who, c.client(), ttl, o)
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/v1/clients/" + c.client() + "/secrets/" + made.ID}
	return c.sendJSON(http.StatusCreated, newSecret{made.SecretInfo, made.Secret.Reveal()})
}

// readTTL reads the body of a secret's creation; 0 is the store's default.
func readTTL(raw []byte) (time.Duration, error) {
	var body secretBody
	if raw == nil {
		return 0, nil
	}
	if err := decodeInto(raw, &body); err != nil || body.TTL == "" {
		return 0, err
	}
	ttl, err := time.ParseDuration(body.TTL)
	if err != nil || ttl <= 0 {
		return 0, refuseMember("/ttl", `must be a duration such as "2160h"`)
	}
	return ttl, nil
}

func (s *Server) listSecrets(c *call) error {
	return sendList[store.SecretInfo](c)(s.Store.ListSecrets(c.ctx(), c.who, c.client()))
}

func (s *Server) deleteSecret(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteSecret(c.ctx(), c.who, c.client(), c.vars["secret"]))
}
