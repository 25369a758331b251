package api

import (
	"context"
	"math"
	"net/http"

	"strongroom/internal/schema"
	"strongroom/store"
)

// records is what the store does with one record.
type records interface {
	CreateRecord(context.Context, store.Caller, store.CollectionRef, store.RecordInput, store.WriteOptions) (store.WriteResult, error)
	PutRecord(context.Context, store.Caller, store.RecordRef, store.RecordInput, store.WriteOptions) (store.WriteResult, error)
	PatchRecord(context.Context, store.Caller, store.RecordRef, store.RecordInput, store.WriteOptions) (store.WriteResult, error)
	DeleteRecord(context.Context, store.Caller, store.RecordRef, store.WriteOptions) (store.WriteResult, error)
	RollbackRecord(context.Context, store.Caller, store.RecordRef, uint64, store.WriteOptions) (store.WriteResult, error)
	UndeleteRecord(context.Context, store.Caller, store.RecordRef, store.WriteOptions) (store.WriteResult, error)
	ExpungeRecord(context.Context, store.Caller, store.RecordRef) error
	GetRecord(context.Context, store.Caller, store.RecordRef, store.ReadOptions) (store.Record, error)
	GetField(context.Context, store.Caller, store.RecordRef, string, store.ReadOptions) (store.FieldValue, error)
	ListRevisions(context.Context, store.Caller, store.RecordRef) ([]store.RevisionInfo, error)
}

// readOptions reads the query and If-None-Match of a read. any says that the
// caller wants no body whatever there is.
func (c *call) readOptions() (o store.ReadOptions, any bool, err error) {
	if len(c.query) > 0 {
		if err = c.readQuery(&o); err != nil {
			return o, false, err
		}
	}
	o.IfNone, any, err = ifNoneMatch(c.r.Header)
	return o, any, err
}

func (c *call) readQuery(o *store.ReadOptions) (err error) {
	if o.Fields, err = c.query.list("fields"); err != nil {
		return err
	}
	if o.Previous = c.query.text("revision") == "previous"; !o.Previous {
		if o.Revision, err = c.query.number("revision", 1, math.MaxUint64); err != nil {
			return err
		}
	}
	view, err := c.query.choice("view", "full", "metadata")
	o.Metadata = view == "metadata"
	if o.Metadata && o.Fields != nil {
		return refuse(errRequest, "view=metadata takes no fields")
	}
	return err
}

func (s *Server) getRecord(c *call) error {
	o, any, err := c.readOptions()
	if err != nil {
		return err
	}
	record, err := s.Store.GetRecord(c.ctx(), c.who, c.record(), o)
	if err != nil {
		return err
	}
	return c.sendRecord(&record, any)
}

func (s *Server) getField(c *call) error {
	o, any, err := c.readOptions()
	if err != nil {
		return err
	}
	field, err := s.Store.GetField(c.ctx(), c.who, c.record(), c.vars["field"], o)
	if err != nil {
		return err
	}
	return c.sendField(&field, o.IfNone, any)
}

// sendField answers with one value as it is used: the characters of a string,
// the bytes of one with contentEncoding base64, the JSON text of anything else.
func (c *call) sendField(f *store.FieldValue, have []string, any bool) error {
	c.setETag(f.ETag)
	if any || f.ETag != "" && contains(have, f.ETag) {
		return c.sendNothing(http.StatusNotModified)
	}
	if f.Masked {
		c.w.Header()["Strongroom-Masked"] = []string{"true"}
	}
	switch {
	case f.Base64 && !f.Masked:
		value, err := schema.Bytes(f.JSON)
		if err != nil {
			return err
		}
		return c.send(http.StatusOK, mediaBytes, value)
	case len(f.JSON) > 0 && f.JSON[0] == '"':
		c.out = append(c.out[:0], unquote(f.JSON)...)
		return c.send(http.StatusOK, mediaText, c.out)
	}
	return c.send(http.StatusOK, mediaJSON, f.JSON)
}

func contains(list []string, text string) bool {
	for i := range list {
		if list[i] == text {
			return true
		}
	}
	return false
}

// writeOptions reads what goes with a write: preconditions and the idempotency
// key, with everything that the request says.
func (c *call) writeOptions(body []byte) (o store.WriteOptions, err error) {
	if o.Precondition, err = precondition(c.r.Header); err != nil {
		return o, err
	}
	if o.IdempotencyKey, err = idempotencyKey(c.r.Header); err != nil || o.IdempotencyKey == "" {
		return o, err
	}
	o.Route = c.e.method + " " + c.e.route
	o.Request = c.said(body)
	return o, nil
}

// said is all that makes two requests the same one: a length before each part
// keeps them apart.
func (c *call) said(body []byte) []byte {
	h := c.r.Header
	parts := [...]string{c.r.URL.Path, c.r.URL.RawQuery, h.Get("If-Match"), h.Get("If-None-Match"), string(body)}
	var b []byte
	for _, part := range parts {
		n := uint32(len(part))
		b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		b = append(b, part...)
	}
	return b
}

// recordInput reads a record body and what goes with it.
func (c *call) recordInput(shape recordShape) (body recordBody, o store.WriteOptions, err error) {
	raw, err := c.readBody()
	if err != nil {
		return body, o, err
	}
	if body, err = decodeRecord(raw, shape); err != nil {
		return body, o, err
	}
	o, err = c.writeOptions(raw)
	return body, o, err
}

func (s *Server) createRecord(c *call) error {
	body, o, err := c.recordInput(shapePost)
	if err != nil {
		return err
	}
	result, err := s.Store.CreateRecord(c.ctx(), c.who, c.collection(), body.RecordInput, o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

func (s *Server) putRecord(c *call) error {
	body, o, err := c.recordInput(shapePut)
	if err != nil {
		return err
	}
	result, err := s.Store.PutRecord(c.ctx(), c.who, c.record(), body.RecordInput, o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

func (s *Server) patchRecord(c *call) error {
	body, o, err := c.recordInput(shapePatch)
	if err != nil {
		return err
	}
	result, err := s.Store.PatchRecord(c.ctx(), c.who, c.record(), body.RecordInput, o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

// withoutBody reads what goes with a write that has no body.
func (c *call) withoutBody() (store.WriteOptions, error) {
	if err := c.refuseBody(); err != nil {
		return store.WriteOptions{}, err
	}
	return c.writeOptions(nil)
}

func (s *Server) deleteRecord(c *call) error {
	o, err := c.withoutBody()
	if err != nil {
		return err
	}
	result, err := s.Store.DeleteRecord(c.ctx(), c.who, c.record(), o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

type rollbackBody struct {
	Revision uint64 `json:"revision"`
}

func (s *Server) rollbackRecord(c *call) error {
	raw, err := c.readBody()
	if err != nil {
		return err
	}
	var body rollbackBody
	if err := decodeInto(raw, &body); err != nil {
		return err
	}
	if body.Revision == 0 {
		return refuseMember("/revision", "must be a revision, 1 or more")
	}
	o, err := c.writeOptions(raw)
	if err != nil {
		return err
	}
	result, err := s.Store.RollbackRecord(c.ctx(), c.who, c.record(), body.Revision, o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

func (s *Server) undeleteRecord(c *call) error {
	o, err := c.withoutBody()
	if err != nil {
		return err
	}
	result, err := s.Store.UndeleteRecord(c.ctx(), c.who, c.record(), o)
	if err != nil {
		return err
	}
	return c.sendWrite(c.collection(), &result)
}

func (s *Server) expungeRecord(c *call) error {
	if err := c.refuseBody(); err != nil {
		return err
	}
	if err := s.Store.ExpungeRecord(c.ctx(), c.who, c.record()); err != nil {
		return err
	}
	return c.sendNothing(http.StatusNoContent)
}

func (s *Server) listRevisions(c *call) error {
	return sendList[store.RevisionInfo](c)(s.Store.ListRevisions(c.ctx(), c.who, c.record()))
}
