package client

// codes is the inverse of the server's table: what each problem code means to
// a caller. A test holds it against the server's own.
var codes = map[string]error{
	"not_found":               ErrNotFound,
	"forbidden":               ErrForbidden,
	"self_edit":               ErrSelfEdit,
	"same_hand":               ErrSameHand,
	"approval_required":       ErrApprovalRequired,
	"last_administrator":      ErrLastAdministrator,
	"invalid":                 ErrInvalid,
	"precondition_failed":     ErrPrecondition,
	"exists":                  ErrExists,
	"unique_conflict":         ErrUniqueConflict,
	"conflict":                ErrConflict,
	"integration_deleted":     ErrDisabled,
	"busy":                    ErrBusy,
	"idempotency_in_flight":   ErrInFlight,
	"idempotency_mismatch":    ErrIdempotencyMismatch,
	"secret_replayed":         ErrSecretReplayed,
	"cursor":                  ErrCursor,
	"integrity":               ErrIntegrity,
	"rate_limited":            ErrRateLimited,
	"too_many_under_way":      ErrRateLimited,
	"too_many_failures":       ErrTooManyFailures,
	"exposure_exhausted":      ErrExposureExhausted,
	"overloaded":              ErrUnavailable,
	"key_service_unavailable": ErrKeyService,
	"key_refused":             ErrKeyRefused,
	"remote_keys_unavailable": ErrUnavailable,
	"audit_unavailable":       ErrUnavailable,
	"ledger_unavailable":      ErrUnavailable,
	"not_persisted":           ErrNotStored,
	"outcome_unknown":         ErrOutcomeUnknown,
	"token_required":          ErrUnauthenticated,
	"invalid_token":           ErrUnauthenticated,
	"invalid_dpop_proof":      ErrUnauthenticated,
	"use_dpop_nonce":          ErrUnauthenticated,
	"unauthenticated":         ErrUnauthenticated,
	"malformed_body":          ErrInvalid,
	"malformed_request":       ErrInvalid,
	"confirmation_required":   ErrInvalid,
	"unsupported_media_type":  ErrProtocol,
	"too_large":               ErrTooLarge,
	"headers_too_large":       ErrTooLarge,
	"no_route":                ErrProtocol,
	"method_not_allowed":      ErrProtocol,
	"timeout":                 ErrUnavailable,
	"internal":                ErrInternal,
}

// byStatus serves a code that this client does not know: a newer server's.
var byStatus = map[int]error{
	400: ErrInvalid, 401: ErrUnauthenticated, 403: ErrForbidden, 404: ErrNotFound, 405: ErrProtocol,
	409: ErrConflict, 412: ErrPrecondition, 413: ErrTooLarge, 415: ErrProtocol, 422: ErrInvalid,
	429: ErrRateLimited, 431: ErrTooLarge, 503: ErrUnavailable,
}

func errorOf(code string, status int) error {
	if err, ok := codes[code]; ok {
		return err
	}
	if err, ok := byStatus[status]; ok {
		return err
	}
	return ErrInternal
}
