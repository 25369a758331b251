package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"strongroom/internal/schema"
	"strongroom/store"
)

// The encoders of records append to a buffer and look at nothing by
// reflection: a read is the path that most callers take.

// appendRecord appends the JSON text of a record.
func appendRecord(b []byte, r *store.Record) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, r.ID)
	b = append(b, `,"revision":`...)
	b = strconv.AppendUint(b, r.Revision, 10)
	b = appendInstant(b, "created_at", r.CreatedAt)
	b = appendInstant(b, "updated_at", r.UpdatedAt)
	b = appendInstant(b, "valid_until", r.ValidUntil)
	b = appendInstant(b, "erase_at", r.EraseAt)
	b = appendInstant(b, "deleted_at", r.DeletedAt)
	b = append(b, `,"labels":`...)
	b = appendLabels(b, r.Labels)
	if r.HasFields {
		b = append(b, `,"fields":`...)
		b = appendFields(b, r)
		b = append(b, `,"masked":`...)
		b = appendTexts(b, r.Masked)
		b = append(b, `,"withheld":`...)
		b = appendTexts(b, r.Withheld)
	}
	if r.Damaged {
		b = append(b, `,"damaged":true`...)
	}
	return append(b, '}')
}

// appendInstant appends a member that is a time, unless it is zero.
func appendInstant(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendLabels(b []byte, labels []store.Label) []byte {
	b = append(b, '{')
	for i := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, labels[i].Key)
		b = append(b, ':')
		b = appendText(b, labels[i].Value)
	}
	return append(b, '}')
}

// appendFields appends the fields as an object: as they stand when none is
// nested, else put back into their parents.
func appendFields(b []byte, r *store.Record) []byte {
	if !r.Flat {
		return append(b, schema.Join(r.Fields)...)
	}
	b = append(b, '{')
	for i := range r.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, unescape(r.Fields[i].Path))
		b = append(b, ':')
		b = append(b, r.Fields[i].JSON...)
	}
	return append(b, '}')
}

// unescape turns a reference token of a JSON Pointer into the name it stands
// for (RFC 6901, section 4).
func unescape(token string) string {
	if strings.IndexByte(token, '~') < 0 {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, text)
	}
	return append(b, ']')
}

// appendText appends a JSON string. What the store hands out is valid UTF-8;
// were it not, the bad bytes become U+FFFD.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// sendRecord answers with a record, or with 304 when the caller has it.
func (c *call) sendRecord(r *store.Record, any bool) error {
	c.setETag(r.ETag)
	if r.NotModified || any {
		return c.sendNothing(http.StatusNotModified)
	}
	c.out = appendRecord(c.out[:0], r)
	return c.send(http.StatusOK, mediaJSON, c.out)
}

// sendPage answers with a page of records.
func (c *call) sendPage(p *store.Page) error {
	b := append(c.out[:0], `{"items":[`...)
	for i := range p.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRecord(b, &p.Records[i])
	}
	b = append(b, `],"next_cursor":`...)
	if p.Next == "" {
		b = append(b, "null"...)
	} else {
		b = appendText(b, p.Next)
	}
	c.out = append(b, '}')
	return c.send(http.StatusOK, mediaJSON, c.out)
}

// sendWrite answers a write: 201 with the record's place when it made one.
func (c *call) sendWrite(ref store.CollectionRef, r *store.WriteResult) error {
	b := append(c.out[:0], `{"id":`...)
	b = appendText(b, r.ID)
	b = append(b, `,"revision":`...)
	b = strconv.AppendUint(b, r.Revision, 10)
	b = appendInstant(b, "created_at", r.CreatedAt)
	b = appendInstant(b, "updated_at", r.UpdatedAt)
	if r.PurgeAt != nil {
		b = appendInstant(b, "purge_at", *r.PurgeAt)
	}
	c.out = append(b, '}')
	c.setETag(r.ETag)
	if r.Replayed {
		c.w.Header()["Idempotency-Replayed"] = []string{"true"}
	}
	if !r.Created {
		return c.send(http.StatusOK, mediaJSON, c.out)
	}
	c.w.Header()["Location"] = []string{
		"/v1/integrations/" + ref.Integration + "/collections/" + ref.Collection + "/records/" + r.ID}
	return c.send(http.StatusCreated, mediaJSON, c.out)
}
