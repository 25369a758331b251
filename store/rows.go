package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// RowKind is a kind of what others keep in the control plane: jobs and
// schedules. The store seals a row as it does every control-plane value, and
// does not read its document.
type RowKind string

// The kinds of rows.
const (
	RowRotation    RowKind = "rotation"      // a rotation
	RowPart        RowKind = "rotation-part" // what a rotation does to one key domain
	RowSchedule    RowKind = "schedule"      // when rotations are due
	RowScheduleRun RowKind = "schedule-run"  // which of them were begun
	RowErasure     RowKind = "erasure"       // an erasure
)

var rowKinds = []RowKind{RowRotation, RowPart, RowSchedule, RowScheduleRun, RowErasure}

// Row is a document under a kind and an id. Version is the one that is stored
// where a row was read, and the one that it replaces where it is written: 0 for
// a new one. A row without a document deletes.
type Row struct {
	Kind    RowKind
	ID      string
	Version uint64
	Doc     json.RawMessage
}

// maxRowID bounds the ids of rows, in bytes.
const maxRowID = 128

// Rows returns the rows of a kind by id. Rows that do not open are left out,
// and the error, an ErrIntegrity, names the first of them: the others are good.
func (s *Store) Rows(ctx context.Context, kind RowKind) (rows []Row, err error) {
	var broken []error
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, final bool) error {
		rows, broken = nil, nil
		unknown := false
		openControl(system, tx, string(kind), func(id string, version uint64, doc json.RawMessage) {
			rows = append(rows, Row{kind, id, version, doc})
		}, func(id string, err error) {
			unknown = unknown || errors.Is(err, envelope.ErrUnknownKey)
			broken = append(broken, fmt.Errorf("%s %s: %w", kind, id, keyError(err)))
		})
		if unknown && !final {
			return errUnknownKey
		}
		return nil
	})
	if err == nil && len(broken) > 0 {
		err = broken[0]
	}
	return rows, err
}

// PutRows writes rows in one transaction, each in place of the version that it
// names: ErrConflict when one is not as it was read. It takes the right to
// operate keys.
func (s *Store) PutRows(ctx context.Context, c Caller, action string, rows ...Row) (err error) {
	op := s.start(c, access.Action(action), target{control: rowTarget(rows)})
	defer func() { err = op.end(err) }()
	if err := authoriseKeys(c); err != nil {
		return err
	}
	op.entry.Count = uint64(len(rows))
	writes, err := rowWrites(rows)
	if err != nil {
		return err
	}
	if err := op.intent(); err != nil {
		return err
	}
	if writes, err = s.unstored(ctx, writes); err != nil || len(writes) == 0 {
		return err
	}
	return engineError(s.updateControl(ctx, op, writes, func(kv.ReadTx) error { return nil }, func(kv.Tx) {}))
}

// unstored returns the writes that are not stored yet. One that is stored, with
// just this document at just the version that it would get, was stored by an
// earlier call that did not learn of it.
func (s *Store) unstored(ctx context.Context, writes []controlWrite) (todo []controlWrite, err error) {
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, _ bool) error {
		todo = nil
		for _, w := range writes {
			done, err := isStored(tx, system, &w)
			if err != nil {
				return err
			}
			if !done {
				todo = append(todo, w)
			}
		}
		return nil
	})
	return todo, err
}

func isStored(tx kv.ReadTx, system *envelope.System, w *controlWrite) (bool, error) {
	raw := tx.Get(kv.Control, controlKey(w.kind, w.id))
	if w.doc == nil {
		return raw == nil && w.replaces > 0, nil
	}
	if version(raw) != w.replaces+1 {
		return false, nil
	}
	stored, _, err := openControlValue[json.RawMessage](system, w.kind, w.id, raw)
	if err != nil {
		return false, openError(err)
	}
	plain, err := json.Marshal(w.doc)
	return bytes.Equal(stored, plain), err
}

func rowTarget(rows []Row) string {
	if len(rows) == 0 {
		return ""
	}
	return string(rows[0].Kind) + "/" + rows[0].ID
}

// rowWrites makes control writes of rows.
func rowWrites(rows []Row) ([]controlWrite, error) {
	writes := make([]controlWrite, len(rows))
	for i, row := range rows {
		if err := row.check(); err != nil {
			return nil, err
		}
		writes[i] = controlWrite{kind: string(row.Kind), id: row.ID, replaces: row.Version}
		if row.Doc != nil {
			writes[i].doc = row.Doc
		}
	}
	return writes, nil
}

// check refuses what could not be told from another row, or read back.
func (r *Row) check() error {
	known := false
	for _, k := range rowKinds {
		known = known || k == r.Kind
	}
	if !known {
		return fmt.Errorf("store: there is no kind of row %q", string(r.Kind))
	}
	if len(r.ID) == 0 || len(r.ID) > maxRowID || loggable(r.ID) == "" {
		return fmt.Errorf("store: the id of a row of kind %s: want 1 to %d letters, digits, - and _", r.Kind, maxRowID)
	}
	if r.Doc != nil && !json.Valid(r.Doc) {
		return fmt.Errorf("store: the document of %s %s is not JSON", r.Kind, r.ID)
	}
	return nil
}

// updateControl writes control values, and what else belongs into the same
// transaction, for an operation whose intent is written. What check refuses is
// not written. A value that is not at the version that it is to replace is a
// Conflict that names it.
func (s *Store) updateControl(ctx context.Context, op *operation, writes []controlWrite, check func(tx kv.ReadTx) error, also func(tx kv.Tx)) error {
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	return s.updateSealed(ctx, kv.Interactive, writes, nil, func(tx kv.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		if err := standsBefore(tx, writes); err != nil {
			return err
		}
		if err := applyControl(tx, writes); err != nil {
			return err
		}
		also(tx)
		op.put(tx, op.entry.Target)
		return nil
	})
}

// standsBefore refuses writes over what somebody else has written meanwhile.
func standsBefore(tx kv.ReadTx, writes []controlWrite) error {
	for i := range writes {
		w := &writes[i]
		if on := version(tx.Get(kv.Control, controlKey(w.kind, w.id))); on != w.replaces {
			return &Conflict{Detail: w.kind + " " + w.id + " was changed meanwhile: version " +
				strconv.FormatUint(on, 10) + " is stored, not " + strconv.FormatUint(w.replaces, 10)}
		}
	}
	return nil
}

// viewSystem runs fn in a read transaction with the opened system domain. When
// fn meets a key that it does not know (errUnknownKey), the domain is refreshed
// and fn runs once more, with final set: what is unknown then is damage.
func (s *Store) viewSystem(ctx context.Context, fn func(tx kv.ReadTx, system *envelope.System, final bool) error) error {
	for try := 0; ; try++ {
		system, err := s.domains.System(ctx)
		if err != nil {
			return keyError(err)
		}
		err = s.engine.View(ctx, func(tx kv.ReadTx) error { return fn(tx, system, try > 0) })
		if try > 0 || !errors.Is(err, errUnknownKey) {
			return engineError(err)
		}
		if err := s.domains.Restate(ctx, uid.Zero); err != nil {
			return keyError(err)
		}
	}
}

// internalPolicy marks the callers of Internal: it is one value, and grants
// nothing by itself.
var internalPolicy = access.NewPolicy(nil, nil, false)

// Internal is the caller of what the program does by itself, after whoever
// asked for it was authorised: the steps of a rotation that runs. In the audit
// log it stands as strongroom/name, which no client can be called.
func Internal(name string) Caller {
	return &access.Principal{Client: "strongroom/" + name, Policy: internalPolicy}
}

// isInternal reports whether a caller came from Internal.
func isInternal(c Caller) bool { return c.Policy == internalPolicy }

// authoriseKeys judges an act on keys, and on the rows of those who do them.
func authoriseKeys(c Caller) error {
	if isInternal(c) {
		return nil
	}
	return authoriseControl(c, access.OperateKeys)
}
