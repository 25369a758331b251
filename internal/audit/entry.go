package audit

import (
	"time"

	"strongroom/internal/uid"
)

// Phase says what an entry tells of.
type Phase string

// The phases.
const (
	// Intent comes before a mutation and carries the operation id that the
	// same transaction stores, so that log and store can be reconciled.
	Intent Phase = "intent"
	// Outcome follows the intent of the same operation.
	Outcome Phase = "outcome"
	// Access is the one entry of a read, written before its answer leaves.
	Access Phase = "access"
	// Event is what nobody asked for: a rotation step, a repaired log.
	Event Phase = "event"
)

// Result says how a request ended.
type Result string

// The results.
const (
	Allowed Result = "allowed"
	Denied  Result = "denied"
	Failed  Result = "failed"
)

// Entry is one line of the log. Empty members are left out of the line.
//
//	{"time":"2026-01-02T03:04:05.000000006Z","phase":"access","operation":"0190…",
//	 "client":"invoicing","client_uid":"5f…","token_id":"…","secret_id":"…",
//	 "binding":"dpop","thumbprint":"…",
//	 "address":"192.0.2.7","request_id":"…","traceparent":"00-…",
//	 "action":"read","integration":"acme-eu","collection":"customers","record":"…","revision":3,
//	 "target":"role/billing-reader","fields":["email"],"masked":["card"],"withheld":["ssn"],
//	 "searched":["email"],"records":["r1"],"count":1,
//	 "purpose":"…","approval":"…","change":"…","requester":"…",
//	 "outcome":"allowed","code":"…","duration_us":312,
//	 "event":"…","detail":"…","lost":2}
type Entry struct {
	Time      time.Time // when zero, Write uses the log's clock
	Phase     Phase
	Operation string // id of the mutation; joins intent and outcome

	// Who.
	Client      string
	ClientUID   uid.UID
	TokenID     string
	SecretID    string
	Binding     string // how the token is bound to who sent it: dpop or mtls
	Thumbprint  string // of the key or the certificate that it is bound to
	Address     string
	RequestID   string
	TraceParent string

	// What.
	Action      string
	Integration string
	Collection  string
	Record      string
	Revision    uint64
	Target      string   // of the control plane: kind/name
	Fields      []string // names of fields given in clear, or written
	Masked      []string // names of fields given masked
	Withheld    []string // names of fields not given
	Searched    []string // names of fields searched by
	Records     []string // ids, where an entry stands for several records
	Count       uint64   // records, where an entry stands for several
	Purpose     string   // what the request said that it reads for
	Approval    string   // id of the approval that a read was made under
	Change      string   // id of the change that waits, or is decided about
	Requester   string   // who asked for what the client decides about

	// How it ended.
	Outcome  Result
	Code     string        // code of the error, as the API names it
	Duration time.Duration // written in whole microseconds

	// Events.
	Event  string
	Detail string
	Lost   uint64 // entries that could not be written before this one
}

// The events that the log itself writes.
const (
	// EventTornTail says that a crash left half a line, which was cut off.
	EventTornTail = "audit_torn_tail_repaired"
	// EventGap counts in Lost the entries that were refused before it. Where a
	// failing disk didn't let a file be cut back, some of them may stand there
	// all the same, and a gap may be told twice: never too few.
	EventGap = "audit_gap"
	// EventSyncFailed says that the disk would not promise to keep entries.
	EventSyncFailed = "audit_sync_failed"
)
