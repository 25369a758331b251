package api

import (
	"context"

	"strongroom/rotate"
	"strongroom/store"
)

// schedules is what is done with schedules of rotations.
type schedules interface {
	PutSchedule(ctx context.Context, c store.Caller, name string, spec rotate.ScheduleSpec, p store.Precondition) (s rotate.Schedule, created bool, err error)
	GetSchedule(ctx context.Context, c store.Caller, name string) (rotate.Schedule, error)
	ListSchedules(context.Context, store.Caller) ([]rotate.Schedule, error)
	DeleteSchedule(ctx context.Context, c store.Caller, name string, p store.Precondition) error
}

func (s *Server) putSchedule(c *call) error {
	spec, p, err := decodePut[rotate.ScheduleSpec](c)
	if err != nil {
		return err
	}
	value, created, err := s.Jobs.PutSchedule(c.ctx(), c.who, c.vars["schedule"], spec, p)
	if err != nil {
		return err
	}
	return c.sendPut(value.Version, store.PutResult{Created: created}, value)
}

// getSchedule answers without an ETag's condition: what it has done and does
// next is always new.
func (s *Server) getSchedule(c *call) error {
	value, err := s.Jobs.GetSchedule(c.ctx(), c.who, c.vars["schedule"])
	if err != nil {
		return err
	}
	c.setETag(versionTag(value.Version))
	return c.sendJSON(200, value)
}

func (s *Server) listSchedules(c *call) error {
	return sendList[rotate.Schedule](c)(s.Jobs.ListSchedules(c.ctx(), c.who))
}

func (s *Server) deleteSchedule(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	p, err := precondition(c.r.Header)
	if err != nil {
		return err
	}
	return c.sendDeleted(s.Jobs.DeleteSchedule(c.ctx(), c.who, c.vars["schedule"], p))
}
