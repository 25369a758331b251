package store

import (
	"errors"
	"fmt"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/ledger"
	"strongroom/internal/limits"
	"strongroom/internal/uid"
)

// operation is one call of a method: who does what, and what became of it.
// begin authorises; intent is written before a mutation, and end writes how it
// ended. A method that began one always ends it.
type operation struct {
	s       *Store
	caller  Caller
	id      uid.UID // of a mutation: stored in the same transaction
	start   time.Time
	entry   audit.Entry
	intends bool
	counted bool          // under way in the store's foreground
	notes   []ledger.Note // what the ledger of erasures is to hold once this is stored
}

// target is what an operation is about.
type target struct {
	integration, collection, record string
	control                         string // "kind/name" for the control plane
}

// start makes the operation of a call. Every method goes through here and
// through one of the authorise functions before it acts.
func (s *Store) start(c Caller, action access.Action, t target) *operation {
	op := &operation{s: s, caller: c, start: s.now()}
	op.entry = audit.Entry{
		Time: op.start, Phase: audit.Access,
		Client: c.Client, ClientUID: c.ClientUID, TokenID: c.TokenID, SecretID: c.SecretID,
		Binding: c.Binding, Thumbprint: c.Thumbprint,
		Address: c.Address, RequestID: c.RequestID, TraceParent: c.TraceParent,
		Action: string(action), Integration: loggable(t.integration), Collection: loggable(t.collection),
		Record: loggable(t.record), Target: loggable(t.control),
	}
	if ValidPurpose(c.Purpose) {
		op.entry.Purpose = c.Purpose
	}
	if op.counted = isForeground(c, action, t); op.counted {
		s.foreground.begin()
	}
	return op
}

// isForeground reports whether somebody waits for the operation: a client, for
// records, and not for so many that minutes are nothing.
func isForeground(c Caller, action access.Action, t target) bool {
	return t.collection != "" && t.control == "" && action != access.ActionImport && action != access.ActionExport && !byItself(c)
}

// byItself reports whether the caller is the program.
func byItself(c Caller) bool { return c.Policy == nil || isInternal(c) }

// loggable keeps what is no name and no id, and could be anything, out of the
// audit log. A target is a kind and names with slashes between.
func loggable(text string) string {
	if len(text) > 3*maxRecordID {
		return ""
	}
	for i := range len(text) {
		if c := text[i]; !idCharacter(c) && c != '/' {
			return ""
		}
	}
	return text
}

// end writes the outcome and returns the error that the caller gets: err, or
// ErrAuditUnavailable when the outcome of a read cannot be written. The
// outcome of a mutation that was stored is reported whatever the log says:
// its intent is there, and its operation id in the store.
func (op *operation) end(err error) error {
	if op.intends {
		op.entry.Phase = audit.Outcome
	}
	err = op.s.keepNotes(op, err)
	now := op.s.now()
	op.entry.Duration = now.Sub(op.start)
	op.entry.Outcome, op.entry.Code = outcome(err)
	op.count(err)
	if op.counted {
		op.counted = false
		op.s.foreground.end(now, op.entry.Duration)
	}
	op.entry.Time = now
	werr := op.s.audit.Write(&op.entry)
	if werr == nil || err != nil {
		return err
	}
	if op.intends {
		op.s.logger.Error("the outcome of a mutation could not be audited; its intent is", "operation", op.id, "error", werr)
		return nil
	}
	return fmt.Errorf("%w: %w", ErrAuditUnavailable, werr)
}

func (op *operation) count(err error) {
	switch {
	case errors.Is(err, ErrIntegrity):
		op.s.stats.integrity.Add(1)
		op.s.logger.Error("a stored value failed its integrity check", "integration", op.entry.Integration,
			"collection", op.entry.Collection, "record", op.entry.Record, "target", op.entry.Target, "error", err)
	case op.entry.Outcome == audit.Denied:
		op.s.stats.denials.Add(1)
	}
}

// intent writes that a mutation is about to be tried. What cannot be audited
// is not done.
func (op *operation) intent() error {
	op.identify()
	op.entry.Phase = audit.Intent
	err := op.s.audit.Write(&op.entry)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuditUnavailable, err)
	}
	op.intends = true
	return nil
}

// identify gives the operation of a mutation its id.
func (op *operation) identify() {
	if op.id.IsZero() {
		op.id = newOperationID(op.start)
		op.entry.Operation = op.id.String()
	}
}

// newOperationID makes a uid whose first 48 bits are the time in unix
// milliseconds: operations sort by time, as UUIDv7 does (RFC 9562).
func newOperationID(now time.Time) uid.UID {
	u := uid.New()
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	return u
}

// outcome classifies an error for the audit log.
func outcome(err error) (audit.Result, string) {
	switch {
	case err == nil:
		return audit.Allowed, ""
	case errors.As(err, new(*ChangePending)):
		return audit.Allowed, Code(err)
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrUnauthenticated), errors.Is(err, errHidden), isExhausted(err):
		return audit.Denied, Code(err)
	}
	return audit.Failed, Code(err)
}

// codes is the one table from error to the code that the API, the audit log
// and the clients know it by. The first that matches counts.
var codes = []struct {
	err  error
	code string
}{
	{ErrUnauthenticated, "unauthenticated"},
	{ErrSelfEdit, "self_edit"},
	{ErrSameHand, "same_hand"},
	{ErrApprovalRequired, "approval_required"},
	{ErrLastAdministrator, "last_administrator"},
	{ErrForbidden, "forbidden"},
	{ErrNotFound, "not_found"},
	{ErrExists, "already_exists"},
	{ErrPrecondition, "precondition_failed"},
	{ErrUniqueConflict, "unique_conflict"},
	{ErrConflict, "conflict"},
	{ErrIntegrity, "integrity"},
	{ErrKeyServiceUnavailable, "key_service_unavailable"},
	{ErrRemoteKeys, "remote_keys_unavailable"},
	{ErrKeyRefused, "key_refused"},
	{ErrDisabled, "integration_deleted"},
	{ErrIdempotencyMismatch, "idempotency_mismatch"},
	{ErrIdempotencyInFlight, "idempotency_in_flight"},
	{ErrAuditUnavailable, "audit_unavailable"},
	{ErrNotPersisted, "not_persisted"},
	{ErrOutcomeUnknown, "outcome_unknown"},
	{ErrCursor, "invalid_cursor"},
	{ErrBusy, "busy"},
	{ErrLedgerUnavailable, "ledger_unavailable"},
	{limits.ErrExposure, "exposure_exhausted"},
}

// Code returns the code of an error; "internal" for one that no caller should
// ever cause.
func Code(err error) string {
	var bad *Invalid
	var replayed *SecretReplayed
	var pending *ChangePending
	switch {
	case errors.As(err, &pending):
		return "change_pending"
	case errors.As(err, &bad):
		return "invalid"
	case errors.As(err, &replayed):
		return "secret_replayed"
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "internal"
}
