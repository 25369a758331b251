package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// The kinds of control-plane values. A value is sealed in the system domain
// with its kind, id and version as associated data: moved to another place,
// or put there by somebody who can write the disk, it does not open.
const (
	kindSettings    = "settings"    // id: "store"
	kindIntegration = "integration" // id: name
	kindCollection  = "collection"  // id: integration uid "/" name
	kindRole        = "role"        // id: name
	kindClient      = "client"      // id: name
	kindSecret      = "secret"      // id: client uid "/" secret id
	kindSigningKey  = "signing-key" // id: key id
	kindIssuer      = "issuer"      // id: name
	kindUse         = "secret-use"  // id: that of the secret
	kindEnded       = "ended-token" // id: token id, or "jti:" owner uid ":" hash of the id that the owner gave it
	kindLimit       = "limit"       // id: name
	kindLimitCounts = "limit-count" // id: a limit's name; what it has counted
	kindPurge       = "purge"       // id: collection uid, whose values are being removed
	kindGovernance  = "governance"  // id: "two-person"
	kindChange      = "change"      // id: change id
	kindApproval    = "approval"    // id: approval id
	kindBreakGlass  = "break-glass" // id: "last"
	kindAttestKey   = "attest-key"  // id: key hash
	kindLedger      = "ledger"      // id: "mark"
	kindBackup      = "backup"      // id: "verified"
	// and kindKeys, and the kinds of rows: see RowKind
)

// controlValue is a value of the Control table.
//
// Layout:
//
//	01 | u64 version | sealed JSON document
type controlValue struct {
	version uint64
	sealed  []byte
}

const controlFormat = 1

func (v *controlValue) encode() []byte {
	b := make([]byte, 0, 9+len(v.sealed))
	b = append(b, controlFormat)
	b = binary.BigEndian.AppendUint64(b, v.version)
	return append(b, v.sealed...)
}

func decodeControlValue(b []byte) (controlValue, error) {
	r := reader{b: b}
	if r.u8() != controlFormat {
		return controlValue{}, errLayout
	}
	v := controlValue{version: r.u64()}
	v.sealed = r.take(len(r.b))
	if r.bad || len(v.sealed) == 0 {
		return controlValue{}, errLayout
	}
	return v, nil
}

// controlWrite is one change of the Control table: a document, or none for a
// delete, at the version that it replaces (0: there is none).
type controlWrite struct {
	kind, id string
	replaces uint64
	doc      any
	value    []byte // encoded and sealed; made by sealControl
	sealedBy uint32 // the generation of the system key that sealed it
}

// sealControl seals the documents of writes, outside of any transaction.
func (s *Store) sealControl(ctx context.Context, writes []controlWrite) error {
	system, err := s.domains.System(ctx)
	if err != nil {
		return keyError(err)
	}
	return sealUnder(system, writes)
}

// updateSealed runs a transaction that applies writes which sealControl has
// sealed, and remembers what idem claimed, which may be nil. When the keys of the
// system have changed since, nothing was written: the writes are sealed again,
// and the transaction is run once more.
func (s *Store) updateSealed(ctx context.Context, class kv.Class, writes []controlWrite, idem *claim, fn func(tx kv.Tx) error) error {
	first := true
	return s.withSystem(ctx, func() error {
		if !first {
			if err := errors.Join(s.sealControl(ctx, writes), idem.renew(ctx)); err != nil {
				return err
			}
		}
		first = false
		return s.engine.Update(ctx, class, sizeOf(writes), func(tx kv.Tx) error {
			if err := idem.stands(tx); err != nil {
				return err
			}
			return fn(tx)
		})
	})
}

// withSystem runs fn, and again with the keys of the system as they are now each
// time that it finds those that it had stale. Nobody changes them that often:
// when they never fit, what the tables say of them is damaged.
func (s *Store) withSystem(ctx context.Context, fn func() error) error {
	for try := 0; ; try++ {
		err := fn()
		if !errors.Is(err, errStaleSystem) {
			return err
		}
		if try >= totalTries {
			return fmt.Errorf("%w: the keys of the system are not those that are said to be in force", ErrIntegrity)
		}
		s.stats.stale.Add(1)
		if err := s.domains.Restate(ctx, uid.Zero); err != nil {
			return keyError(err)
		}
	}
}

// systemGeneration returns which keys of the system are in force, the zero
// generation when that cannot be read.
func systemGeneration(tx kv.ReadTx) generation {
	g, err := decodeGeneration(tx.Get(kv.Generations, uid.Zero[:]))
	if err != nil {
		return generation{}
	}
	return g
}

// systemCurrent reports whether the opened system domain has the keys that are
// in force.
func systemCurrent(tx kv.ReadTx, system *envelope.System) bool {
	g := systemGeneration(tx)
	sealing, mac := system.Generation()
	return g.wrapping == sealing && g.index == mac && covers(system.MACGenerations(), g)
}

// covers reports whether all generations are opened under which tokens or MACs
// may stand.
func covers(opened []uint32, g generation) bool {
	for _, n := range g.openIndexes() {
		if !slices.Contains(opened, n) {
			return false
		}
	}
	return true
}

// applyControl checks that nothing changed under the writes and that they are
// sealed under the key that is in force, then applies them.
func applyControl(tx kv.Tx, writes []controlWrite) error {
	sealing := systemGeneration(tx).wrapping
	for i := range writes {
		w := &writes[i]
		if version(tx.Get(kv.Control, controlKey(w.kind, w.id))) != w.replaces {
			return errStale
		}
		if w.value != nil && w.sealedBy != sealing {
			return errStaleSystem
		}
	}
	putControl(tx, writes)
	return nil
}

// putControl writes control values, or deletes those without one.
func putControl(tx kv.Tx, writes []controlWrite) {
	var t keyTally
	for i := range writes {
		w := &writes[i]
		key := controlKey(w.kind, w.id)
		t.control(tx.Get(kv.Control, key), -1)
		t.control(w.value, 1)
		if w.value != nil {
			tx.Put(kv.Control, key, w.value)
		} else {
			tx.Delete(kv.Control, key)
		}
	}
	t.add(tx, uid.Zero)
}

// dropControl deletes control values, whatever their versions are.
func dropControl(tx kv.Tx, keys ...[]byte) {
	var t keyTally
	for _, key := range keys {
		t.control(tx.Get(kv.Control, key), -1)
		tx.Delete(kv.Control, key)
	}
	t.add(tx, uid.Zero)
}

// version returns the version of a stored control value, 0 when there is none.
func version(b []byte) uint64 {
	if len(b) < 9 {
		return 0
	}
	return binary.BigEndian.Uint64(b[1:9])
}

// errStale comes inside when what a write was made from has changed.
var errStale = errors.New("store: stale")

// errStaleKeys is an errStale: a domain was opened with other keys than those of
// its integration that are in force.
var errStaleKeys = fmt.Errorf("%w: the keys of the integration", errStale)

// errStaleSystem is an errStale: what a write was sealed or computed under is
// not what the system domain has in force any more.
var errStaleSystem = fmt.Errorf("%w: the keys of the system", errStale)

// operationEntry is a value of the Operations table: what an operation did
// that left no header of its own behind. With it, the audit log and the store
// can be reconciled.
//
// Layout:
//
//	01 | action | 00 | what
//	02 | action | 00 | what | 00 | JSON array of notes
//
// The notes are those that the ledger of erasures gets after the commit: when
// the process ends before, they are found here.
func (op *operation) put(tx kv.Tx, what string) {
	b := make([]byte, 0, 2+len(op.entry.Action)+len(what))
	b = append(b, 1)
	b = append(b, op.entry.Action...)
	b = append(b, 0)
	b = append(b, what...)
	if len(op.notes) > 0 {
		b[0] = 2
		b = append(append(b, 0), encodeNotes(op.notes)...)
	}
	tx.Put(kv.Operations, bytes.Clone(op.id[:]), b)
}

// openControl opens every value of a kind and hands its document to load.
// One that does not open is handed to damaged, and the rest goes on.
func openControl[T any](system *envelope.System, tx kv.ReadTx, kind string, load func(id string, version uint64, doc T), damaged func(id string, err error)) {
	prefix := controlKey(kind, "")
	tx.Scan(kv.Control, prefix, after(prefix), func(key, value []byte) bool {
		id := string(key[len(prefix):])
		doc, v, err := openControlValue[T](system, kind, id, value)
		if err != nil {
			damaged(id, err)
		} else {
			load(id, v, doc)
		}
		return true
	})
}

func openControlValue[T any](system *envelope.System, kind, id string, value []byte) (doc T, version uint64, err error) {
	v, err := decodeControlValue(value)
	if err != nil {
		return doc, 0, err
	}
	plain, err := system.Open(kind, id, v.version, v.sealed)
	if err != nil {
		return doc, 0, err
	}
	if err := json.Unmarshal(plain, &doc); err != nil {
		return doc, 0, fmt.Errorf("%w: %s %s", errLayout, kind, id)
	}
	return doc, v.version, nil
}

// The documents. They are sealed as a whole.

type settingsDoc struct {
	Dev       bool      `json:"dev"`
	CreatedAt time.Time `json:"created_at"`
	// Governed says that there is a governance value: whoever can write the
	// disk must not switch two persons off by deleting it.
	Governed bool `json:"governed,omitempty"`
}

type integrationDoc struct {
	UID         uid.UID    `json:"uid"`
	Description string     `json:"description,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DestroyAt   *time.Time `json:"destroy_at,omitempty"`
}

type collectionDoc struct {
	UID           uid.UID          `json:"uid"`
	Spec          CollectionSpec   `json:"spec"`
	Schema        json.RawMessage  `json:"schema"` // the spec's, or its preset's at the time
	SchemaVersion uint32           `json:"schema_version"`
	Retired       []retiredField   `json:"retired,omitempty"`
	Backfill      *backfillPending `json:"backfill,omitempty"`
	CreatedAt     time.Time        `json:"created_at"`
	UpdatedAt     time.Time        `json:"updated_at"`
}

// retiredField is a field that an earlier schema declared and the current one
// does not: values of it may be kept, and stay as guarded as they were.
type retiredField struct {
	Path string `json:"path"`
	Mask string `json:"mask,omitempty"`
	High bool   `json:"high,omitempty"`

	Approval bool `json:"approval,omitempty"`
	Purpose  bool `json:"purpose,omitempty"`
}

// backfillPending names the indexed fields whose index is not complete.
type backfillPending struct {
	Fields  []string `json:"fields"`
	Problem string   `json:"problem,omitempty"`
}

type roleDoc struct {
	Raw       json.RawMessage `json:"raw"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

type clientDoc struct {
	UID      uid.UID           `json:"uid"`
	Roles    []string          `json:"roles"`
	Labels   map[string]string `json:"labels,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	ClientAuth
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Makers    []uid.UID `json:"makers,omitempty"` // who made it, or can act as it by another's leave; see kinship
}

type secretDoc struct {
	Hash      []byte     `json:"hash"` // SHA-256 of the secret, which has 256 random bits
	CreatedAt time.Time  `json:"created_at"`
	Makers    []uid.UID  `json:"makers,omitempty"` // who has seen it
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

type signingKeyDoc struct {
	Seed      []byte     `json:"seed"`
	CreatedAt time.Time  `json:"created_at"`
	SignsFrom *time.Time `json:"signs_from,omitempty"` // absent: created_at
}

type purgeDoc struct {
	Collection  string    `json:"collection"` // integration "/" name, for people
	Integration uid.UID   `json:"integration"`
	CreatedAt   time.Time `json:"created_at"`
}
