package store

import (
	"errors"
	"strconv"

	"strongroom/internal/schema"
	"strongroom/internal/strict"
)

// The sentinel errors of the store. Each has a sentence that is fit for a
// caller's eyes; package api maps each to one status and code.
var (
	// ErrForbidden comes when no rule of the caller's roles could allow the
	// action there, whether or not what it names exists.
	ErrForbidden = errors.New("no role of this client allows this")
	// ErrNotFound comes when the named thing does not exist, or when the
	// caller may not learn that it does.
	ErrNotFound = errors.New("not found")
	// ErrExists comes when a thing is to be created that exists.
	ErrExists = errors.New("it exists already")
	// ErrPrecondition comes when If-Match or If-None-Match does not hold.
	ErrPrecondition = errors.New("the precondition does not hold")
	// ErrUniqueConflict comes when a unique field's value is held by another
	// record. It names the field and never the record.
	ErrUniqueConflict = errors.New("another record holds this value of a unique field")
	// ErrConflict comes when the thing is not in a state that allows the
	// action: undelete of what is not deleted, say.
	ErrConflict = errors.New("the present state does not allow this")
	// ErrLastAdministrator comes when a change would leave nobody who can manage
	// clients and roles.
	ErrLastAdministrator = errors.New("this is the last administrator that can sign in: make another one first")
	// ErrIntegrity comes when something stored does not authenticate: it was
	// changed, moved or damaged outside of the store.
	ErrIntegrity = errors.New("a stored value failed its integrity check")
	// ErrKeyServiceUnavailable comes when the key service is needed and away.
	ErrKeyServiceUnavailable = errors.New("the key service is unavailable")
	// ErrKeyRefused comes when the key service refuses an integration's key:
	// it was deleted, disabled, or this server may no longer use it.
	ErrKeyRefused = errors.New("the key service refuses this integration's key")
	// ErrDisabled comes when an integration was deleted and awaits the
	// destruction of its keys.
	ErrDisabled = errors.New("the integration is deleted; :undelete brings it back until its keys are destroyed")
	// ErrIdempotencyMismatch comes when an idempotency key comes again with
	// another request.
	ErrIdempotencyMismatch = errors.New("this idempotency key was used with another request")
	// ErrIdempotencyInFlight comes when the first request with an idempotency
	// key has not ended.
	ErrIdempotencyInFlight = errors.New("a request with this idempotency key is under way")
	// ErrAuditUnavailable comes when the audit log cannot be written: what
	// cannot be audited is not done.
	ErrAuditUnavailable = errors.New("the audit log cannot be written")
	// ErrLedgerUnavailable comes when something was erased or revoked, and the
	// ledger that lets no restore undo it could not be written. It is written
	// as soon as that works again; the erasure itself stands.
	ErrLedgerUnavailable = errors.New("it was done, but the ledger of erasures cannot be written: a restore could undo it until then")
	// ErrNotPersisted comes when a write failed and nothing of it was stored.
	ErrNotPersisted = errors.New("the write failed and was not stored")
	// ErrOutcomeUnknown comes when a write failed and it could not be found
	// out whether it was stored.
	ErrOutcomeUnknown = errors.New("the write failed and it is not known whether it was stored")
	// ErrCursor comes when a cursor is not one that this client got for this
	// very query.
	ErrCursor = errors.New("the cursor is not valid for this client and query")
	// ErrBusy comes when a job that must be alone is already under way.
	ErrBusy = errors.New("another maintenance job is under way")
)

// Invalid is an input error: what is wrong with which member. No detail ever
// repeats a value.
type Invalid struct {
	Issues []schema.Issue
}

// Error returns the first issue and how many more there are.
func (e *Invalid) Error() string {
	if len(e.Issues) == 0 {
		return "the input is not valid"
	}
	first := e.Issues[0]
	text := first.Detail
	if first.Pointer != "" {
		text = first.Pointer + ": " + text
	}
	if more := len(e.Issues) - 1; more > 0 {
		text += " (and " + strconv.Itoa(more) + " more)"
	}
	return text
}

func invalid(pointer, detail string) *Invalid {
	return &Invalid{Issues: []schema.Issue{{Pointer: pointer, Detail: detail}}}
}

// asDefinition turns what is wrong with a definition into an input error.
func asDefinition(err error) error {
	bad, ok := errors.AsType[*strict.Invalid](err)
	if !ok {
		return err
	}
	out := &Invalid{}
	for _, issue := range bad.Issues {
		out.Issues = append(out.Issues, schema.Issue(issue))
	}
	return out
}

// FieldsForbidden comes when a write names fields or labels that the caller
// may not write. It is an ErrForbidden.
type FieldsForbidden struct {
	Pointers []string // JSON Pointers into the request body
}

// Error says how many; the pointers go into the problem document.
func (e *FieldsForbidden) Error() string {
	return "this client may not write " + strconv.Itoa(len(e.Pointers)) + " of the members"
}

// Is makes it an ErrForbidden.
func (e *FieldsForbidden) Is(target error) bool { return target == ErrForbidden }

// UniqueConflict names the field of an ErrUniqueConflict.
type UniqueConflict struct{ Path string }

// Error names the field.
func (e *UniqueConflict) Error() string {
	return "another record holds this value of the unique field " + strconv.Quote(e.Path)
}

// Is makes it an ErrUniqueConflict.
func (e *UniqueConflict) Is(target error) bool { return target == ErrUniqueConflict }
