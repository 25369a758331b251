package client

// codes is the inverse of the server's table: what each problem code means to
// a caller. A test holds it against the server's own.
var codes = map[string]error{
	"unauthenticated":         ErrUnauthenticated,
	"forbidden":               ErrForbidden,
	"not_found":               ErrNotFound,
	"exists":                  ErrExists,
	"precondition_failed":     ErrPrecondition,
	"unique_conflict":         ErrUniqueConflict,
	"conflict":                ErrConflict,
	"integrity":               ErrIntegrity,
	"key_service_unavailable": ErrKeyService,
	"key_refused":             ErrKeyRefused,
	"integration_disabled":    ErrDisabled,
	"idempotency_mismatch":    ErrIdempotencyMismatch,
	"idempotency_in_flight":   ErrInFlight,
	"audit_unavailable":       ErrUnavailable,
	"not_persisted":           ErrNotStored,
	"outcome_unknown":         ErrOutcomeUnknown,
	"invalid_cursor":          ErrCursor,
	"busy":                    ErrUnavailable,
	"invalid":                 ErrInvalid,
	"too_large":               ErrTooLarge,
	"secret_replayed":         ErrSecretReplayed,
	"internal":                ErrInternal,
}

// byStatus serves a code that this client does not know: a newer server's.
var byStatus = map[int]error{
	400: ErrInvalid, 401: ErrUnauthenticated, 403: ErrForbidden, 404: ErrNotFound, 405: ErrProtocol,
	409: ErrConflict, 412: ErrPrecondition, 413: ErrTooLarge, 415: ErrProtocol, 422: ErrInvalid,
	429: ErrRateLimited, 503: ErrUnavailable,
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
