// Package ledger keeps what a restore must not undo: which records were
// erased, which integrations and keys destroyed, which tokens, secrets and
// clients revoked, and which backups were made. It is an append-only file
// outside of the store's data file: a backup of the store does not hold it, so
// that what was erased after a backup can be erased again when that backup is
// restored.
//
// The file is lines of JSON, one entry each. Every entry names the SHA-256 of
// the line before it and ends with a MAC of its own:
//
//	{"n":2,"prev":HEX,"at":TIME,"kind":"erased",...,"mac":HEX}
//
// An entry of kind "keys" carries the wrapped keysets of the system domain, as
// a backup does. It and the entries after it, up to the next of that kind, are
// MACed under the primary key of those keysets: the file can be verified with
// the key-encryption key alone. Entries before the last of that kind are
// vouched for by the chain of hashes, so that keys can be rotated and destroyed.
// The first entry is of that kind.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/uid"
)

// Kind says what an entry tells.
type Kind string

// The kinds of entries.
const (
	Keys              Kind = "keys"               // the system keysets that entries are MACed under from here on
	Erased            Kind = "erased"             // records of a collection
	CollectionDeleted Kind = "collection-deleted" // with all its records
	Destroyed         Kind = "destroyed"          // an integration with its key-encryption key
	KeyDestroyed      Kind = "key-destroyed"      // a key of a keyset
	Trimmed           Kind = "trimmed"            // versions of a key-encryption key below one
	SecretRevoked     Kind = "secret-revoked"     // a client's secret was deleted
	ClientRevoked     Kind = "client-revoked"     // a client was disabled or deleted
	TokenRevoked      Kind = "token-revoked"      // an access token
	BackupMade        Kind = "backup-made"        // a backup left the store
	BackupVerified    Kind = "backup-verified"    // it was read back where it is kept
	Restored          Kind = "restored"           // the store was made of a backup
	Renewed           Kind = "renewed"            // the ledger before this one is gone, and somebody took the blame
)

var kinds = map[Kind]bool{
	Keys: true, Erased: true, CollectionDeleted: true, Destroyed: true, KeyDestroyed: true, Trimmed: true,
	SecretRevoked: true, ClientRevoked: true, TokenRevoked: true, BackupMade: true, BackupVerified: true,
	Restored: true, Renewed: true,
}

// Entry is one line.
type Entry struct {
	Number    uint64    `json:"n"`    // 1 for the first, and one more for each
	Prev      Hash      `json:"prev"` // of the line before; zeros for the first
	At        time.Time `json:"at"`
	Operation uid.UID   `json:"operation,omitzero"` // of the store and its audit log
	Note
}

// Note is what an entry tells. Which members it has depends on its kind; names
// are for people, and nothing goes by them.
type Note struct {
	Kind        Kind       `json:"kind"`
	Store       uid.UID    `json:"store,omitzero"`
	Keysets     []Keyset   `json:"keysets,omitempty"`
	Integration uid.UID    `json:"integration,omitzero"` // zero of a key: the system domain
	Name        string     `json:"name,omitempty"`
	Collection  uid.UID    `json:"collection,omitzero"`
	Records     []Record   `json:"records,omitempty"`
	Client      uid.UID    `json:"client,omitzero"`
	Secret      string     `json:"secret,omitempty"` // the id of one
	Token       string     `json:"token,omitempty"`  // the id of one
	Expires     *time.Time `json:"expires,omitempty"`
	Version     uint64     `json:"version,omitempty"` // of a client's definition, or the lowest of a key-encryption key that is left
	Purpose     uint8      `json:"purpose,omitempty"`
	Generation  uint32     `json:"generation,omitempty"`
	KeyID       string     `json:"key_id,omitempty"`
	Sequence    uint64     `json:"sequence,omitempty"` // the commit up to which a backup reaches
	SHA256      string     `json:"sha256,omitempty"`
	Created     *time.Time `json:"created,omitempty"` // when a backup was begun
	Reason      string     `json:"reason,omitempty"`
}

// Record is an erased record: all its revisions up to one. A later one is of
// a record that was made anew under the id.
type Record struct {
	ID       string `json:"id"`
	Revision uint64 `json:"revision"`
}

// Keyset is a wrapped keyset of the system domain.
type Keyset struct {
	Purpose    uint8  `json:"purpose"`
	Generation uint32 `json:"generation"`
	State      uint8  `json:"state,omitempty"`
	Blob       []byte `json:"blob"`
}

// Hash is a SHA-256, in hexadecimal digits.
type Hash [sha256.Size]byte

// MarshalText writes hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return errLine
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// MAC computes the MAC of an entry without its mac member.
type MAC func(body []byte) (Hash, error)

var errLine = errors.New("it is not an entry of a ledger")

const macMember = `,"mac":"`

// encode writes a line, without the newline.
func (e *Entry) encode(mac MAC) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	sum, err := mac(body)
	if err != nil {
		return nil, err
	}
	line := append(body[:len(body)-1], macMember...)
	line = hex.AppendEncode(line, sum[:])
	return append(line, '"', '}'), nil
}

// decode reads a line without its newline: the entry, what its MAC covers, and
// the MAC. Only what encode would write is a line.
func decode(line []byte) (e Entry, body []byte, mac Hash, err error) {
	end := len(macMember) + 2*len(mac) + 2
	at := len(line) - end
	if at < 1 || string(line[at:at+len(macMember)]) != macMember || string(line[len(line)-2:]) != `"}` {
		return e, nil, mac, errLine
	}
	if err := mac.UnmarshalText(line[at+len(macMember) : len(line)-2]); err != nil {
		return e, nil, mac, errLine
	}
	body = append(bytes.Clone(line[:at]), '}')
	if json.Unmarshal(body, &e) != nil || !kinds[e.Kind] {
		return Entry{}, nil, mac, errLine
	}
	again, err := e.encode(func([]byte) (Hash, error) { return mac, nil })
	if err != nil || !bytes.Equal(again, line) {
		return Entry{}, nil, mac, errLine
	}
	return e, body, mac, nil
}
