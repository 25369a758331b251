package api

import (
	"context"
	"encoding/json"

	"strongroom/store"
)

// roles is what the store does with roles.
type roles interface {
	PutRole(ctx context.Context, c store.Caller, name string, raw []byte, p store.Precondition) (store.Role, store.PutResult, error)
	GetRole(ctx context.Context, c store.Caller, name string) (store.Role, error)
	ListRoles(context.Context, store.Caller) ([]store.Role, error)
	DeleteRole(ctx context.Context, c store.Caller, name string) error
}

// roleView is a role as it is shown: its rules as they were put.
type roleView struct {
	store.Role
	Rules json.RawMessage `json:"rules"`
}

func viewRole(r store.Role) (roleView, error) {
	view := roleView{Role: r}
	var document struct {
		Rules json.RawMessage `json:"rules"`
	}
	err := json.Unmarshal(r.Raw, &document)
	view.Rules = document.Rules
	return view, err
}

func (s *Server) putRole(c *call) error {
	raw, err := c.readBody()
	if err != nil {
		return err
	}
	if err := wellFormed(raw); err != nil {
		return err
	}
	if err := noNulls(raw); err != nil { // a rule without a member and one with null in it must not look alike
		return err
	}
	p, err := precondition(c.r.Header)
	if err != nil {
		return err
	}
	role, result, err := s.Store.PutRole(c.ctx(), c.who, c.vars["role"], raw, p)
	if err != nil {
		return err
	}
	view, err := viewRole(role)
	if err != nil {
		return err
	}
	return c.sendPut(role.Version, result, warned[roleView]{view, result.Warnings})
}

func (s *Server) getRole(c *call) error {
	role, err := s.Store.GetRole(c.ctx(), c.who, c.vars["role"])
	if err != nil {
		return err
	}
	view, err := viewRole(role)
	if err != nil {
		return err
	}
	return c.sendDefinition(role.Version, view)
}

func (s *Server) listRoles(c *call) error {
	list, err := s.Store.ListRoles(c.ctx(), c.who)
	views := make([]roleView, len(list))
	for i := 0; i < len(list) && err == nil; i++ {
		views[i], err = viewRole(list[i])
	}
	return sendList[roleView](c)(views, err)
}

func (s *Server) deleteRole(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteRole(c.ctx(), c.who, c.vars["role"]))
}
