package store

import (
	"encoding/binary"
	"time"

	"strongroom/internal/uid"
)

// state is a value of the Records table: what of a record changes without a
// new revision.
//
// Layout, big-endian; times are unix microseconds, 0 for none:
//
//	01 | u8 life | u64 revision | u64 commit sequence number |
//	u64 deleted at | u64 purge at | 16 operation id
//
// revision is the current one; the operation is the last that changed this.
type state struct {
	life      life
	revision  uint64
	sequence  uint64
	deletedAt time.Time
	purgeAt   time.Time
	operation uid.UID
}

// life says whether a record is there for its readers.
type life byte

const (
	live    life = 1
	deleted life = 2 // hidden until purgeAt; :undelete brings it back
)

const (
	stateFormat = 1
	stateSize   = 1 + 1 + 4*8 + 16
)

func (s *state) encode() []byte {
	b := make([]byte, 0, stateSize)
	b = append(b, stateFormat, byte(s.life))
	b = binary.BigEndian.AppendUint64(b, s.revision)
	b = binary.BigEndian.AppendUint64(b, s.sequence)
	b = binary.BigEndian.AppendUint64(b, micros(s.deletedAt))
	b = binary.BigEndian.AppendUint64(b, micros(s.purgeAt))
	return append(b, s.operation[:]...)
}

func decodeState(b []byte) (state, error) {
	r := reader{b: b}
	if r.u8() != stateFormat {
		return state{}, errLayout
	}
	s := state{life: life(r.u8())}
	s.revision = r.u64()
	s.sequence = r.u64()
	s.deletedAt = r.time()
	s.purgeAt = r.time()
	copy(s.operation[:], r.take(16))
	if !r.done() || s.life != live && s.life != deleted {
		return state{}, errLayout
	}
	return s, nil
}

// change is a value of the Changes table: which record the commit with that
// sequence number wrote last, and when. Times never go back within a
// collection.
//
// Layout:
//
//	01 | u64 unix microseconds | id
type change struct {
	at time.Time
	id string
}

const changeFormat = 1

func (c *change) encode() []byte {
	b := make([]byte, 0, 9+len(c.id))
	b = append(b, changeFormat)
	b = binary.BigEndian.AppendUint64(b, micros(c.at))
	return append(b, c.id...)
}

func decodeChange(b []byte) (change, error) {
	r := reader{b: b}
	if r.u8() != changeFormat {
		return change{}, errLayout
	}
	c := change{at: r.time(), id: string(r.take(len(r.b)))}
	if r.bad || c.id == "" {
		return change{}, errLayout
	}
	return c, nil
}

// tokenSet is a value of the Tokens table: every entry that the record has in
// the Index table, so that erasing it needs no key.
//
// Layout:
//
//	01 | u32 index generation | (u16 len, path, u8 len, token)*
type tokenSet struct {
	generation uint32
	tokens     []indexToken
}

type indexToken struct {
	path   string
	token  []byte
	unique bool // not stored: what the writer has to check
}

const tokenSetFormat = 1

func (t *tokenSet) encode() []byte {
	b := make([]byte, 0, 5+24*len(t.tokens))
	b = append(b, tokenSetFormat)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	for _, k := range t.tokens {
		b = appendText(b, k.path)
		b = append(b, byte(len(k.token)))
		b = append(b, k.token...)
	}
	return b
}

func decodeTokenSet(b []byte) (tokenSet, error) {
	r := reader{b: b}
	if r.u8() != tokenSetFormat {
		return tokenSet{}, errLayout
	}
	t := tokenSet{generation: r.u32()}
	for !r.bad && len(r.b) > 0 {
		t.tokens = append(t.tokens, indexToken{path: r.text(), token: r.take(int(r.u8()))})
	}
	if r.bad {
		return tokenSet{}, errLayout
	}
	return t, nil
}
