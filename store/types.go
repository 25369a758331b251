package store

import (
	"encoding/json"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
)

// Caller is the client on whose behalf a method acts: the first argument of
// every method after the context.
type Caller = *access.Principal

// CollectionRef names a collection.
type CollectionRef struct {
	Integration string
	Collection  string
}

// RecordRef names a record.
type RecordRef struct {
	CollectionRef
	Record string
}

// Precondition is what the caller says must hold of the thing as it is.
type Precondition struct {
	// IfMatch holds revisions (or versions) of which one must be current.
	IfMatch []uint64
	// Exists demands that the thing exists ("If-Match: *").
	Exists bool
	// Absent demands that it does not ("If-None-Match: *").
	Absent bool
}

// Integration is a namespace and a key domain.
type Integration struct {
	Name        string     `json:"name"`
	UID         uid.UID    `json:"uid"`
	Description string     `json:"description,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DestroyAt   *time.Time `json:"destroy_at,omitempty"` // set once deleted
	Version     uint64     `json:"version"`
}

// IntegrationSpec is what a caller says of an integration.
type IntegrationSpec struct {
	Description string `json:"description,omitempty"`
}

// Retention says how many revisions of a record are kept.
type Retention struct {
	Revisions int `json:"revisions"`
}

// CollectionSpec is what a caller says of a collection. Exactly one of Schema
// and Preset is given.
type CollectionSpec struct {
	Schema          json.RawMessage `json:"schema,omitempty"`
	Preset          string          `json:"preset,omitempty"`
	Retention       *Retention      `json:"retention,omitempty"`        // default 10 revisions
	TTL             string          `json:"ttl,omitempty"`              // a duration; records unreadable that long after their last write
	UndeleteFor     string          `json:"undelete_for,omitempty"`     // a duration; default 168h for credential presets, else 0
	ExpectedRecords uint64          `json:"expected_records,omitempty"` // default 1,000,000
}

// Collection is a set of records of one shape.
type Collection struct {
	Name        string  `json:"name"`
	Integration string  `json:"integration"`
	UID         uid.UID `json:"uid"`
	CollectionSpec
	SchemaVersion uint32    `json:"schema_version"`
	Version       uint64    `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	// Backfill tells of an index that is being filled; nil when none is.
	Backfill *Backfill `json:"backfill,omitempty"`
	Records  *uint64   `json:"records,omitempty"` // live records; set by GetCollection, for whom may count them
}

// Backfill is the state of an index being filled.
type Backfill struct {
	Fields  []string `json:"fields"`
	Done    uint64   `json:"done"`
	State   string   `json:"state"` // running, failed
	Problem string   `json:"problem,omitempty"`
}

// PutResult says what a PUT of a definition did.
type PutResult struct {
	Created  bool     // 201
	Backfill bool     // 202: an index is being filled
	Warnings []string // what a schema change may refuse of present records
}

// RecordInput is what a caller writes.
type RecordInput struct {
	ID        string // only with POST and import lines; needs an unconditional create grant
	Fields    []byte // a JSON object; for PATCH a merge patch
	Labels    map[string]string
	SetLabels bool // Labels was given: nil then means none. PATCH merges: see PatchLabels
	// PatchLabels holds, for PATCH, label changes; a nil value removes.
	PatchLabels map[string]*string
	ValidUntil  TimeChange
	EraseAt     TimeChange
}

// TimeChange is an optional member that holds a time: absent, null or set.
type TimeChange struct {
	Given bool
	Time  time.Time // zero: null
}

// WriteOptions go with a write of a record.
type WriteOptions struct {
	Precondition
	// IdempotencyKey and Route make a write safe to repeat for 24 h; Request
	// is everything that the request says, to be compared by a keyed MAC.
	IdempotencyKey string
	Route          string
	Request        []byte
}

// WriteResult says what a write made.
type WriteResult struct {
	ID        string     `json:"id"`
	Revision  uint64     `json:"revision"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Created   bool       `json:"-"` // 201, else 200
	Unchanged bool       `json:"-"` // upsert with on_conflict=ignore found one
	Replayed  bool       `json:"-"` // answered from the idempotency key
	ETag      string     `json:"-"`
	PurgeAt   *time.Time `json:"purge_at,omitempty"` // of a delete that can be undone
}

// ReadOptions go with a read of a record.
type ReadOptions struct {
	Fields   []string // nil: all that the caller may see
	Revision uint64   // 0: the current one
	Previous bool     // the one before the current one
	Metadata bool     // nothing is decrypted
	IfNone   []string // ETags; a match answers NotModified
}

// Record is what a caller may see of a record.
type Record struct {
	ID          string
	Revision    uint64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ValidUntil  time.Time // zero: none
	EraseAt     time.Time // zero: none; the earlier of the record's and the collection's
	Labels      []Label   // sorted by key
	Fields      []schema.Value
	Flat        bool // no field is nested: Fields are the members as they stand
	HasFields   bool // false for metadata
	Masked      []string
	Withheld    []string
	Current     bool
	DeletedAt   time.Time // zero unless the record is deleted (revisions and metadata)
	Damaged     bool      // in lists: the record is there and fails its integrity check
	ETag        string
	NotModified bool
}

// Label is one label of a record.
type Label struct{ Key, Value string }

// FieldValue is one value of a record.
type FieldValue struct {
	JSON     []byte // the value as JSON text
	Base64   bool   // contentEncoding: base64
	Masked   bool
	Revision uint64
	ETag     string
}

// ListOptions select records.
type ListOptions struct {
	Labels           map[string]string
	UpdatedAfter     time.Time
	ValidUntilBefore time.Time
	Fields           []string // nil: metadata only
	AllFields        bool
	Limit            int // default 100, at most 1000
	Cursor           string
}

// SearchOptions select records by the value of indexed fields.
type SearchOptions struct {
	Where  []schema.Value // path and JSON value; all must hold
	Labels map[string]string
	Fields []string
	Limit  int
	Cursor string
}

// Page is one page of a list; Next is empty on the last one.
type Page struct {
	Records []Record
	Next    string
}

// OnConflict says what an upsert does with the record that it finds.
type OnConflict string

// The ways.
const (
	Replace OnConflict = "replace"
	Merge   OnConflict = "merge"
	Ignore  OnConflict = "ignore"
	Fail    OnConflict = "fail"
)

// UpsertOptions go with an upsert.
type UpsertOptions struct {
	WriteOptions
	Key        string // a unique field
	OnConflict OnConflict
}

// ImportOptions go with an import.
type ImportOptions struct {
	Upsert     bool
	Key        string
	OnConflict OnConflict
	Continue   bool // on an error: go on with the next line
	// Decode reads a line. It is called by several goroutines at once.
	Decode func(raw []byte) (RecordInput, error)
}

// ImportLine is one line of an import, not yet decoded. Raw must not be
// changed until the line's result was emitted.
type ImportLine struct {
	Number int // from 1
	Raw    []byte
}

// ImportResult tells what became of a line.
type ImportResult struct {
	Line    int
	ID      string
	Created bool
	Err     error
}

// RevisionInfo is one entry of a record's history.
type RevisionInfo struct {
	Revision  uint64    `json:"revision"`
	CreatedAt time.Time `json:"created_at"` // of this revision
	Current   bool      `json:"current"`
	Fields    []string  `json:"fields"` // names that the caller may see
}

// Role is a stored role.
type Role struct {
	Name      string      `json:"name"`
	Version   uint64      `json:"version"`
	Role      access.Role `json:"-"`
	Raw       []byte      `json:"-"` // the document as it was put
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// Client is a stored client.
type Client struct {
	Name     string            `json:"name"`
	UID      uid.UID           `json:"uid"`
	Roles    []string          `json:"roles"`
	Labels   map[string]string `json:"labels,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	ClientAuth
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ClientSpec is what a caller says of a client.
type ClientSpec struct {
	Roles    []string          `json:"roles"`
	Labels   map[string]string `json:"labels,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	ClientAuth
}

// ClientAuth says how a client authenticates and what its tokens must be bound
// to, in the members of RFC 7591, RFC 8705 and RFC 9449.
type ClientAuth struct {
	Method  string          `json:"token_endpoint_auth_method,omitempty"` // default client_secret_basic
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// Exactly one of these goes with tls_client_auth: what the certificate
	// must say.
	TLSSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSSanDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSSanURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSSanIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSSanEmail  string `json:"tls_client_auth_san_email,omitempty"`

	// Either being true, a token must be bound; both: either binding suffices.
	// A token that is not bound so counts no more.
	TLSBound  bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`
}

// SecretInfo tells of a client secret, never its value.
type SecretInfo struct {
	ID         string     `json:"secret_id"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to the minute; nil when it never was
}

// NewSecret is a secret as it is shown once.
type NewSecret struct {
	SecretInfo
	Secret secret.Text
}
