package store

import (
	"cmp"
	"encoding/binary"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// generation is a value of the Generations table: which keys of a domain are in
// force, and what each of its keys may do. There is one a key domain, that of
// the system too. Every write transaction compares it with the one that its
// values were made under: a key that was added, promoted or disabled, a schema
// that was changed or an integration that was deleted meanwhile makes the write
// start again.
//
// Layout, big-endian:
//
//	02 | u64 epoch | u8 n | n * (u8 purpose, u32 generation, u8 state)
//
// The keys are in the order of purpose and generation. Of each of the two
// purposes that a domain has, one key is primary.
//
// An older store has values that say nothing of other keys than the primary
// ones; those are enabled:
//
//	01 | u32 wrapping generation | u32 index generation | u64 epoch
type generation struct {
	wrapping uint32 // the primary generations; of the system domain, those that
	index    uint32 // seal control values and compute MACs
	epoch    uint64 // counts the changes of the integration and its collections
	states   string // as it is stored, so that == compares it; "" of an older value
}

// keyState is what one key of a domain may do.
type keyState struct {
	purpose    envelope.Purpose
	generation uint32
	state      envelope.KeyState
}

const (
	generationFormat = 2
	statesAt         = 1 + 8 + 1
	keyStateSize     = 1 + 4 + 1
	maxKeyStates     = 255
)

func (g generation) encode() []byte {
	if g.states == "" {
		return g.encodeOld()
	}
	b := make([]byte, 0, statesAt+len(g.states))
	b = append(b, generationFormat)
	b = binary.BigEndian.AppendUint64(b, g.epoch)
	b = append(b, byte(len(g.states)/keyStateSize))
	return append(b, g.states...)
}

func (g generation) encodeOld() []byte {
	b := append(make([]byte, 0, 17), 1)
	b = binary.BigEndian.AppendUint32(b, g.wrapping)
	b = binary.BigEndian.AppendUint32(b, g.index)
	return binary.BigEndian.AppendUint64(b, g.epoch)
}

func decodeGeneration(b []byte) (generation, error) {
	r := reader{b: b}
	switch r.u8() {
	case 1:
		g := generation{wrapping: r.u32(), index: r.u32(), epoch: r.u64()}
		if !r.done() {
			return generation{}, errLayout
		}
		return g, nil
	case generationFormat:
		g := generation{epoch: r.u64()}
		g.states = string(r.take(int(r.u8()) * keyStateSize))
		if !r.done() || !g.settle() {
			return generation{}, errLayout
		}
		return g, nil
	}
	return generation{}, errLayout
}

// is reports whether a stored value is that of the generation. Every write asks
// it, so it makes nothing.
func (g generation) is(stored []byte) bool {
	if g.states == "" {
		other, err := decodeGeneration(stored)
		return err == nil && other == g
	}
	return len(stored) == statesAt+len(g.states) && stored[0] == generationFormat && binary.BigEndian.Uint64(stored[1:]) == g.epoch &&
		int(stored[statesAt-1])*keyStateSize == len(g.states) && string(stored[statesAt:]) == g.states
}

// settle finds the primary keys among the states. It reports false when the
// states are not those that a domain can have.
func (g *generation) settle() bool {
	g.wrapping, g.index = 0, 0
	var last keyState
	for i := 0; i < len(g.states); i += keyStateSize {
		k := keyStateAt(g.states, i)
		ordered := last.purpose < k.purpose || last.purpose == k.purpose && last.generation < k.generation
		known := k.generation > 0 && k.state >= envelope.StatePending && k.state <= envelope.StateDisabled
		if !ordered || !known || last.purpose != 0 && ofSystem(last.purpose) != ofSystem(k.purpose) || !g.place(k) {
			return false
		}
		last = k
	}
	return g.wrapping != 0 && g.index != 0
}

// place notes a primary key. It reports false for a second one of its purpose,
// and for a purpose that does not exist.
func (g *generation) place(k keyState) bool {
	at := g.primaryOf(k.purpose)
	if at == nil || k.state == envelope.StatePrimary && *at != 0 {
		return false
	}
	if k.state == envelope.StatePrimary {
		*at = k.generation
	}
	return true
}

func (g *generation) primaryOf(p envelope.Purpose) *uint32 {
	switch p {
	case envelope.PurposeWrapping, envelope.PurposeSystem:
		return &g.wrapping
	case envelope.PurposeIndex, envelope.PurposeSystemMAC:
		return &g.index
	}
	return nil
}

func ofSystem(p envelope.Purpose) bool {
	return p == envelope.PurposeSystem || p == envelope.PurposeSystemMAC
}

func keyStateAt(states string, i int) keyState {
	return keyState{
		purpose:    envelope.Purpose(states[i]),
		generation: uint32(states[i+1])<<24 | uint32(states[i+2])<<16 | uint32(states[i+3])<<8 | uint32(states[i+4]),
		state:      envelope.KeyState(states[i+5]),
	}
}

// keys returns what each key may do, in the order of purpose and generation.
func (g generation) keys() []keyState {
	all := make([]keyState, 0, len(g.states)/keyStateSize)
	for i := 0; i < len(g.states); i += keyStateSize {
		all = append(all, keyStateAt(g.states, i))
	}
	return all
}

// state returns what a key may do, 0 for one that the domain does not have.
func (g generation) state(p envelope.Purpose, n uint32) envelope.KeyState {
	for i := 0; i < len(g.states); i += keyStateSize {
		if k := keyStateAt(g.states, i); k.purpose == p && k.generation == n {
			return k.state
		}
	}
	if at := g.primaryOf(p); g.states != "" || at == nil || n == 0 {
		return 0
	} else if *at == n {
		return envelope.StatePrimary
	}
	return envelope.StateEnabled
}

// with returns a copy in which a key has this state; it may be a new one. The
// key that was primary before a new primary one is enabled. State 0 removes
// the key: one that was destroyed. The copy of a generation without states, or
// one that would have no primary key, is what g is: take g from generationOf.
func (g generation) with(p envelope.Purpose, n uint32, to envelope.KeyState) generation {
	keys := g.keys()
	keys = slices.DeleteFunc(keys, func(k keyState) bool { return k.purpose == p && k.generation == n })
	for i := range keys {
		if k := &keys[i]; to == envelope.StatePrimary && k.purpose == p && k.state == envelope.StatePrimary {
			k.state = envelope.StateEnabled
		}
	}
	if to != 0 {
		keys = append(keys, keyState{p, n, to})
	}
	next := generation{epoch: g.epoch, states: encodeStates(keys)}
	if len(keys) > maxKeyStates || !next.settle() {
		return g
	}
	return next
}

func encodeStates(keys []keyState) string {
	slices.SortFunc(keys, func(a, b keyState) int {
		return cmp.Or(cmp.Compare(a.purpose, b.purpose), cmp.Compare(a.generation, b.generation))
	})
	b := make([]byte, 0, len(keys)*keyStateSize)
	for _, k := range keys {
		b = append(b, byte(k.purpose))
		b = binary.BigEndian.AppendUint32(b, k.generation)
		b = append(b, byte(k.state))
	}
	return string(b)
}

// openIndexes returns the generations under which index tokens, or MACs of the
// system domain, may stand: the primary first.
func (g generation) openIndexes() []uint32 {
	open := []uint32{g.index}
	for _, k := range g.keys() {
		if g.primaryOf(k.purpose) == &g.index && k.state == envelope.StateEnabled {
			open = append(open, k.generation)
		}
	}
	return open
}

// opened reports whether a domain was opened with these primary keys, and can
// look wherever index tokens may stand. One that was not is older, or newer, than
// what the keys may do now.
func (g generation) opened(dom *envelope.Domain) bool {
	wrapping, index := dom.Generation()
	return g.wrapping == wrapping && g.index == index && (!g.dual() || covers(dom.IndexGenerations(), g))
}

// dual reports whether tokens may stand under another index key than the primary
// one.
func (g generation) dual() bool {
	for i := 0; i < len(g.states); i += keyStateSize {
		if k := keyStateAt(g.states, i); k.state == envelope.StateEnabled && g.primaryOf(k.purpose) == &g.index {
			return true
		}
	}
	return false
}

// generationOf returns what the keys of a domain may do, with a state for each
// of its keysets: those of a value of an older store, or of none, are enabled,
// and the newest of each purpose is primary unless the value says otherwise. The
// zero generation, which no draft was made under, is that of a damaged value.
func generationOf(tx kv.ReadTx, domain uid.UID, keysets []envelope.WrappedKeyset) generation {
	var g generation
	if raw := tx.Get(kv.Generations, domain[:]); raw != nil {
		var err error
		if g, err = decodeGeneration(raw); err != nil || g.states != "" {
			return g
		}
	}
	return g.explicit(keysets)
}

// hasKeysets reports whether each key that has a state is there.
func (g generation) hasKeysets(keysets []envelope.WrappedKeyset) bool {
	for _, k := range g.keys() {
		if !slices.ContainsFunc(keysets, func(s envelope.WrappedKeyset) bool { return s.Purpose == k.purpose && s.Generation == k.generation }) {
			return false
		}
	}
	return g.states != ""
}

// explicit gives every keyset the state that a generation without states means.
func (g generation) explicit(keysets []envelope.WrappedKeyset) generation {
	absent := g.wrapping == 0 && g.index == 0 // nothing but the keysets tells
	keys := make([]keyState, 0, len(keysets))
	for _, k := range keysets {
		at := g.primaryOf(k.Purpose)
		if at == nil {
			return generation{}
		}
		if absent {
			*at = max(*at, k.Generation)
		}
		keys = append(keys, keyState{k.Purpose, k.Generation, envelope.StateEnabled})
	}
	for i := range keys {
		if k := &keys[i]; *g.primaryOf(k.purpose) == k.generation {
			k.state = envelope.StatePrimary
		}
	}
	next := generation{epoch: g.epoch, states: encodeStates(keys)}
	if !next.settle() {
		return generation{}
	}
	return next
}

// putGeneration writes what the keys of a domain may do. From the end of the
// transaction on, every draft that was made under anything else is stale.
func putGeneration(tx kv.Tx, domain uid.UID, g generation) {
	tx.Put(kv.Generations, domain[:], g.encode())
}
