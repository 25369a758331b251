package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// claim is an idempotency key while its request is under way. The zero claim
// is that of a request without one.
type claim struct {
	s      *Store
	client uid.UID
	in     uid.UID // what the request is about
	o      WriteOptions
	flight [sha256.Size]byte // the key among those that are in flight

	system *envelope.System
	place  place       // where the result goes
	replay *remembered // the request was made before, with this result
}

// place is where a request is remembered under one generation of the system's
// MAC key: key and request are kept as keyed MACs, neither can be read or
// guessed from the disk.
type place struct {
	generation uint32
	key        [macBytes]byte
	request    [macBytes]byte
}

// claim takes the key of a request, or finds what it made before. in is what the
// request is about, a collection or a client: what was made in a namesake that
// is gone is no answer.
func (s *Store) claim(ctx context.Context, c Caller, in uid.UID, o WriteOptions) (*claim, error) {
	if o.IdempotencyKey == "" {
		return &claim{}, nil
	}
	cl := &claim{s: s, client: c.ClientUID, in: in, o: o}
	cl.flight = cl.inFlight()
	if _, taken := s.inFlight.LoadOrStore(cl.flight, struct{}{}); taken {
		return nil, ErrIdempotencyInFlight
	}
	if err := cl.recall(ctx); err != nil {
		cl.release()
		return nil, err
	}
	return cl, nil
}

// inFlight names the key in memory: the same before and after a rotation of the
// system's MAC key.
func (cl *claim) inFlight() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range [][]byte{cl.client[:], cl.in[:], []byte(cl.o.Route), []byte(cl.o.IdempotencyKey)} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// at returns the place of the request under a generation.
func (cl *claim) at(generation uint32) (p place, err error) {
	p.generation = generation
	p.key, err = cl.system.MACAt(generation, "idempotency-key", cl.client[:], cl.in[:], []byte(cl.o.Route), []byte(cl.o.IdempotencyKey))
	if err == nil {
		p.request, err = cl.system.MACAt(generation, "idempotency-request", cl.o.Request)
	}
	return p, keyError(err)
}

// places takes the system domain as it is, and returns the places under which
// the request may be remembered: that of each open generation. The first is
// where it will be.
func (cl *claim) places(ctx context.Context) (all []place, err error) {
	if cl.system, err = cl.s.domains.System(ctx); err != nil {
		return nil, keyError(err)
	}
	for _, generation := range cl.system.MACGenerations() {
		p, err := cl.at(generation)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	cl.place = all[0]
	return all, nil
}

// recall looks for what the key made before.
func (cl *claim) recall(ctx context.Context) error {
	return cl.s.withSystem(ctx, func() error {
		places, err := cl.places(ctx)
		if err != nil {
			return err
		}
		return engineError(cl.s.engine.View(ctx, func(tx kv.ReadTx) error {
			if !systemCurrent(tx, cl.system) {
				return errStaleSystem
			}
			for _, p := range places {
				if err := cl.recallAt(tx, p); err != nil || cl.replay != nil {
					return err
				}
			}
			return nil
		}))
	})
}

// recallAt looks in one place. A damaged entry is no entry that a request may be
// made twice for.
func (cl *claim) recallAt(tx kv.ReadTx, p place) error {
	raw := tx.Get(kv.Idempotency, p.key[:])
	if raw == nil {
		return nil
	}
	m, err := decodeRemembered(raw)
	if err == nil && m.generation != p.generation {
		err = errLayout
	}
	if err == nil {
		err = m.authentic(cl.system, p.key[:])
	}
	if err != nil {
		return damaged("idempotency key", err)
	}
	if !cl.s.now().Before(m.expires) {
		return nil
	}
	if subtle.ConstantTimeCompare(m.request[:], p.request[:]) != 1 {
		return ErrIdempotencyMismatch
	}
	m.body = nil // it points into the transaction
	cl.replay = &m
	return nil
}

// release ends the time in which the same key answers that it is in flight.
func (cl *claim) release() {
	if cl.s != nil {
		cl.s.inFlight.Delete(cl.flight)
	}
}

// stands finds out, in the transaction that is to remember the request, whether
// its place is still the right one: under the primary MAC key. Elsewhere it
// could be under a key that is about to be destroyed.
func (cl *claim) stands(tx kv.ReadTx) error {
	if cl == nil || cl.s == nil || systemGeneration(tx).index == cl.place.generation {
		return nil
	}
	return errStaleSystem
}

// renew finds the place anew after the system's keys have changed. The key is
// in flight all the while, so nobody has made the request meanwhile.
func (cl *claim) renew(ctx context.Context) error {
	if cl == nil || cl.s == nil {
		return nil
	}
	_, err := cl.places(ctx)
	return err
}

// remember writes the result of a request, in the transaction that makes it and
// has seen that the claim stands.
func (cl *claim) remember(tx kv.Tx, m remembered, now time.Time) error {
	if cl == nil || cl.s == nil {
		return nil
	}
	m.expires, m.request, m.generation = now.Add(idempotencyFor), cl.place.request, cl.place.generation
	key, body := cl.place.key, m.encode()
	mac, err := macOf(cl.system, m.generation, key[:], body)
	if err != nil {
		return keyError(err)
	}
	var t keyTally
	if old, err := decodeRemembered(tx.Get(kv.Idempotency, key[:])); err == nil {
		tx.Delete(kv.Expiry, expiryKey(old.expires, expiryIdempotency, key[:])) // it would end the new one early
	}
	forgetRequest(tx, key[:], &t)
	value := append(body, mac[:]...)
	tx.Put(kv.Idempotency, key[:], value)
	tx.Put(kv.Expiry, expiryKey(m.expires, expiryIdempotency, key[:]), nil)
	t.mac(value, 1)
	t.add(tx, uid.Zero)
	return nil
}
