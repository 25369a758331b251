package store

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// idempotencyFor is how long an idempotency key is remembered.
const idempotencyFor = 24 * time.Hour

// remembered is a value of the Idempotency table: what a request with a key
// made, never what it was answered.
//
// Layout:
//
//	01 | u64 expires, unix microseconds | 32 keyed MAC of the request |
//	u64 revision | 16 operation id | u64 created | u64 updated | u8 was created | id
type remembered struct {
	expires   time.Time
	request   [32]byte
	revision  uint64
	operation uid.UID // that wrote the revision
	created   time.Time
	updated   time.Time
	made      bool
	id        string
}

const rememberedFormat = 1

func (m *remembered) encode() []byte {
	b := make([]byte, 0, 82+len(m.id))
	b = append(b, rememberedFormat)
	b = binary.BigEndian.AppendUint64(b, micros(m.expires))
	b = append(b, m.request[:]...)
	b = binary.BigEndian.AppendUint64(b, m.revision)
	b = append(b, m.operation[:]...)
	b = binary.BigEndian.AppendUint64(b, micros(m.created))
	b = binary.BigEndian.AppendUint64(b, micros(m.updated))
	if m.made {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, m.id...)
}

func decodeRemembered(b []byte) (remembered, error) {
	r := reader{b: b}
	if r.u8() != rememberedFormat {
		return remembered{}, errLayout
	}
	m := remembered{expires: r.time()}
	copy(m.request[:], r.take(32))
	m.revision = r.u64()
	copy(m.operation[:], r.take(16))
	m.created = r.time()
	m.updated = r.time()
	made := r.u8()
	m.made = made == 1
	m.id = string(r.take(len(r.b)))
	if r.bad || made > 1 {
		return remembered{}, errLayout
	}
	return m, nil
}

// claim is an idempotency key while its request is under way. The zero claim
// is that of a request without one.
type claim struct {
	s       *Store
	key     [32]byte
	request [32]byte
	replay  *remembered // the request was made before, with this result
}

// claim takes the key of a request, or finds what it made before. Key and
// request are kept as keyed MACs: neither can be read or guessed from the disk.
func (s *Store) claim(ctx context.Context, c Caller, o WriteOptions) (*claim, error) {
	if o.IdempotencyKey == "" {
		return &claim{}, nil
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return nil, keyError(err)
	}
	cl := &claim{s: s}
	cl.key, err = system.MAC("idempotency-key", c.ClientUID[:], []byte(o.Route), []byte(o.IdempotencyKey))
	if err != nil {
		return nil, keyError(err)
	}
	if cl.request, err = system.MAC("idempotency-request", o.Request); err != nil {
		return nil, keyError(err)
	}
	if _, taken := s.inFlight.LoadOrStore(cl.key, struct{}{}); taken {
		return nil, ErrIdempotencyInFlight
	}
	if err := cl.recall(ctx); err != nil {
		cl.release()
		return nil, err
	}
	return cl, nil
}

// recall looks for what the key made before.
func (cl *claim) recall(ctx context.Context) error {
	return engineError(cl.s.engine.View(ctx, func(tx kv.ReadTx) error {
		m, err := decodeRemembered(tx.Get(kv.Idempotency, cl.key[:]))
		if err != nil || !cl.s.now().Before(m.expires) {
			return nil
		}
		if subtle.ConstantTimeCompare(m.request[:], cl.request[:]) != 1 {
			return ErrIdempotencyMismatch
		}
		cl.replay = &m
		return nil
	}))
}

// release ends the time in which the same key answers that it is in flight.
func (cl *claim) release() {
	if cl.s != nil {
		cl.s.inFlight.Delete(cl.key)
	}
}

// remember writes the result of a request, in the transaction that makes it.
func (cl *claim) remember(tx kv.Tx, m remembered, now time.Time) {
	if cl.s == nil {
		return
	}
	if old, err := decodeRemembered(tx.Get(kv.Idempotency, cl.key[:])); err == nil {
		tx.Delete(kv.Expiry, expiryKey(old.expires, expiryIdempotency, cl.key[:])) // it would end the new one early
	}
	m.expires, m.request = now.Add(idempotencyFor), cl.request
	tx.Put(kv.Idempotency, cl.key[:], m.encode())
	tx.Put(kv.Expiry, expiryKey(m.expires, expiryIdempotency, cl.key[:]), nil)
}

// store is remember for a control change that made the thing with this id.
func (cl *claim) store(id string, revision uint64, now time.Time) func(kv.Tx) {
	return func(tx kv.Tx) { cl.remember(tx, remembered{id: id, revision: revision, made: true}, now) }
}
