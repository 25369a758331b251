package api

import (
	"bytes"
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"strongroom/internal/schema"
	"strongroom/store"
)

// finder is what the store does with many records of a collection.
type finder interface {
	ListRecords(context.Context, store.Caller, store.CollectionRef, store.ListOptions) (store.Page, error)
	SearchRecords(context.Context, store.Caller, store.CollectionRef, store.SearchOptions) (store.Page, error)
	LookupRecord(context.Context, store.Caller, store.CollectionRef, []schema.Value, store.ReadOptions) (store.Record, error)
	UpsertRecord(context.Context, store.Caller, store.CollectionRef, store.RecordInput, store.UpsertOptions) (store.WriteResult, error)
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// allFields is how a query asks for every field that its caller may see.
const allFields = "*"

// listOptions reads what selects records. Fields that are not asked for are
// not read, unless all is set.
func (c *call) listOptions(all bool) (o store.ListOptions, err error) {
	o.Labels = c.query.labels()
	if o.UpdatedAfter, err = c.query.time("updated_after"); err != nil {
		return o, err
	}
	if o.ValidUntilBefore, err = c.query.time("valid_until_before"); err != nil {
		return o, err
	}
	if o.Fields, err = c.query.list("fields"); err != nil {
		return o, err
	}
	if o.AllFields = all && o.Fields == nil || contains(o.Fields, allFields); o.AllFields {
		o.Fields = nil
	}
	limit, err := c.query.number("limit", 1, maxLimit)
	if o.Limit = int(limit); limit == 0 {
		o.Limit = defaultLimit
	}
	o.Cursor = c.query.text("cursor")
	return o, err
}

func (s *Server) listRecords(c *call) error {
	o, err := c.listOptions(false)
	if err != nil {
		return err
	}
	page, err := s.Store.ListRecords(c.ctx(), c.who, c.collection(), o)
	if err != nil {
		return err
	}
	return c.sendPage(&page)
}

// searchBody asks for records by the values of indexed fields.
type searchBody struct {
	Where  where             `json:"where"`
	Labels map[string]string `json:"labels"`
	Fields []string          `json:"fields"`
	Limit  *int              `json:"limit"`
	Cursor string            `json:"cursor"`
}

// where is an object of field paths and the values that they must have, in the
// order of the body, number literals kept.
type where []schema.Value

// UnmarshalJSONFrom reads the object.
func (w *where) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return refuseMember(string(dec.StackPointer()), "must be an object of fields and values")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		path := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		*w = append(*w, schema.Value{Path: path, JSON: bytes.Clone(value)})
	}
	_, err := dec.ReadToken()
	return err
}

func (s *Server) searchRecords(c *call) error {
	body, err := decode[searchBody](c)
	if err != nil {
		return err
	}
	o, err := body.options()
	if err != nil {
		return err
	}
	page, err := s.Store.SearchRecords(c.ctx(), c.who, c.collection(), o)
	if err != nil {
		return err
	}
	return c.sendPage(&page)
}

func (b *searchBody) options() (store.SearchOptions, error) {
	o := store.SearchOptions{Where: b.Where, Labels: b.Labels, Fields: b.Fields, Limit: defaultLimit, Cursor: b.Cursor}
	if len(b.Where) == 0 {
		return o, refuseMember("/where", "must name at least one field")
	}
	if b.Limit != nil {
		if o.Limit = *b.Limit; o.Limit < 1 || o.Limit > maxLimit {
			return o, refuseMember("/limit", "must be a number from 1 to 1000")
		}
	}
	return o, nil
}

type lookupBody struct {
	Where  where    `json:"where"`
	Fields []string `json:"fields"`
}

func (s *Server) lookupRecord(c *call) error {
	body, err := decode[lookupBody](c)
	if err != nil {
		return err
	}
	if len(body.Where) == 0 {
		return refuseMember("/where", "must name at least one field")
	}
	record, err := s.Store.LookupRecord(c.ctx(), c.who, c.collection(), body.Where, store.ReadOptions{Fields: body.Fields})
	if err != nil {
		return err
	}
	return c.sendRecord(&record, false)
}

func (s *Server) upsertRecord(c *call) error {
	body, w, err := c.recordInput(shapeUpsert)
	if err != nil {
		return err
	}
	o := store.UpsertOptions{WriteOptions: w, Key: body.key}
	var known bool
	if o.OnConflict, known = conflictWay(body.onConflict); !known {
		return refuseMember("/on_conflict", "must be one of "+conflictWays)
	}
	if o.Key == "" {
		return refuseMember("/key", "is missing")
	}
	result, err := s.Store.UpsertRecord(c.ctx(), c.who, c.collection(), body.RecordInput, o)
	if err != nil {
		return err
	}
	return c.sendUpsert(&result)
}

// sendUpsert answers an upsert; one that found a record and left it alone says
// so.
func (c *call) sendUpsert(r *store.WriteResult) error {
	if r.Unchanged {
		c.w.Header()["Strongroom-Unchanged"] = []string{"true"}
	}
	return c.sendWrite(c.collection(), r)
}
