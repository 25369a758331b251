package api

import (
	"context"

	"strongroom/internal/limits"
	"strongroom/store"
)

// limiting is what the store does with limits.
type limiting interface {
	PutLimit(ctx context.Context, c store.Caller, name string, raw []byte, p store.Precondition) (store.Limit, store.PutResult, error)
	GetLimit(ctx context.Context, c store.Caller, name string) (store.Limit, error)
	ListLimits(context.Context, store.Caller) ([]store.Limit, error)
	DeleteLimit(ctx context.Context, c store.Caller, name string) error
}

// limitView is a limit as it is shown: its definition, and what it has counted.
type limitView struct {
	store.Limit
	*limits.Definition
	Use limits.Use `json:"use"`
}

func viewLimit(l store.Limit) limitView { return limitView{l, l.Limit, l.Use} }

func (s *Server) putLimit(c *call) error {
	raw, err := c.readBody()
	if err != nil {
		return err
	}
	if err := wellFormed(raw); err != nil {
		return err
	}
	if err := noNulls(raw); err != nil {
		return err
	}
	p, err := precondition(c.r.Header)
	if err != nil {
		return err
	}
	l, result, err := s.Store.PutLimit(c.ctx(), c.who, c.vars["limit"], raw, p)
	if err != nil {
		return err
	}
	return c.sendPut(l.Version, result, viewLimit(l))
}

// getLimit answers without an ETag's condition: what was counted is always new.
func (s *Server) getLimit(c *call) error {
	l, err := s.Store.GetLimit(c.ctx(), c.who, c.vars["limit"])
	if err != nil {
		return err
	}
	c.setETag(versionTag(l.Version))
	return c.sendJSON(200, viewLimit(l))
}

func (s *Server) listLimits(c *call) error {
	list, err := s.Store.ListLimits(c.ctx(), c.who)
	views := make([]limitView, len(list))
	for i, l := range list {
		views[i] = viewLimit(l)
	}
	return sendList[limitView](c)(views, err)
}

func (s *Server) deleteLimit(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	return c.sendDeleted(s.Store.DeleteLimit(c.ctx(), c.who, c.vars["limit"]))
}

// watchGate shows in the metrics what the gate does.
func (s *Server) watchGate() {
	g := s.Gate
	if g == nil {
		return
	}
	s.Metrics.Figure("strongroom_requests_limit", "Requests that may be under way before some are refused.", false, g.Shedder.Limit)
	s.Metrics.Figure("strongroom_requests_admitted", "Requests under way that the limit counts.", false, func() float64 { return float64(g.Shedder.UnderWay()) })
	for class, name := range map[limits.Class]string{limits.Interactive: "interactive", limits.Bulk: "bulk", limits.Anonymous: "anonymous"} {
		s.Metrics.Figure("strongroom_requests_shed_total", "Requests refused because of the load, by how much they matter.", true,
			func() float64 { return float64(g.Shedder.Shed(class)) }, "class", name)
	}
	s.Metrics.Figure("strongroom_guard_events_untold_total", "Blocks and ends of blocks that were too many to be audited.", true, func() float64 { return float64(g.Untold()) })
	s.Metrics.Figure("strongroom_connections_refused_total", "Connections reset because of a limit.", true, func() float64 {
		if door := g.Door.Load(); door != nil {
			return float64(door.Refused())
		}
		return 0
	})
}
