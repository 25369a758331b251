package store

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"

	"strongroom/internal/uid"
)

// etag returns the entity tag of what a caller sees of a revision: its number,
// and a hash of what decided which of its fields are seen and how. A
// revision's values never change, so they need not be hashed; the operation that
// wrote it tells it from one of the same number in a namesake, or before a
// restore.
func etag(number uint64, operation uid.UID, sc scope, fields []string, metadata bool) string {
	h := fnv.New64a()
	h.Write(operation[:])
	decision := sc.hash()
	h.Write(decision[:])
	var version [4]byte
	for i := range version {
		version[i] = byte(sc.collection.doc.SchemaVersion >> (8 * i))
	}
	h.Write(version[:])
	if metadata {
		h.Write([]byte{1})
	}
	if sc.permit.purpose && sc.collection.guards != nil {
		h.Write([]byte{2})
	}
	for _, f := range sc.permit.fields {
		h.Write([]byte{3})
		h.Write([]byte(f))
	}
	for _, f := range fields {
		h.Write([]byte{0})
		h.Write([]byte(f))
	}
	b := make([]byte, 0, 40)
	b = append(b, '"')
	b = strconv.AppendUint(b, number, 10)
	b = append(b, '-')
	b = hex.AppendEncode(b, h.Sum(nil))
	b = append(b, '"')
	return string(b)
}
