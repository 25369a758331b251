package store

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom/envelope"
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
//	u64 revision | 16 operation id | u64 created | u64 updated | u8 was created | id |
//	32 keyed MAC of the key in the table and everything before
type remembered struct {
	expires   time.Time
	request   [32]byte
	revision  uint64
	operation uid.UID // that wrote the revision
	created   time.Time
	updated   time.Time
	made      bool
	id        string

	body []byte // as it was stored, without its MAC
	mac  [macBytes]byte
}

const macBytes = 32

const rememberedFormat = 1

// encode writes the layout up to the MAC.
func (m *remembered) encode() []byte {
	b := make([]byte, 0, 82+len(m.id)+macBytes)
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
	m.id = string(r.take(len(r.b) - macBytes))
	m.body = b[:len(b)-len(r.b)]
	copy(m.mac[:], r.take(macBytes))
	if !r.done() || made > 1 {
		return remembered{}, errLayout
	}
	return m, nil
}

// macOf authenticates an entry of the Idempotency table for its place: what a
// repeated request is answered with is nothing that a writer of the disk put
// there.
func macOf(system *envelope.System, key, body []byte) ([macBytes]byte, error) {
	return system.MAC("idempotency-entry", key, body)
}

// authentic reports whether an entry is as the store wrote it there.
func (m *remembered) authentic(system *envelope.System, key []byte) error {
	want, err := macOf(system, key, m.body)
	if err == nil && subtle.ConstantTimeCompare(want[:], m.mac[:]) != 1 {
		err = fmt.Errorf("%w: it was changed or belongs elsewhere", ErrIntegrity)
	}
	return err
}

// claim is an idempotency key while its request is under way. The zero claim
// is that of a request without one.
type claim struct {
	s       *Store
	system  *envelope.System
	key     [32]byte
	request [32]byte
	replay  *remembered // the request was made before, with this result
}

// claim takes the key of a request, or finds what it made before. Key and
// request are kept as keyed MACs: neither can be read or guessed from the disk.
// in is what the request is about, a collection or a client: what was made in
// a namesake that is gone is no answer.
func (s *Store) claim(ctx context.Context, c Caller, in uid.UID, o WriteOptions) (*claim, error) {
	if o.IdempotencyKey == "" {
		return &claim{}, nil
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return nil, keyError(err)
	}
	cl := &claim{s: s, system: system}
	cl.key, err = system.MAC("idempotency-key", c.ClientUID[:], in[:], []byte(o.Route), []byte(o.IdempotencyKey))
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

// recall looks for what the key made before. A damaged entry is no entry that
// a request may be made twice for.
func (cl *claim) recall(ctx context.Context) error {
	return engineError(cl.s.engine.View(ctx, func(tx kv.ReadTx) error {
		raw := tx.Get(kv.Idempotency, cl.key[:])
		if raw == nil {
			return nil
		}
		m, err := decodeRemembered(raw)
		if err == nil {
			err = m.authentic(cl.system, cl.key[:])
		}
		if err != nil {
			return damaged("idempotency key", err)
		}
		if !cl.s.now().Before(m.expires) {
			return nil
		}
		if subtle.ConstantTimeCompare(m.request[:], cl.request[:]) != 1 {
			return ErrIdempotencyMismatch
		}
		m.body = nil // it points into the transaction
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
func (cl *claim) remember(tx kv.Tx, m remembered, now time.Time) error {
	put, err := cl.memory(m, now)
	if err == nil {
		put(tx)
	}
	return err
}

// memory returns what writes the result of a request.
func (cl *claim) memory(m remembered, now time.Time) (put func(kv.Tx), err error) {
	if cl.s == nil {
		return func(kv.Tx) {}, nil
	}
	m.expires, m.request = now.Add(idempotencyFor), cl.request
	body := m.encode()
	mac, err := macOf(cl.system, cl.key[:], body)
	if err != nil {
		return nil, keyError(err)
	}
	value := append(body, mac[:]...)
	return func(tx kv.Tx) {
		if old, err := decodeRemembered(tx.Get(kv.Idempotency, cl.key[:])); err == nil {
			tx.Delete(kv.Expiry, expiryKey(old.expires, expiryIdempotency, cl.key[:])) // it would end the new one early
		}
		tx.Put(kv.Idempotency, cl.key[:], value)
		tx.Put(kv.Expiry, expiryKey(m.expires, expiryIdempotency, cl.key[:]), nil)
	}, nil
}
