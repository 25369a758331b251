package store

import (
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
//	02 | u32 MAC generation | u64 expires, unix microseconds |
//	32 keyed MAC of the request | u64 revision | 16 operation id | u64 created |
//	u64 updated | u8 was created | id |
//	32 keyed MAC of the key in the table and everything before
//
// The key in the table and both MACs are under one generation of the system's
// MAC key. What they were made of is not kept, so an entry stays where it is
// until it expires, whatever key is primary by then. One of an older store begins
// with 01, has no generation, and is of the first.
type remembered struct {
	generation uint32
	expires    time.Time
	request    [32]byte
	revision   uint64
	operation  uid.UID // that wrote the revision
	created    time.Time
	updated    time.Time
	made       bool
	id         string

	body []byte // as it was stored, without its MAC
	mac  [macBytes]byte
}

const macBytes = 32

const rememberedFormat = 2

// encode writes the layout up to the MAC.
func (m *remembered) encode() []byte {
	b := make([]byte, 0, 86+len(m.id)+macBytes)
	b = append(b, rememberedFormat)
	b = binary.BigEndian.AppendUint32(b, m.generation)
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
	m := remembered{generation: 1}
	switch r.u8() {
	case 1:
	case rememberedFormat:
		m.generation = r.u32()
	default:
		return remembered{}, errLayout
	}
	m.expires = r.time()
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
	if !r.done() || made > 1 || m.generation == 0 {
		return remembered{}, errLayout
	}
	return m, nil
}

// macOf authenticates an entry of the Idempotency table for its place: what a
// repeated request is answered with is nothing that a writer of the disk put
// there.
func macOf(system *envelope.System, generation uint32, key, body []byte) ([macBytes]byte, error) {
	return system.MACAt(generation, "idempotency-entry", key, body)
}

// authentic reports whether an entry is as the store wrote it there.
func (m *remembered) authentic(system *envelope.System, key []byte) error {
	want, err := macOf(system, m.generation, key, m.body)
	if err == nil && subtle.ConstantTimeCompare(want[:], m.mac[:]) != 1 {
		err = fmt.Errorf("%w: it was changed or belongs elsewhere", ErrIntegrity)
	}
	return err
}

// forgetRequest removes an entry of the Idempotency table.
func forgetRequest(tx kv.Tx, key []byte, t *keyTally) {
	t.mac(tx.Get(kv.Idempotency, key), -1)
	tx.Delete(kv.Idempotency, key)
}
