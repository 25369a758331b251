package client

import (
	"context"
	"iter"
	"time"
)

// KeyDomain is what the inventory says of the keys of an integration, or of the
// system domain, whose name is empty.
type KeyDomain struct {
	Integration  string     `json:"integration,omitempty"`
	UID          string     `json:"uid"`
	KEK          KEK        `json:"kek"`
	Keys         []Key      `json:"keys"`
	NextRotation *time.Time `json:"next_rotation,omitempty"`
	Schedule     string     `json:"schedule,omitempty"` // that it is of
}

// KEK is a key-encryption key.
type KEK struct {
	Name      string       `json:"name"`
	Latest    int          `json:"latest,omitempty"`    // the version that wraps
	Minimum   int          `json:"minimum,omitempty"`   // the lowest that unwraps
	Available int          `json:"available,omitempty"` // the lowest that was not destroyed
	Versions  []KEKVersion `json:"versions,omitempty"`
	Unknown   string       `json:"unknown,omitempty"` // why the key service did not say
	KeyLife
}

// KEKVersion is one version of a key-encryption key.
type KEKVersion struct {
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Keysets   int       `json:"keysets"` // wrapped under it
}

// Key is one key of a keyset.
type Key struct {
	Purpose     string     `json:"purpose"`
	Generation  uint32     `json:"generation"`
	KeyID       string     `json:"key_id"`
	State       string     `json:"state"` // pending, primary, enabled, disabled, destroyed
	CreatedAt   *time.Time `json:"created_at,omitempty"`
	PromotedAt  *time.Time `json:"promoted_at,omitempty"`
	RetiredAt   *time.Time `json:"retired_at,omitempty"`
	DisabledAt  *time.Time `json:"disabled_at,omitempty"`
	DestroyedAt *time.Time `json:"destroyed_at,omitempty"`
	KEKVersion  int        `json:"kek_version,omitempty"`
	Values      uint64     `json:"values"`
	KeyLife
}

// KeyLife is how old a key in use is, and what is left of its cryptoperiod:
// less than 0 when it has been used for longer. Both are nil when the store does
// not know since when it is in use.
type KeyLife struct {
	AgeSeconds  *int64 `json:"age_seconds,omitempty"`
	LeftSeconds *int64 `json:"cryptoperiod_left_seconds,omitempty"`
}

// CoveredRecord is a record that a key has covered or, of the system domain, a
// value of the control plane.
type CoveredRecord struct {
	Integration string     `json:"integration,omitempty"`
	Collection  string     `json:"collection,omitempty"`
	Record      string     `json:"record,omitempty"`
	Revisions   int        `json:"revisions,omitempty"`
	CreatedAt   *time.Time `json:"created_at,omitempty"`
	Control     string     `json:"control,omitempty"` // kind/id
	Under       bool       `json:"under"`             // a value of it is under the key now
}

// AttestKey is a public key that reports and certificates are signed with.
type AttestKey struct {
	Key       string     `json:"key"`
	CreatedAt time.Time  `json:"created_at"`
	RetiredAt *time.Time `json:"retired_at,omitempty"`
}

// ListKeys returns the inventory of all keys.
func (c *Client) ListKeys(ctx context.Context) ([]KeyDomain, error) {
	return fetchItems[KeyDomain](ctx, c, "/v1/keys")
}

// KeyRecords yields what a key has ever covered.
func (c *Client) KeyRecords(ctx context.Context, keyID string) iter.Seq2[*CoveredRecord, error] {
	return func(yield func(*CoveredRecord, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		res, _, err := c.send(ctx, get("/v1"+escape("keys", keyID, "records")), nil, false)
		if err != nil {
			yield(nil, err)
			return
		}
		defer res.Body.Close()
		for line, err := range streamLines(res) {
			if err != nil {
				yield(nil, err)
				return
			}
			r := new(CoveredRecord)
			err := decodeLine(line, r)
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// AttestKeys returns the public keys of reports and certificates, the one that
// signs now first. They are to be kept where the reports are: a key that is
// asked for when a report is checked proves nothing.
func (c *Client) AttestKeys(ctx context.Context) ([]AttestKey, error) {
	out, err := fetch[struct {
		Keys []AttestKey `json:"keys"`
	}](ctx, c, get("/.well-known/attest-keys.json"))
	if err != nil {
		return nil, err
	}
	return out.Keys, nil
}
