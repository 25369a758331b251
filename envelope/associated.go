package envelope

import (
	"encoding/binary"
	"sync"

	"strongroom/internal/uid"
)

// Associated data, and the input of every PRF, has one encoding:
//
//	+-----+----+----------+--------------------------------+
//	| tag | 00 | count u8 | count x (length u32be | bytes) |
//	+-----+----+----------+--------------------------------+
//
// It is injective: a tag holds no zero byte, the count says how many parts
// follow and each says how long it is, so two lists of parts never encode the
// same. Uids are 16 bytes, revisions and versions u64be, generations u32be, a
// purpose is one byte, record ids and paths are their text. Each use has a tag
// of its own.
const (
	tagKeyset  = "strongroom/keyset"  // store, integration, purpose, generation
	tagDEK     = "strongroom/dek"     // identity (5 parts), SHA-256 of the header
	tagField   = "strongroom/field"   // identity (5 parts), path
	tagControl = "strongroom/control" // store, kind, id, version
	tagIndex   = "strongroom/index"   // store, integration, collection, path, normalised value
	tagMAC     = "strongroom/mac"     // store, purpose, parts

	tagPseudonym = "strongroom/pseudonym" // store, integration, value
)

// maxParts is how many parts the count byte can tell.
const maxParts = 255

func appendTag(dst []byte, tag string, count int) []byte {
	dst = append(dst, tag...)
	return append(dst, 0, byte(count))
}

func appendPart[T []byte | string](dst []byte, part T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}

func appendUID(dst []byte, u uid.UID) []byte { return appendPart(dst, u[:]) }

func appendUint64(dst []byte, n uint64) []byte {
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, n)
}

// appendIdentity begins the associated data of a wrapped DEK or a field: one
// part is still to come.
func appendIdentity(dst []byte, tag string, id Identity) []byte {
	dst = appendTag(dst, tag, 6)
	dst = appendUID(dst, id.Store)
	dst = appendUID(dst, id.Integration)
	dst = appendUID(dst, id.Collection)
	dst = appendPart(dst, id.Record)
	return appendUint64(dst, id.Revision)
}

func appendKeyset(dst []byte, store, integration uid.UID, p Purpose, generation uint32) []byte {
	dst = appendTag(dst, tagKeyset, 4)
	dst = appendUID(dst, store)
	dst = appendUID(dst, integration)
	dst = appendPart(dst, []byte{byte(p)})
	return appendPart(dst, binary.BigEndian.AppendUint32(nil, generation))
}

func appendControl(dst []byte, store uid.UID, kind, id string, version uint64) []byte {
	dst = appendTag(dst, tagControl, 4)
	dst = appendUID(dst, store)
	dst = appendPart(dst, kind)
	dst = appendPart(dst, id)
	return appendUint64(dst, version)
}

// scratch lends buffers for associated data, which would otherwise be
// allocated once a field. None ever holds a secret.
var scratch = sync.Pool{New: func() any {
	b := make([]byte, 0, 512)
	return &b
}}

func borrow() *[]byte { return scratch.Get().(*[]byte) }

func giveBack(b *[]byte, used []byte) {
	*b = used[:0]
	scratch.Put(b)
}
