package store

import (
	"bytes"
	"encoding/json"

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
