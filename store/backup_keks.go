package store

import (
	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// noteKeyset remembers under which version of its KEK a keyset is that went into
// the backup; of one that came more than once, or was taken back, what was last.
func (b *backup) noteKeyset(e kv.Entry) {
	if e.Deleted {
		delete(b.versions, string(e.Key))
		return
	}
	b.versions[string(e.Key)] = b.versionOf(envelope.WrappedKeyset{Blob: e.Value})
}

// versionOf returns the version of the KEK that a keyset is under; 0, which no
// trim leaves readable, when it does not tell.
func (b *backup) versionOf(k envelope.WrappedKeyset) int {
	v, err := k.KEKVersion(b.s.keys)
	if err != nil {
		return 0
	}
	return v
}

// keks returns, for each key domain, the oldest version of its KEK that the
// backup needs. The system's keysets stand at its head too, as they were when
// it was begun.
func (b *backup) keks() map[uid.UID]int {
	oldest := map[uid.UID]int{}
	for key, v := range b.versions {
		var domain uid.UID
		copy(domain[:], key)
		older(oldest, domain, v)
	}
	for _, k := range b.keysets {
		older(oldest, uid.Zero, b.versionOf(k))
	}
	return oldest
}

func older(oldest map[uid.UID]int, domain uid.UID, v int) {
	if was, known := oldest[domain]; !known || v < was {
		oldest[domain] = v
	}
}
