package store

import (
	"bytes"
	"encoding/hex"
	"slices"

	"strongroom/internal/uid"
)

// The tables that a sweep goes through, one after the other.
const (
	sweepsDEKs    byte = 1
	sweepsTokens  byte = 2
	sweepsControl byte = 3
	sweepsNothing byte = 255 // it is done
)

// position is how far a sweep has come: a table, and the last key of it that is
// behind. As a Cursor it is hexadecimal: u8 table | key.
type position struct {
	table byte
	key   []byte
}

// start returns where a sweep begins.
func (w *Sweeper) start() (position, error) {
	if w.o.From != "" {
		b, err := hex.DecodeString(string(w.o.From))
		if err != nil || len(b) == 0 || b[0] != sweepsNothing && !slices.Contains(w.tables(), b[0]) {
			return position{}, ErrCursor
		}
		return position{b[0], b[1:]}, nil
	}
	return position{table: w.tables()[0]}, nil
}

// tables are those that the sweep goes through.
func (w *Sweeper) tables() []byte {
	switch {
	case w.d.System():
		return []byte{sweepsControl}
	case w.o.Reindex:
		return []byte{sweepsDEKs, sweepsTokens}
	}
	return []byte{sweepsDEKs}
}

// nextTable returns the beginning of the table that comes after one.
func (w *Sweeper) nextTable(table byte) position {
	all := w.tables()
	if i := slices.Index(all, table); i >= 0 && i+1 < len(all) {
		return position{table: all[i+1]}
	}
	return position{table: sweepsNothing}
}

func (p position) cursor() Cursor {
	return Cursor(hex.EncodeToString(append([]byte{p.table}, p.key...)))
}

func (p position) done() bool { return p.table == sweepsNothing }

// from returns the first key of a collection that is not behind; ok is false
// when all of them are.
func (p position) from(c uid.UID) (key []byte, ok bool) {
	if bytes.Compare(p.key, c[:]) <= 0 {
		return c[:], true
	}
	if !bytes.HasPrefix(p.key, c[:]) {
		return nil, false
	}
	return append(bytes.Clone(p.key), 0), true
}
