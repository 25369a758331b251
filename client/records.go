package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

func recordsPath(ref CollectionRef) string { return collectionPath(ref) + "/records" }

func recordPath(ref RecordRef) string {
	return recordsPath(CollectionRef{ref.Integration, ref.Collection}) + escape(ref.Record)
}

// body is the wire form of an input. patch sends the changes of labels in
// place of the labels.
func (in RecordInput) body(patch bool) map[string]any {
	b := map[string]any{}
	if in.ID != "" {
		b["id"] = in.ID
	}
	switch f := in.Fields.(type) {
	case nil:
		if !patch {
			b["fields"] = struct{}{}
		}
	case Fields:
		b["fields"] = f.Reveal()
	default:
		b["fields"] = f
	}
	switch {
	case patch && in.LabelChanges != nil:
		b["labels"] = in.LabelChanges
	case in.Labels != nil:
		b["labels"] = in.Labels
	}
	for name, t := range map[string]*time.Time{"valid_until": in.ValidUntil, "erase_at": in.EraseAt} {
		if t != nil && t.IsZero() {
			b[name] = nil
		} else if t != nil {
			b[name] = t.Format(time.RFC3339Nano)
		}
	}
	return b
}

// CreateRecord stores a new record.
func (c *Client) CreateRecord(ctx context.Context, ref CollectionRef, in RecordInput, o WriteOptions) (*WriteResult, error) {
	return c.write(ctx, http.MethodPost, recordsPath(ref), in.body(false), o)
}

// PutRecord writes all of a record's fields that this client may write.
func (c *Client) PutRecord(ctx context.Context, ref RecordRef, in RecordInput, o WriteOptions) (*WriteResult, error) {
	in.ID = ""
	return c.write(ctx, http.MethodPut, recordPath(ref), in.body(false), o)
}

// PatchRecord applies a merge patch (RFC 7396) to fields and labels.
func (c *Client) PatchRecord(ctx context.Context, ref RecordRef, in RecordInput, o WriteOptions) (*WriteResult, error) {
	in.ID = ""
	return c.write(ctx, http.MethodPatch, recordPath(ref), in.body(true), o)
}

// DeleteRecord hides a record; PurgeAt tells until when UndeleteRecord works.
func (c *Client) DeleteRecord(ctx context.Context, ref RecordRef, o WriteOptions) (*WriteResult, error) {
	return c.write(ctx, http.MethodDelete, recordPath(ref), nil, o)
}

// UndeleteRecord takes a delete back.
func (c *Client) UndeleteRecord(ctx context.Context, ref RecordRef, o WriteOptions) (*WriteResult, error) {
	return c.write(ctx, http.MethodPost, recordPath(ref)+":undelete", nil, o)
}

// RollbackRecord makes an old revision the newest, inside the server.
func (c *Client) RollbackRecord(ctx context.Context, ref RecordRef, revision uint64, o WriteOptions) (*WriteResult, error) {
	return c.write(ctx, http.MethodPost, recordPath(ref)+":rollback", map[string]uint64{"revision": revision}, o)
}

// ExpungeRecord erases a record now.
func (c *Client) ExpungeRecord(ctx context.Context, ref RecordRef) error {
	_, err := c.do(ctx, &call{method: http.MethodPost, path: recordPath(ref) + ":expunge", safe: true})
	return err
}

// UpsertRecord writes the record that holds in's value of the unique field key,
// or creates it. onConflict is replace, merge, ignore or fail.
func (c *Client) UpsertRecord(ctx context.Context, ref CollectionRef, key, onConflict string, in RecordInput, o WriteOptions) (*WriteResult, error) {
	body := in.body(false)
	body["key"] = key
	if onConflict != "" {
		body["on_conflict"] = onConflict
	}
	return c.write(ctx, http.MethodPost, recordsPath(ref)+":upsert", body, o)
}

func (c *Client) write(ctx context.Context, method, path string, body any, o WriteOptions) (*WriteResult, error) {
	q := &call{method: method, path: path}
	if body != nil {
		var err error
		if q, err = withBody(method, path, body, false); err != nil {
			return nil, err
		}
	}
	if method == http.MethodPatch {
		q.set("Content-Type", mergePatch)
	}
	q.once(o)
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &WriteResult{Created: a.status == http.StatusCreated, ETag: a.header.Get("ETag")}
	if len(a.body) == 0 {
		return out, nil
	}
	return out, a.into(out)
}

// GetRecord reads a record.
func (c *Client) GetRecord(ctx context.Context, ref RecordRef, o ReadOptions) (*Record, error) {
	q := get(recordPath(ref))
	switch {
	case o.Previous:
		q.param("revision", "previous")
	case o.Revision != 0:
		q.param("revision", strconv.FormatUint(o.Revision, 10))
	}
	if o.Metadata {
		q.param("view", "metadata")
	}
	if o.Fields != nil {
		q.list("fields", o.Fields)
	}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	r := &Record{ETag: a.header.Get("ETag")}
	return r, r.read(a.body)
}

func (r *Record) read(raw []byte) error {
	r.raw = raw
	return (&answer{body: raw}).into(r)
}

// GetField reads one field's value: the bytes of a string or of base64 content,
// the JSON text of anything else.
func (c *Client) GetField(ctx context.Context, ref RecordRef, field string) (*Field, error) {
	a, err := c.do(ctx, get(recordPath(ref)+escape("fields", field)))
	if err != nil {
		return nil, err
	}
	return &Field{
		Value: a.body, ContentType: a.header.Get("Content-Type"), ETag: a.header.Get("ETag"),
		Masked: a.header.Get("Strongroom-Masked") == "true",
	}, nil
}

// ListRevisions returns a record's history.
func (c *Client) ListRevisions(ctx context.Context, ref RecordRef) ([]Revision, error) {
	return fetchItems[Revision](ctx, c, recordPath(ref)+"/revisions")
}

// ListRecords returns a page of a collection.
func (c *Client) ListRecords(ctx context.Context, ref CollectionRef, o ListOptions) (*Page, error) {
	q := get(recordsPath(ref))
	o.params(q)
	return c.page(ctx, q)
}

func (o ListOptions) params(q *call) {
	for key, value := range o.Labels {
		q.param("label."+key, value)
	}
	if !o.UpdatedAfter.IsZero() {
		q.param("updated_after", o.UpdatedAfter.Format(time.RFC3339Nano))
	}
	if !o.ValidUntilBefore.IsZero() {
		q.param("valid_until_before", o.ValidUntilBefore.Format(time.RFC3339Nano))
	}
	if o.Fields != nil {
		q.list("fields", o.Fields)
	}
	if o.Limit > 0 {
		q.param("limit", strconv.Itoa(o.Limit))
	}
	if o.Cursor != "" {
		q.param("cursor", o.Cursor)
	}
}

// SearchRecords returns a page of the records whose indexed fields have the
// values of o.Where, which travel in the body, never in a URL.
func (c *Client) SearchRecords(ctx context.Context, ref CollectionRef, o SearchOptions) (*Page, error) {
	body := map[string]any{"where": o.Where}
	if o.Labels != nil {
		body["labels"] = o.Labels
	}
	if o.Fields != nil {
		body["fields"] = o.Fields
	}
	if o.Limit > 0 {
		body["limit"] = o.Limit
	}
	if o.Cursor != "" {
		body["cursor"] = o.Cursor
	}
	q, err := post(recordsPath(ref)+":search", body)
	if err != nil {
		return nil, err
	}
	q.safe = true
	return c.page(ctx, q)
}

// LookupRecord returns the one record whose unique field has a value.
func (c *Client) LookupRecord(ctx context.Context, ref CollectionRef, where map[string]any) (*Record, error) {
	q, err := post(recordsPath(ref)+":lookup", map[string]any{"where": where})
	if err != nil {
		return nil, err
	}
	q.safe = true
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	r := &Record{ETag: a.header.Get("ETag")}
	return r, r.read(a.body)
}

func (c *Client) page(ctx context.Context, q *call) (*Page, error) {
	raw, err := fetch[struct {
		Items      []json.RawMessage `json:"items"`
		NextCursor *string           `json:"next_cursor"`
	}](ctx, c, q)
	if err != nil {
		return nil, err
	}
	page := &Page{Items: make([]Record, len(raw.Items))}
	for i := range raw.Items {
		if err := page.Items[i].read(raw.Items[i]); err != nil {
			return nil, err
		}
	}
	if raw.NextCursor != nil {
		page.NextCursor = *raw.NextCursor
	}
	return page, nil
}
