package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"crypto/sha256"
)

// Bounds of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func pageLimit(limit int) (int, error) {
	if limit < 0 || limit > maxLimit {
		return 0, invalid("/limit", "a page has at least 1 and at most "+strconv.Itoa(maxLimit)+" records")
	}
	return orDefault(limit, defaultLimit), nil
}

// query collects what a cursor is bound to: the client, the collection and
// everything that selects records or decides what is seen of them.
type query struct{ h hash.Hash }

func newQuery(c Caller, coll *collection, kind string) *query {
	q := &query{sha256.New()}
	q.add(kind, c.ClientUID.String(), coll.doc.UID.String())
	return q
}

func (q *query) add(parts ...string) {
	for _, p := range parts {
		q.h.Write([]byte(strconv.Itoa(len(p))))
		q.h.Write([]byte{':'})
		q.h.Write([]byte(p))
	}
}

func (q *query) addLabels(labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		q.add("label", key, labels[key])
	}
}

func (q *query) addTime(name string, t time.Time) { q.add(name, t.UTC().Format(time.RFC3339Nano)) }

func (q *query) id() string { return hex.EncodeToString(q.h.Sum(nil)) }

// sealCursor turns a position into a cursor: sealed, and bound to the query
// and its client, so that it neither shows nor reaches anything else.
func (s *Store) sealCursor(ctx context.Context, q *query, position string) (string, error) {
	if position == "" {
		return "", nil
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return "", keyError(err)
	}
	sealed, err := system.Seal("cursor", q.id(), 0, []byte(position))
	if err != nil {
		return "", keyError(err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openCursor returns the position of a cursor, "" for none.
func (s *Store) openCursor(ctx context.Context, q *query, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(cursor) > 1024 || strings.ContainsAny(cursor, "\r\n") {
		return "", ErrCursor
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return "", keyError(err)
	}
	position, err := system.Open("cursor", q.id(), 0, sealed)
	if err != nil {
		return "", ErrCursor
	}
	return string(position), nil
}
