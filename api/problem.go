package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"strongroom/internal/identity"
	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/store"
)

// What the API itself refuses.
var (
	errRequest     = errors.New("the request is not well-formed")
	errBody        = errors.New("the body is not what this route takes")
	errMediaType   = errors.New("the body's media type is not one that this route takes")
	errTooLarge    = errors.New("the body is too large")
	errManyHeaders = errors.New("the request has too many header fields")
	errNoRoute     = errors.New("there is no such route")
	errMethod      = errors.New("this route does not take this method")
	errNoToken     = errors.New("an access token is required")
	errBadToken    = errors.New("the access token is not valid")
	errConfirm     = errors.New("the query must say confirm=NAME with the name of what is deleted")
	errInternal    = errors.New("something went wrong inside")
	errTimeout     = errors.New("the request was not done in time")
	errClientGone  = errors.New("the client went away")
	errInvalid     = errors.New("the input is not valid")
	errSecretAgain = errors.New("the secret was created and shown once")
)

// outcome is a row of the table of errors: what a caller is told of one.
type outcome struct {
	err        error
	status     int
	code       string
	retryable  bool // the very same request may succeed later
	retryAfter int  // seconds; 0: not said
}

// outcomes is the one table of errors. The title of a problem is the sentence
// of the error in it; the error that wrapped it is told to the log alone. An
// error that none of them is, is errInternal, the last one.
var outcomes = []outcome{
	{store.ErrNotFound, 404, "not_found", false, 0},
	{store.ErrSelfEdit, 403, "self_edit", false, 0},
	{store.ErrSameHand, 403, "same_hand", false, 0},
	{store.ErrApprovalRequired, 403, "approval_required", false, 0},
	{store.ErrForbidden, 403, "forbidden", false, 0},
	{errInvalid, 422, "invalid", false, 0},
	{store.ErrPrecondition, 412, "precondition_failed", false, 0},
	{store.ErrLastAdministrator, 409, "last_administrator", false, 0},
	{store.ErrExists, 409, "exists", false, 0},
	{store.ErrUniqueConflict, 409, "unique_conflict", false, 0},
	{store.ErrConflict, 409, "conflict", false, 0},
	{store.ErrDisabled, 409, "integration_deleted", false, 0},
	{store.ErrBusy, 409, "busy", true, 10},
	{store.ErrIdempotencyInFlight, 409, "idempotency_in_flight", true, 1},
	{store.ErrIdempotencyMismatch, 422, "idempotency_mismatch", false, 0},
	{errSecretAgain, 409, "secret_replayed", false, 0},
	{store.ErrCursor, 400, "cursor", false, 0},
	{store.ErrIntegrity, 500, "integrity", false, 0},
	{limits.ErrRate, 429, "rate_limited", true, 1},
	{limits.ErrConcurrency, 429, "too_many_under_way", true, 1},
	{limits.ErrExposure, 429, "exposure_exhausted", true, 60},
	{limits.ErrFailures, 429, "too_many_failures", true, 60},
	{limits.ErrOverload, 503, "overloaded", true, 1},
	{store.ErrKeyServiceUnavailable, 503, "key_service_unavailable", true, 5},
	{store.ErrKeyRefused, 503, "key_refused", false, 0},
	{store.ErrRemoteKeys, 503, "remote_keys_unavailable", true, 10},
	{store.ErrAuditUnavailable, 503, "audit_unavailable", true, 5},
	{store.ErrLedgerUnavailable, 503, "ledger_unavailable", true, 5},
	{store.ErrNotPersisted, 503, "not_persisted", true, 1},
	{store.ErrOutcomeUnknown, 503, "outcome_unknown", false, 0},
	{errNoToken, 401, "token_required", false, 0},
	{errBadToken, 401, "invalid_token", false, 0},
	{identity.ErrProof, 401, "invalid_dpop_proof", false, 0},
	{identity.ErrNonce, 401, "use_dpop_nonce", false, 0},
	{errBody, 400, "malformed_body", false, 0},
	{errRequest, 400, "malformed_request", false, 0},
	{errConfirm, 400, "confirmation_required", false, 0},
	{errMediaType, 415, "unsupported_media_type", false, 0},
	{errTooLarge, 413, "too_large", false, 0},
	{errManyHeaders, 431, "headers_too_large", false, 0},
	{errNoRoute, 404, "no_route", false, 0},
	{errMethod, 405, "method_not_allowed", false, 0},
	{errTimeout, 503, "timeout", true, 1},
	{errClientGone, 503, "timeout", true, 1},
	{errInternal, 500, "internal", false, 0},
}

// refusal is an error of the API with what its caller should know. Neither the
// detail nor an issue repeats a value that the caller sent.
type refusal struct {
	is     error
	detail string
	issues []schema.Issue
}

func refuse(is error, detail string) error { return &refusal{is: is, detail: detail} }

// refuseMember refuses a member of the body.
func refuseMember(pointer, detail string) error {
	return &refusal{is: errBody, issues: []schema.Issue{{Pointer: clip(pointer), Detail: detail}}}
}

// clip keeps a caller's member names from filling the answer.
func clip(pointer string) string {
	const most = 512
	if len(pointer) > most {
		return pointer[:most]
	}
	return pointer
}

func (r *refusal) Error() string { return r.is.Error() }
func (r *refusal) Unwrap() error { return r.is }

// problem is a problem document (RFC 9457).
type problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Code      string  `json:"code"`
	Detail    string  `json:"detail,omitempty"`
	RequestID string  `json:"request_id"`
	Retryable bool    `json:"retryable"`
	Limit     string  `json:"limit,omitempty"`
	Errors    []issue `json:"errors"`
	SecretID  string  `json:"secret_id,omitempty"`

	retryAfter int
}

type issue struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// problemType is where the codes are told apart: a URI that need not resolve.
const problemType = "urn:strongroom:problem:"

// problemOf looks an error up. It reports whether the caller was told all that
// the error says; the rest is for the log.
func problemOf(err error) (problem, bool) {
	kind := kindOf(err)
	row := &outcomes[len(outcomes)-1]
	for i := range outcomes {
		if errors.Is(kind, outcomes[i].err) {
			row = &outcomes[i]
			break
		}
	}
	p := problem{
		Type: problemType + row.code, Title: row.err.Error(), Status: row.status, Code: row.code,
		Retryable: row.retryable, Errors: []issue{}, retryAfter: row.retryAfter,
	}
	p.explain(err)
	return p, row.status < 500
}

// kindOf turns errors that carry data, or come from elsewhere, into one that
// the table knows.
func kindOf(err error) error {
	var invalid *store.Invalid
	var document *schema.Invalid
	var again *store.SecretReplayed
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &invalid), errors.As(err, &document):
		return errInvalid
	case errors.As(err, &again):
		return errSecretAgain
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	}
	return err
}

// explain adds what an error says of the request itself.
func (p *problem) explain(err error) {
	var (
		own       *refusal
		invalid   *store.Invalid
		document  *schema.Invalid
		forbidden *store.FieldsForbidden
		unique    *store.UniqueConflict
		again     *store.SecretReplayed
		conflict  *store.Conflict
		proof     *identity.InvalidProof
		limited   *limits.Refusal
	)
	switch {
	case errors.As(err, &own):
		p.Detail = own.detail
		p.add(own.issues)
	case errors.As(err, &invalid):
		p.add(invalid.Issues)
	case errors.As(err, &document):
		p.add(document.Issues)
	case errors.As(err, &limited):
		p.Limit = limited.Limit
		if limited.Wait > 0 {
			p.retryAfter = limited.RetryAfter()
		}
	case errors.As(err, &forbidden):
		issues := make([]schema.Issue, len(forbidden.Pointers))
		for i, pointer := range forbidden.Pointers {
			issues[i] = schema.Issue{Pointer: pointer, Detail: forbiddenDetail(pointer)}
		}
		p.add(issues)
	case errors.As(err, &unique):
		p.Errors = append(p.Errors, issue{"/fields/" + unique.Path, "another record holds this value"})
	case errors.As(err, &conflict):
		p.Detail = conflict.Detail
	case errors.As(err, &proof):
		p.Detail = proof.Reason
	case errors.As(err, &again):
		p.SecretID = again.SecretID
		p.Detail = "delete it and create another if its value was lost"
	}
}

// maxIssues bounds what a refusal lists: one is made from each member that is
// wrong, and a caller could have an answer that is larger than what it sent.
const maxIssues = 50

// forbiddenDetail says what the client may not do with a member: fields and
// labels are written, where and key search.
func forbiddenDetail(pointer string) string {
	if pointer == "/key" || strings.HasPrefix(pointer, "/where/") {
		return "this client may not search by it"
	}
	return "this client may not write it"
}

func (p *problem) add(issues []schema.Issue) {
	for n, i := range issues {
		if n == maxIssues {
			p.Errors = append(p.Errors, issue{"", "and " + strconv.Itoa(len(issues)-n) + " more"})
			return
		}
		p.Errors = append(p.Errors, issue{clip(i.Pointer), i.Detail})
	}
}

// problemFor is problemOf with what the request has to do with it.
func (c *call) problemFor(err error) problem {
	p, told := problemOf(err)
	p.RequestID = c.id
	if errors.Is(err, store.ErrOutcomeUnknown) && len(c.r.Header["Idempotency-Key"]) > 0 {
		p.Retryable, p.retryAfter = true, 1 // the key makes a repetition safe
	}
	if !told {
		c.cause = err
	}
	c.code = p.Code
	c.s.Metrics.Problem(p.Code)
	return p
}

// fail answers with a problem document.
func (c *call) fail(err error) {
	p := c.problemFor(err)
	if c.status != 0 {
		c.cause = err
		panic(http.ErrAbortHandler) // the answer has begun: cut it, so that nobody takes it for whole
	}
	h := c.w.Header()
	delete(h, "Etag")
	delete(h, "Location")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	c.partWith(p.Code)
	switch p.Code {
	case "token_required", "invalid_token", "invalid_dpop_proof", "use_dpop_nonce":
		c.challenge(h, p.Code)
	case "unsupported_media_type":
		c.tellMediaType(h)
	}
	_ = c.send(p.Status, "application/problem+json", p.encode())
}

func (p *problem) encode() []byte {
	body, _ := json.Marshal(p)
	return body
}

// tellMediaType says which media type the route takes.
func (c *call) tellMediaType(h http.Header) {
	switch {
	case c.e.body == "":
	case c.e.method == http.MethodPatch:
		h.Set("Accept-Patch", c.e.body)
	case c.e.method == http.MethodPost:
		h.Set("Accept-Post", c.e.body)
	}
}
