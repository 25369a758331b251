package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// noteDeleted is the reason of a note about a client that was deleted, not
// disabled.
const noteDeleted = "deleted"

// erasedNote tells that a record was erased just now: the collection's floor,
// which rose above its last revision, is below the first of a record that is
// made anew under the id.
func erasedNote(tx kv.ReadTx, c uid.UID, id string) ledger.Note {
	return ledger.Note{Kind: ledger.Erased, Collection: c, Records: []ledger.Record{{ID: id, Revision: counter(tx, c, counterFloor)}}}
}

func encodeNotes(notes []ledger.Note) []byte {
	b, err := json.Marshal(notes)
	if err != nil {
		panic(err) // a note is texts, numbers and times
	}
	return b
}

// decodeNotes reads the notes of a value of the Operations table.
func decodeNotes(value []byte) ([]ledger.Note, error) {
	if len(value) == 0 {
		return nil, errLayout
	}
	action, rest, ok := bytes.Cut(value[1:], []byte{0})
	if !ok || len(action) == 0 {
		return nil, errLayout
	}
	switch value[0] {
	case 1:
		return nil, nil
	case 2:
		_, text, ok := bytes.Cut(rest, []byte{0})
		var notes []ledger.Note
		if !ok || json.Unmarshal(text, &notes) != nil || len(notes) == 0 {
			return nil, errLayout
		}
		return notes, nil
	}
	return nil, errLayout
}

// noteKeys has the ledger told of the keys that a plan destroys. Those of the
// system domain MAC the ledger too: it follows them first.
func (s *Store) noteKeys(ctx context.Context, op *operation, p *keyPlan) error {
	for _, k := range p.drops {
		note := ledger.Note{Kind: ledger.KeyDestroyed, Integration: p.d.UID, Name: p.d.Integration, Purpose: uint8(k.Purpose), Generation: k.Generation}
		for _, key := range p.history.Keys {
			if key.Key.Purpose == k.Purpose && key.Key.Generation == k.Generation {
				note.KeyID = fmt.Sprintf("%08x", key.Key.KeyID)
			}
		}
		op.notes = append(op.notes, note)
	}
	if len(p.drops) > 0 && p.d.System() {
		return s.useLedger(ctx)
	}
	return nil
}

// noteTrim has the ledger told, once it is done, that versions of a
// key-encryption key were trimmed.
func (s *Store) noteTrim(ctx context.Context, op *operation, d KeyDomain, version int) error {
	op.notes = []ledger.Note{{Kind: ledger.Trimmed, Integration: d.UID, Name: d.Integration, Version: uint64(version)}}
	if d.System() {
		return s.useLedger(ctx) // it carries keysets that are wrapped under the old versions
	}
	return nil
}
