package client

import (
	"encoding/json"
	"time"
)

// Integration is a namespace and a key domain of its own.
type Integration struct {
	Name        string     `json:"name"`
	UID         string     `json:"uid"`
	Description string     `json:"description,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DestroyAt   *time.Time `json:"destroy_at,omitempty"` // set once it is deleted
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

// CollectionSpec is what a caller says of a collection: a JSON Schema (2020-12)
// or the name of a preset, not both.
type CollectionSpec struct {
	Schema          json.RawMessage `json:"schema,omitempty"`
	Preset          string          `json:"preset,omitempty"`
	Retention       *Retention      `json:"retention,omitempty"`
	TTL             string          `json:"ttl,omitempty"`
	UndeleteFor     string          `json:"undelete_for,omitempty"`
	ExpectedRecords uint64          `json:"expected_records,omitempty"`
}

// Collection is a set of records of one shape.
type Collection struct {
	Name        string `json:"name"`
	Integration string `json:"integration"`
	UID         string `json:"uid"`
	CollectionSpec
	SchemaVersion uint32    `json:"schema_version"`
	Version       uint64    `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Backfill      *Backfill `json:"backfill,omitempty"`
	Records       *uint64   `json:"records,omitempty"`
	Warnings      []string  `json:"warnings,omitempty"`
}

// Backfill is an index being filled.
type Backfill struct {
	Fields  []string `json:"fields"`
	Done    uint64   `json:"done"`
	State   string   `json:"state"`
	Problem string   `json:"problem,omitempty"`
}

// CollectionRef names a collection.
type CollectionRef struct{ Integration, Collection string }

// RecordRef names a record.
type RecordRef struct{ Integration, Collection, Record string }

// Of returns the reference of a record in the collection.
func (r CollectionRef) Of(record string) RecordRef {
	return RecordRef{r.Integration, r.Collection, record}
}

// RecordInput is what a caller writes. Fields is anything that marshals to a
// JSON object; for Patch, a merge patch (RFC 7396).
type RecordInput struct {
	ID     string // a caller's own id, with Create and Import
	Fields any
	// Labels replace those of the record when not nil.
	Labels map[string]string
	// LabelChanges are for Patch: a nil value removes the label.
	LabelChanges map[string]*string
	ValidUntil   *time.Time // the zero time removes it
	EraseAt      *time.Time // the zero time removes it
}

// WriteOptions go with a write. The zero value is fine.
type WriteOptions struct {
	// IfRevision makes the write fail with ErrPrecondition unless this is the
	// record's (or, for definitions, the version's) current number.
	IfRevision uint64
	// IfAbsent makes the write fail with ErrPrecondition when the thing exists.
	IfAbsent bool
	// IdempotencyKey makes a write safe to repeat for 24 h. Where the server
	// takes one and none is given, the client makes one for its own retries.
	IdempotencyKey string
}

// WriteResult says what a write made.
type WriteResult struct {
	ID        string     `json:"id"`
	Revision  uint64     `json:"revision"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	PurgeAt   *time.Time `json:"purge_at,omitempty"`
	Created   bool       `json:"-"`
	ETag      string     `json:"-"`
}

// Record is what this client may see of a record.
type Record struct {
	ID         string            `json:"id"`
	Revision   uint64            `json:"revision"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	ValidUntil *time.Time        `json:"valid_until,omitempty"`
	EraseAt    *time.Time        `json:"erase_at,omitempty"`
	DeletedAt  *time.Time        `json:"deleted_at,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Fields     Fields            `json:"fields,omitzero"`
	Masked     []string          `json:"masked,omitempty"`
	Withheld   []string          `json:"withheld,omitempty"`
	Damaged    bool              `json:"damaged,omitempty"`

	ETag string          `json:"-"`
	raw  json.RawMessage // as it came
}

// Reveal returns the record as the server sent it, values and all.
func (r *Record) Reveal() json.RawMessage { return r.raw }

// Field is the value of one field: the bytes themselves.
type Field struct {
	Value       []byte
	ContentType string // text/plain, application/octet-stream or application/json
	Masked      bool   // Value is a mask, not the value
	ETag        string
}

// ReadOptions go with a read.
type ReadOptions struct {
	Fields   []string // nil: all that this client may see
	Revision uint64   // 0: the current one
	Previous bool     // the one before the current one
	Metadata bool     // no field is opened
}

// ListOptions select records.
type ListOptions struct {
	Labels           map[string]string
	UpdatedAfter     time.Time
	ValidUntilBefore time.Time
	Fields           []string // nil: metadata only
	Limit            int      // of a page: at most 1000, default 100
	Cursor           string
}

// SearchOptions select records by the values of indexed fields.
type SearchOptions struct {
	Where  map[string]any // path to value; all must hold
	Labels map[string]string
	Fields []string
	Limit  int
	Cursor string
}

// Page is one page of a list. NextCursor is empty on the last one; a page can
// be short, or empty, and not be the last.
type Page struct {
	Items      []Record
	NextCursor string
}

// Revision is one entry of a record's history.
type Revision struct {
	Revision  uint64    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	Current   bool      `json:"current"`
	Fields    []string  `json:"fields"`
}

// Role is a stored role. Rules are kept as JSON, as they were put.
type Role struct {
	Name      string          `json:"name"`
	Version   uint64          `json:"version"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	Rules     json.RawMessage `json:"rules"`
	Warnings  []string        `json:"warnings,omitempty"`
}

// Principal is a stored client: one who may ask for tokens.
type Principal struct {
	Name     string            `json:"name"`
	UID      string            `json:"uid"`
	Roles    []string          `json:"roles"`
	Labels   map[string]string `json:"labels,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	PrincipalAuth
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// PrincipalSpec is what a caller says of a client.
type PrincipalSpec struct {
	Roles    []string          `json:"roles"`
	Labels   map[string]string `json:"labels,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	PrincipalAuth
}

// PrincipalAuth says how a client authenticates, and what its tokens must be
// bound to (RFC 7591, RFC 8705, RFC 9449).
type PrincipalAuth struct {
	Method  string          `json:"token_endpoint_auth_method,omitempty"` // default client_secret_basic
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	TLSSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSSanDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSSanURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSSanIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSSanEmail  string `json:"tls_client_auth_san_email,omitempty"`

	TLSBound  bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`
}

// Issuer is an outside issuer, whose tokens are exchanged for those of clients.
type Issuer struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
	IssuerSpec
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// IssuerSpec is what a caller says of an issuer.
type IssuerSpec struct {
	URL       string       `json:"issuer"`
	Audiences []string     `json:"audiences"`
	JWKSURI   string       `json:"jwks_uri,omitempty"`
	Reuse     bool         `json:"reuse,omitempty"`
	Rules     []IssuerRule `json:"rules"`
}

// IssuerRule names the client that a token speaks for when its claims fit.
type IssuerRule struct {
	Claims map[string]string `json:"claims"`
	Client string            `json:"client"`
}

// SecretInfo tells of a client secret, never its value.
type SecretInfo struct {
	ID         string     `json:"secret_id"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to the minute; nil when it never was
}

// IssuedSecret is a client secret as it is shown once.
type IssuedSecret struct {
	SecretInfo
	Value Secret `json:"client_secret"`
}
