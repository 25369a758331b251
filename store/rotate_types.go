package store

import (
	"fmt"
	"strings"
	"time"

	"strongroom/internal/uid"
)

// KeyDomain is what has keys of its own: an integration or, with the zero value,
// the system domain.
type KeyDomain struct {
	Integration string  `json:"integration,omitempty"`
	UID         uid.UID `json:"uid"`
}

// System reports whether this is the system domain.
func (d KeyDomain) System() bool { return d.UID.IsZero() }

// String names the domain for people.
func (d KeyDomain) String() string {
	if d.System() {
		return "the system domain"
	}
	return "integration " + d.Integration
}

// DomainKeys is the inventory of a domain's keys.
type DomainKeys struct {
	KeyDomain
	KEK  KEKState   `json:"kek"`
	Keys []KeyState `json:"keys"` // by purpose, the newest first; destroyed ones too
}

// KEKState describes a key-encryption key. What the key service could not be
// asked about is left out, and Unknown says why.
type KEKState struct {
	Name      string       `json:"name"`
	Latest    int          `json:"latest,omitempty"`    // the version that wraps
	Minimum   int          `json:"minimum,omitempty"`   // the lowest version that unwraps
	Available int          `json:"available,omitempty"` // the lowest version that was not trimmed
	Versions  []KEKVersion `json:"versions,omitempty"`
	Unknown   string       `json:"unknown,omitempty"`
}

// KEKVersion is a version of a key-encryption key that was not trimmed.
type KEKVersion struct {
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Keysets   int       `json:"keysets"` // of this domain that are wrapped under it
}

// KeyDestroyed is the state, in the inventory, of a key whose keyset was
// removed. The others are those of envelope.KeyState.
const KeyDestroyed = "destroyed"

// KeyState describes one key of a keyset. Times are zero for what has not
// happened, or happened before such times were kept.
type KeyState struct {
	Purpose     string    `json:"purpose"`
	Generation  uint32    `json:"generation"`
	KeyID       string    `json:"key_id"` // 8 hexadecimal digits
	State       string    `json:"state"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	PromotedAt  time.Time `json:"promoted_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"` // when it stopped being the primary
	DisabledAt  time.Time `json:"disabled_at,omitzero"`
	DestroyedAt time.Time `json:"destroyed_at,omitzero"`
	KEKVersion  int       `json:"kek_version,omitempty"` // that its keyset is wrapped under
	Values      uint64    `json:"values"`                // under it; of an index key the records with tokens
}

// SweepOptions say what a sweep does. Without any it rewraps: every wrapped DEK
// that is not under the primary key comes under it.
type SweepOptions struct {
	Reseal  bool   // the fields are sealed anew too, under a fresh DEK
	Reindex bool   // the tokens of records are made anew under the primary index key
	From    Cursor // where an earlier sweep with the same options has come to
}

// Cursor is how far a sweep has come. It is opaque, text, and empty at the
// beginning.
type Cursor string

// Budget bounds one step of a sweep. Zero members mean the defaults.
type Budget struct {
	Entries int           // values written in one transaction; default 5,000
	Lock    time.Duration // the write lock is meant to be held no longer; default: unbounded
	Workers int           // goroutines that rewrap; default: as many as there are CPUs
}

// SweepDelta is what one step of a sweep did. Values that were changed or
// erased since they were read count as stale: whoever did that has left them
// right.
type SweepDelta struct {
	Scanned   uint64        `json:"scanned"`   // values looked at
	Rewrapped uint64        `json:"rewrapped"` // wrapped DEKs or control-plane values brought under the primary key
	Resealed  uint64        `json:"resealed"`  // revisions sealed anew
	Reindexed uint64        `json:"reindexed"` // records whose tokens were made anew
	Stale     uint64        `json:"stale"`
	Damaged   uint64        `json:"damaged"` // values that do not open, and stay as they are
	Bytes     uint64        `json:"bytes"`   // written
	Held      time.Duration `json:"held"`    // time in the write lock, with the commit
	Took      time.Duration `json:"took"`    // time of the whole step
	Cursor    Cursor        `json:"cursor"`
	Done      bool          `json:"done"`
}

// Scan is what a verifying scan has found.
type Scan struct {
	Values  uint64   `json:"values"`          // looked at
	Opened  uint64   `json:"opened"`          // of those, opened under a key that is kept
	Left    uint64   `json:"left"`            // under the old keys
	Damaged uint64   `json:"damaged"`         // under another key, and they do not open
	Counted uint64   `json:"counted"`         // under the old keys, as the counters say
	Named   []string `json:"named,omitempty"` // some of those that are left or damaged: kinds, names and ids
}

// LeftBehind comes from VerifyKeysets when values are left under the old keys,
// or do not open. It is an ErrConflict: the old keys must stay for now.
type LeftBehind struct {
	Domain KeyDomain
	Scan   Scan
	Detail string // why the scan could not see everything, if so
}

// Error says what is left, and names some of it.
func (e *LeftBehind) Error() string {
	var parts []string
	if e.Scan.Left > 0 {
		parts = append(parts, fmt.Sprintf("%d values are still under the old keys", e.Scan.Left))
	}
	if e.Scan.Damaged > 0 {
		parts = append(parts, fmt.Sprintf("%d values do not open", e.Scan.Damaged))
	}
	if e.Scan.Counted > 0 && e.Scan.Left == 0 {
		parts = append(parts, fmt.Sprintf("the counters say that %d values are under the old keys and the scan found none: run fsck", e.Scan.Counted))
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	text := e.Domain.String() + ": " + strings.Join(parts, "; ")
	if len(e.Scan.Named) > 0 {
		text += ": " + strings.Join(e.Scan.Named, ", ")
	}
	return text
}

// Is makes it an ErrConflict.
func (e *LeftBehind) Is(target error) bool { return target == ErrConflict }

// CoveredRecord is something that a key has covered: a record or, of a key of
// the system domain, a control-plane value.
type CoveredRecord struct {
	Integration string    `json:"integration,omitempty"`
	Collection  string    `json:"collection,omitempty"`
	Record      string    `json:"record,omitempty"`
	Revisions   int       `json:"revisions,omitempty"` // so many of it
	CreatedAt   time.Time `json:"created_at,omitzero"` // of the earliest of them
	Control     string    `json:"control,omitempty"`   // kind/id
	Under       bool      `json:"under"`               // a value of it is under the key now
}

// Load is what the requests of clients looked like over the last second or two.
type Load struct {
	Rate     float64       // ended, a second
	P99      time.Duration // of those; zero when there were none
	InFlight int64         // under way now
}

// ErrNoBackup comes when versions of a key are to be trimmed and no verified
// backup exists that does without them.
var ErrNoBackup = fmt.Errorf("%w: trimming would end every backup made so far: make one, and verify it, first", ErrConflict)
