package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"strongroom/store"
)

// sendJSON answers with a value of which there are few: definitions, not
// records.
func (c *call) sendJSON(status int, value any) error {
	buffer := bytes.NewBuffer(c.out[:0])
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	c.out = bytes.TrimSuffix(buffer.Bytes(), []byte{'\n'})
	return c.send(status, mediaJSON, c.out)
}

// listBody is a list that comes whole.
type listBody[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next_cursor"`
}

// sendList answers with all of a list.
func sendList[T any](c *call) func([]T, error) error {
	return func(items []T, err error) error {
		if err != nil {
			return err
		}
		if items == nil {
			items = []T{}
		}
		return c.sendJSON(http.StatusOK, listBody[T]{Items: items})
	}
}

// sendDefinition answers a GET of something that has a version.
func (c *call) sendDefinition(version uint64, value any) error {
	tag := versionTag(version)
	have, any, err := ifNoneMatch(c.r.Header)
	if err != nil {
		return err
	}
	c.setETag(tag)
	if any || contains(have, tag) {
		return c.sendNothing(http.StatusNotModified)
	}
	return c.sendJSON(http.StatusOK, value)
}

// sendPut answers a PUT of something that has a version.
func (c *call) sendPut(version uint64, result store.PutResult, value any) error {
	c.setETag(versionTag(version))
	status := http.StatusOK
	switch {
	case result.Backfill:
		status = http.StatusAccepted
	case result.Created:
		status = http.StatusCreated
	}
	if result.Created {
		c.w.Header()["Location"] = []string{c.r.URL.EscapedPath()}
	}
	return c.sendJSON(status, value)
}

// decodePut reads the body and the preconditions of a PUT.
func decodePut[T any](c *call) (spec T, p store.Precondition, err error) {
	if spec, err = decode[T](c); err != nil {
		return spec, p, err
	}
	p, err = precondition(c.r.Header)
	return spec, p, err
}

// sendDeleted answers a DELETE of a definition.
func (c *call) sendDeleted(err error) error {
	if err != nil {
		return err
	}
	return c.sendNothing(http.StatusNoContent)
}

// warned is a definition with the warnings that its PUT gave.
type warned[T any] struct {
	Value    T
	Warnings []string
}

// MarshalJSON writes the definition's members and then "warnings".
func (w warned[T]) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(w.Value)
	if err != nil || len(w.Warnings) == 0 {
		return text, err
	}
	warnings, err := json.Marshal(w.Warnings)
	text = append(text[:len(text)-1], `,"warnings":`...)
	return append(append(text, warnings...), '}'), err
}
