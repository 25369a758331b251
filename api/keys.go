package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"strongroom/rotate"
	"strongroom/store"
)

// Inventory tells of keys; rotate.Inventory is one. Its methods authorise and
// audit their caller, and are safe for concurrent use.
type Inventory interface {
	List(context.Context, store.Caller) ([]rotate.DomainKeys, error)
	Covered(ctx context.Context, c store.Caller, keyID uint32, fn func(store.CoveredRecord) error) error
}

// attested is what the store tells whoever checks what it signed.
type attested interface {
	AttestKeys() []store.VerifierKey
}

func (s *Server) listKeys(c *call) error {
	return sendList[rotate.DomainKeys](c)(s.Keys.List(c.ctx(), c.who))
}

// keyRecords writes everything that a key has ever covered, one a line, and a
// last line that says that it was all.
func (s *Server) keyRecords(c *call) error {
	_, out := c.openStream()
	defer out.stop()
	count := uint64(0)
	err := s.Keys.Covered(c.ctx(), c.who, keyID(c.vars["key"]), func(r store.CoveredRecord) error {
		count++
		return out.line(r)
	})
	if err != nil {
		return out.cut(err)
	}
	if err := out.line(exportEnd{End: true, Count: count}); err != nil {
		return nil
	}
	return out.flush()
}

// keyID reads the id of a key. What is none is 0, which no key has: who may ask
// finds nothing there.
func keyID(text string) uint32 {
	id, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 || strings.ToLower(text) != text {
		return 0
	}
	return uint32(id)
}

type attestKeysBody struct {
	Keys []store.VerifierKey `json:"keys"`
}

// attestKeys tells the public keys of reports and certificates. They are no
// secret.
func (s *Server) attestKeys(c *call) error {
	body := attestKeysBody{s.Store.AttestKeys()}
	if body.Keys == nil {
		body.Keys = []store.VerifierKey{}
	}
	return c.sendJSON(http.StatusOK, body)
}
