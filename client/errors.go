package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The errors that a server can answer with. Each stands for one problem code,
// or for a few that a caller treats alike; a *Problem is each of its own.
var (
	// ErrUnauthenticated comes when the client's secret or token is not
	// accepted.
	ErrUnauthenticated = errors.New("strongroom: not authenticated")
	// ErrForbidden comes when no rule of the client's roles could allow this.
	ErrForbidden = errors.New("strongroom: forbidden")
	// ErrSelfEdit comes when a client would change itself, or a role that it
	// holds. It is an ErrForbidden.
	ErrSelfEdit = fmt.Errorf("%w: nobody changes itself", ErrForbidden)
	// ErrSameHand comes when a second person is wanted and the client is not
	// one. It is an ErrForbidden.
	ErrSameHand = fmt.Errorf("%w: a second person has to decide", ErrForbidden)
	// ErrApprovalRequired comes when a value is read only for a purpose or with
	// an approval. It is an ErrForbidden.
	ErrApprovalRequired = fmt.Errorf("%w without a purpose or an approval", ErrForbidden)
	// ErrNotFound comes when a thing is not there, or not to be known of.
	ErrNotFound = errors.New("strongroom: not found")
	// ErrExists comes when a thing to be created exists.
	ErrExists = errors.New("strongroom: exists already")
	// ErrPrecondition comes when If-Match or If-None-Match did not hold.
	ErrPrecondition = errors.New("strongroom: precondition failed")
	// ErrUniqueConflict comes when another record holds a unique value.
	ErrUniqueConflict = errors.New("strongroom: unique conflict")
	// ErrConflict comes when the thing's state does not allow the action.
	ErrConflict = errors.New("strongroom: conflict")
	// ErrLastAdministrator comes when nobody would be left who can manage
	// clients and roles. It is an ErrConflict.
	ErrLastAdministrator = fmt.Errorf("%w: the last administrator", ErrConflict)
	// ErrDisabled comes from an integration that was deleted and waits for the
	// destruction of its keys.
	ErrDisabled = errors.New("strongroom: integration disabled")
	// ErrInvalid comes when the request is not valid: the problem's Errors
	// point at the members.
	ErrInvalid = errors.New("strongroom: invalid request")
	// ErrCursor comes when a cursor is not this client's, or of another query.
	ErrCursor = errors.New("strongroom: invalid cursor")
	// ErrTooLarge comes when a body, or the header, is over the server's limit.
	ErrTooLarge = errors.New("strongroom: too large")
	// ErrIntegrity comes when what is stored did not authenticate.
	ErrIntegrity = errors.New("strongroom: integrity check failed")
	// ErrKeyService comes when the key service is away, or refuses the key.
	ErrKeyService = errors.New("strongroom: key service")
	// ErrKeyRefused comes when the key service refuses the integration's key:
	// trying again does not help. It is an ErrKeyService.
	ErrKeyRefused = fmt.Errorf("%w refused the key", ErrKeyService)
	// ErrIdempotencyMismatch comes when an idempotency key is used again with
	// another request.
	ErrIdempotencyMismatch = errors.New("strongroom: idempotency key used with another request")
	// ErrInFlight comes while the first request with an idempotency key is
	// under way.
	ErrInFlight = errors.New("strongroom: request in flight")
	// ErrSecretReplayed comes when an idempotency key repeats the creation of a
	// secret, whose value is shown only once.
	ErrSecretReplayed = errors.New("strongroom: secret was shown already")
	// ErrBusy comes while another maintenance job is under way.
	ErrBusy = errors.New("strongroom: busy")
	// ErrNotStored comes when a write failed and nothing of it was stored.
	ErrNotStored = errors.New("strongroom: not stored")
	// ErrOutcomeUnknown comes when nobody knows whether a write was stored.
	ErrOutcomeUnknown = errors.New("strongroom: outcome unknown")
	// ErrRateLimited comes when a limit of the client, its roles or its address
	// is used up, or too many of its requests are under way. The problem's Limit
	// names it, and its RetryAfter says when to come again.
	ErrRateLimited = errors.New("strongroom: rate limited")
	// ErrExposureExhausted comes when the client has read as many records or
	// fields as its budget allows.
	ErrExposureExhausted = errors.New("strongroom: exposure budget exhausted")
	// ErrTooManyFailures comes after too many failed authentications.
	ErrTooManyFailures = errors.New("strongroom: too many failed authentications")
	// ErrUnavailable comes when the server can't serve this now.
	ErrUnavailable = errors.New("strongroom: unavailable")
	// ErrProtocol comes when the request is one that no route takes, which a
	// matching client and server don't show each other.
	ErrProtocol = errors.New("strongroom: protocol")
	// ErrInternal comes when the server failed.
	ErrInternal = errors.New("strongroom: internal error")

	// ErrTruncated comes when an export or import ended before its end mark:
	// what came is not all.
	ErrTruncated = errors.New("strongroom: the stream ended early")
)

// Issue is one thing that is wrong with a request.
type Issue struct {
	Pointer string `json:"pointer"` // JSON Pointer (RFC 6901) into the body; may be empty
	Detail  string `json:"detail"`
}

// Problem is an error answer of the server (RFC 9457).
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail,omitempty"`
	Code      string  `json:"code"`
	RequestID string  `json:"request_id"`
	Retryable bool    `json:"retryable"`
	Errors    []Issue `json:"errors,omitempty"`
	Limit     string  `json:"limit,omitempty"`     // that refused, when one did
	SecretID  string  `json:"secret_id,omitempty"` // with ErrSecretReplayed

	RetryAfter time.Duration `json:"-"` // what Retry-After asked for; 0: nothing
}

// Error is one sentence: the title, the detail and what the pointers say.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(orDefault(p.Title, http.StatusText(p.Status)))
	if p.Detail != "" && p.Detail != p.Title {
		b.WriteString(": " + p.Detail)
	}
	for i, e := range p.Errors {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		if e.Pointer != "" {
			b.WriteString(e.Pointer + ": ")
		}
		b.WriteString(e.Detail)
	}
	fmt.Fprintf(&b, " (%s", p.Code)
	if p.RequestID != "" {
		b.WriteString(", request " + p.RequestID)
	}
	b.WriteString(")")
	return b.String()
}

// Unwrap returns the sentinel error of the problem's code.
func (p *Problem) Unwrap() error { return errorOf(p.Code, p.Status) }
