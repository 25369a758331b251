package store

import (
	"bytes"
	"encoding/binary"
	"time"

	"strongroom/internal/uid"
)

// Keys of the tables. C is the 16-byte uid of a collection, I of an
// integration; ids and label texts hold no zero byte, so that one ends them.
// Numbers are big-endian: keys sort as what they stand for.
//
//	Records      C | id
//	Revisions    C | id | 00 | u64 revision
//	DEKs         C | id | 00 | u64 revision
//	Tokens       C | id
//	Index        C | u16 len, path | u32 index generation | token | id
//	Labels       C | key | 00 | value | 00 | id
//	Changes      C | u64 commit sequence number
//	Expiry       u64 unix microseconds | u8 kind | what the kind needs
//	Idempotency  32-byte keyed MAC of client, collection (or client it is about), route and key
//	Counters     C | name; of the system domain, 16 zero bytes | name
//	Keysets      I | u8 purpose | u32 generation; of the system domain, 16 zero bytes | ...
//	Generations  I; of the system domain, 16 zero bytes
//	Control      kind | 00 | id
//	Operations   16-byte operation id
//	Meta         name

func recordKey(c uid.UID, id string) []byte {
	k := make([]byte, 0, len(c)+len(id))
	k = append(k, c[:]...)
	return append(k, id...)
}

// revisionsPrefix begins the keys of all revisions of a record.
func revisionsPrefix(c uid.UID, id string) []byte {
	k := make([]byte, 0, len(c)+len(id)+1+8)
	k = append(k, c[:]...)
	k = append(k, id...)
	return append(k, 0)
}

func revisionKey(c uid.UID, id string, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(revisionsPrefix(c, id), revision)
}

// revisionOfKey returns the last member of a revision's key, 0 for what is not
// the key of one of the record that prefix is of.
func revisionOfKey(key, prefix []byte) uint64 {
	if len(key) != len(prefix)+8 {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(prefix):])
}

// splitRevisionKey takes a revision's key apart; ok is false for what is not
// the key of one.
func splitRevisionKey(key []byte) (c uid.UID, id string, revision uint64, ok bool) {
	if len(key) < len(c)+1+1+8 || key[len(key)-9] != 0 {
		return c, "", 0, false
	}
	copy(c[:], key)
	return c, string(key[len(c) : len(key)-9]), binary.BigEndian.Uint64(key[len(key)-8:]), true
}

func indexPrefix(c uid.UID, path string, generation uint32, token []byte) []byte {
	k := make([]byte, 0, len(c)+2+len(path)+4+len(token)+40)
	k = append(k, c[:]...)
	k = binary.BigEndian.AppendUint16(k, uint16(len(path)))
	k = append(k, path...)
	k = binary.BigEndian.AppendUint32(k, generation)
	return append(k, token...)
}

func indexKey(c uid.UID, path string, generation uint32, token []byte, id string) []byte {
	return append(indexPrefix(c, path, generation, token), id...)
}

func labelPrefix(c uid.UID, key, value string) []byte {
	k := make([]byte, 0, len(c)+len(key)+len(value)+2+40)
	k = append(k, c[:]...)
	k = append(k, key...)
	k = append(k, 0)
	k = append(k, value...)
	return append(k, 0)
}

func labelKey(c uid.UID, key, value, id string) []byte {
	return append(labelPrefix(c, key, value), id...)
}

func changeKey(c uid.UID, sequence uint64) []byte {
	k := make([]byte, 0, len(c)+8)
	k = append(k, c[:]...)
	return binary.BigEndian.AppendUint64(k, sequence)
}

// What falls due at an entry of the Expiry table.
const (
	expiryRevision    = 1 // C | id | 00 | u64 revision: the revision's erase_at
	expiryPurge       = 2 // C | id: the purge time of a deleted record
	expiryIdempotency = 3 // the key in the Idempotency table
)

func expiryKey(at time.Time, kind byte, what []byte) []byte {
	k := make([]byte, 0, 9+len(what))
	k = binary.BigEndian.AppendUint64(k, uint64(at.UnixMicro()))
	k = append(k, kind)
	return append(k, what...)
}

func counterKey(c uid.UID, name string) []byte {
	k := make([]byte, 0, len(c)+len(name))
	k = append(k, c[:]...)
	return append(k, name...)
}

func controlKey(kind, id string) []byte {
	k := make([]byte, 0, len(kind)+1+len(id))
	k = append(k, kind...)
	k = append(k, 0)
	return append(k, id...)
}

// after returns the smallest key that is greater than every key that begins
// with prefix; nil when there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
