package store

import (
	"errors"
	"time"

	"strongroom/internal/uid"
)

// Reason is why the store is not as well as it should be. A degraded store
// still serves; a notice is only to be known, and nothing is amiss.
type Reason struct {
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	Degraded bool   `json:"degraded"`
	Notice   bool   `json:"notice,omitempty"`
}

// Attempt describes an authentication to be judged and audited.
type Attempt struct {
	Client      string
	Method      string // one of the Auth methods, or a grant type
	Address     string
	RequestID   string
	TraceParent string
}

// VerifiedClient is a client that authenticated.
type VerifiedClient struct {
	Client    string
	ClientUID uid.UID
	SecretID  string // the id of its secret, or the credential that it proved
	TLSBound  bool   // its tokens may be bound to its certificate, and must be bound
	DPoPBound bool   // its tokens must be bound
}

// Suffices reports whether a token of the client may be bound to this.
func (c VerifiedClient) Suffices(b Binding) bool { return suffices(c.TLSBound, c.DPoPBound, b) }

// TokenRef names an access token, and for whom and by what it was got.
type TokenRef struct {
	Client    string
	ClientUID uid.UID
	SecretID  string // as in VerifiedClient
	TokenID   string
	SignedBy  string // the id of the signing key; empty when the token was not verified by one
	Binding   Binding
}

// IssuedToken is an access token with the time at which it expires.
type IssuedToken struct {
	TokenRef
	Expires time.Time
}

// SigningKey is an Ed25519 key that access tokens are signed with.
type SigningKey struct {
	ID        string
	Seed      []byte // 32 bytes, RFC 8032
	CreatedAt time.Time
	SignsFrom time.Time // until the next one does
	version   uint64
}

// String tells which key it is and nothing of it.
func (k SigningKey) String() string { return "signing key " + k.ID }

// GoString is String, for every verb of package fmt.
func (k SigningKey) GoString() string { return k.String() }

// ErrUnauthenticated comes when a client does not exist, is disabled, or its
// secret is wrong, expired or deleted: which of these is not told.
var ErrUnauthenticated = errors.New("the client could not be authenticated")

// ErrRemoteKeys comes when a client or an issuer has its keys elsewhere and they
// cannot be had: what it signed cannot be judged now.
var ErrRemoteKeys = errors.New("keys that are kept elsewhere cannot be fetched")

// Conflict is an ErrConflict that tells what stands in the way.
type Conflict struct{ Detail string }

// Error tells it.
func (e *Conflict) Error() string { return e.Detail }

// Is makes it an ErrConflict.
func (e *Conflict) Is(target error) bool { return target == ErrConflict }

// SecretReplayed comes when an idempotency key repeats the creation of a
// secret: its value was shown once and is not stored.
type SecretReplayed struct{ SecretID string }

// Error names the id of the secret that the first request made.
func (e *SecretReplayed) Error() string {
	return "the secret " + e.SecretID + " was created and shown once; delete it and create another if its value was lost"
}

// BackupOptions go with a backup.
type BackupOptions struct {
	Recipient string // an age recipient; empty: labels and ids stay readable in the backup
}

// BackupInfo describes a finished backup.
type BackupInfo struct {
	StoreUID  uid.UID   `json:"store_uid"`
	CreatedAt time.Time `json:"created_at"`
	Sequence  uint64    `json:"sequence"` // the commit sequence number up to which it reaches
	Entries   uint64    `json:"entries"`
	Bytes     uint64    `json:"bytes"`
	SHA256    string    `json:"sha256"`
}

// FsckOptions say how deep to look.
type FsckOptions struct {
	Deep     bool                   // every field and every index token too
	Progress func(done, all uint64) // called now and then; may be nil
}

// Damage is one thing that fsck found.
type Damage struct {
	Kind   string `json:"kind"`
	Where  string `json:"where"` // names and ids, never values
	Detail string `json:"detail"`
}

// FsckReport is what fsck counted and found. No damage means clean.
type FsckReport struct {
	Integrations uint64   `json:"integrations"`
	Collections  uint64   `json:"collections"`
	Records      uint64   `json:"records"`
	Revisions    uint64   `json:"revisions"`
	Fields       uint64   `json:"fields"`
	IndexTokens  uint64   `json:"index_tokens"`
	Damages      []Damage `json:"damages"`
	Omitted      uint64   `json:"omitted"` // damages beyond those listed
}

// SweepStats counts what a pass of the background sweep did.
type SweepStats struct {
	Erased       uint64 `json:"erased"`       // records whose erase_at, ttl or purge time came
	Revisions    uint64 `json:"revisions"`    // old revisions whose erase_at came
	Idempotency  uint64 `json:"idempotency"`  // idempotency keys that expired
	Integrations uint64 `json:"integrations"` // integrations whose keys were destroyed
}
