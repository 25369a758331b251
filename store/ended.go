package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Bounds of the tokens that were used up and are remembered until they expire:
// of one owner, and of all. A token that is revoked is not bound by them: it
// was issued here, and what must end ends.
const (
	maxEndedEach = 4096
	maxEnded     = 1 << 17
)

// endedDoc is a token that counts no more although it has not expired: an
// access token that was revoked, or an assertion that was used. It is kept
// sealed, so that a restart forgets none.
type endedDoc struct {
	Owner     uid.UID   `json:"owner"` // the client or the issuer whose token it is
	ExpiresAt time.Time `json:"expires_at"`
	Once      bool      `json:"once,omitempty"` // it was used, and counts once; else it was revoked
}

// endedShards is how many maps the ids are spread over: adding one copies a map.
const endedShards = 64

// endedTokens is the ended tokens in memory. Readers take no lock and allocate
// nothing: each shard is a map that is never changed, only replaced.
type endedTokens struct {
	shards [endedShards]atomic.Pointer[map[string]endedDoc]
	mu     sync.Mutex // held while a shard is replaced
	all    int        // of those that count once
	each   map[uid.UID]int
}

func (e *endedTokens) shard(id string) *atomic.Pointer[map[string]endedDoc] {
	h := uint32(2166136261) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &e.shards[h%endedShards]
}

// has reports whether a token was ended.
func (e *endedTokens) has(id string) bool {
	m := e.shard(id).Load()
	if m == nil {
		return false
	}
	_, there := (*m)[id]
	return there
}

var (
	errEnded     = errors.New("store: the token was ended before")
	errEndedMany = errors.New("store: too many tokens were ended that have not expired")
)

// add remembers a token, once. bounded refuses one that is over the bounds;
// what the disk holds already is not refused.
func (e *endedTokens) add(id string, doc endedDoc, bounded bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.has(id) {
		return errEnded
	}
	if bounded && (e.all >= maxEnded || e.each[doc.Owner] >= maxEndedEach) {
		return errEndedMany
	}
	e.replace(id, func(m map[string]endedDoc) { m[id] = doc })
	e.count(doc, 1)
	return nil
}

// count keeps the numbers that the bounds are held against. The caller holds
// mu.
func (e *endedTokens) count(doc endedDoc, by int) {
	if !doc.Once {
		return
	}
	if e.each == nil {
		e.each = map[uid.UID]int{}
	}
	e.all += by
	if e.each[doc.Owner] += by; e.each[doc.Owner] == 0 {
		delete(e.each, doc.Owner)
	}
}

// remove forgets a token that expired.
func (e *endedTokens) remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.shard(id).Load()
	if m == nil {
		return
	}
	doc, there := (*m)[id]
	if !there {
		return
	}
	e.replace(id, func(m map[string]endedDoc) { delete(m, id) })
	e.count(doc, -1)
}

// replace changes a copy of a shard. The caller holds mu.
func (e *endedTokens) replace(id string, change func(map[string]endedDoc)) {
	shard, next := e.shard(id), map[string]endedDoc{}
	if m := shard.Load(); m != nil {
		next = maps.Clone(*m)
	}
	change(next)
	shard.Store(&next)
}

// expired returns the ids of up to sweepBatch tokens that have expired by now.
func (e *endedTokens) expired(now time.Time) (ids []string) {
	for i := range e.shards {
		m := e.shards[i].Load()
		if m == nil {
			continue
		}
		for id, doc := range *m {
			if len(ids) == sweepBatch {
				return ids
			}
			if doc.ExpiresAt.Before(now) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// endedGrace is how long an ended token is remembered after it expired: clocks
// differ, and a verifier may allow for that.
const endedGrace = 2 * time.Minute

// endToken remembers a revoked access token, on the disk first.
func (s *Store) endToken(ctx context.Context, op *operation, id string, owner uid.UID, expires time.Time) error {
	doc := endedDoc{Owner: owner, ExpiresAt: expires.Add(endedGrace).UTC()}
	err := s.writeEnded(ctx, id, doc, func(tx kv.Tx) { op.put(tx, op.entry.Target) })
	if err != nil && !errors.Is(err, errStale) { // errStale: it was revoked before
		return engineError(err)
	}
	if err := s.ended.add(id, doc, false); err != nil && !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// spend uses up a token that counts once, by the id that its owner gave it. A
// second use, at the same moment or after a restart, is an *Unproven.
func (s *Store) spend(ctx context.Context, owner uid.UID, jti string, expires time.Time) error {
	sum := sha256.Sum256([]byte(jti))
	id := "jti:" + owner.String() + ":" + hex.EncodeToString(sum[:16])
	doc := endedDoc{Owner: owner, ExpiresAt: expires.Add(endedGrace).UTC(), Once: true}
	switch err := s.ended.add(id, doc, true); {
	case errors.Is(err, errEnded):
		return &Unproven{"the token was used before"}
	case errors.Is(err, errEndedMany):
		return &Unproven{"too many tokens that have not expired were used"}
	}
	err := s.writeEnded(ctx, id, doc, nil)
	if errors.Is(err, errStale) {
		return &Unproven{"the token was used before"}
	}
	return engineError(err)
}

func (s *Store) writeEnded(ctx context.Context, id string, doc endedDoc, also func(kv.Tx)) error {
	writes := []controlWrite{{kind: kindEnded, id: id, doc: doc}}
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	return s.updateSealed(ctx, kv.Interactive, writes, nil, func(tx kv.Tx) error {
		if err := applyControl(tx, writes); err != nil {
			return err
		}
		if also != nil {
			also(tx)
		}
		return nil
	})
}

// sweepEnded forgets ended tokens that have expired.
func (s *Store) sweepEnded(ctx context.Context) error {
	for {
		ids := s.ended.expired(s.now())
		if len(ids) == 0 {
			return nil
		}
		err := s.engine.Update(ctx, kv.Bulk, 64*len(ids), func(tx kv.Tx) error {
			keys := make([][]byte, len(ids))
			for i, id := range ids {
				keys[i] = controlKey(kindEnded, id)
			}
			dropControl(tx, keys...)
			return nil
		})
		if err != nil {
			return engineError(err)
		}
		for _, id := range ids {
			s.ended.remove(id)
		}
	}
}
