// Package uid makes the identifiers that Strongroom binds its ciphertexts to,
// and the time-ordered ids that records get when their writer names none.
package uid

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
)

// UID is a random 128-bit identifier of a store, an integration, a collection
// or a client. Names can be given again after a delete; a UID never is, so
// whatever is bound to one opens nothing of a namesake.
type UID [16]byte

// Zero is the UID that nothing has.
var Zero UID

// ErrMalformed comes when a text is not 32 lower-case hexadecimal digits.
var ErrMalformed = errors.New("uid: want 32 lower-case hexadecimal digits")

// New returns a UID read from crypto/rand.
func New() UID {
	var u UID
	rand.Read(u[:]) // never fails: crypto/rand crashes the program instead
	return u
}

// Parse reads the text that String writes.
func Parse(s string) (UID, error) {
	var u UID
	if len(s) != 2*len(u) {
		return Zero, ErrMalformed
	}
	if _, err := hex.Decode(u[:], []byte(s)); err != nil || u.String() != s {
		return Zero, ErrMalformed
	}
	return u, nil
}

// String returns 32 lower-case hexadecimal digits.
func (u UID) String() string { return hex.EncodeToString(u[:]) }

// IsZero reports whether u was never set.
func (u UID) IsZero() bool { return u == Zero }

// MarshalText writes what String does.
func (u UID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what Parse does.
func (u *UID) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*u = v
	return nil
}

// NewV7 returns a UUIDv7 (RFC 9562, section 5.7) in its canonical text form:
// ids made later sort later, to the millisecond.
func NewV7(now time.Time) string {
	var u UID
	rand.Read(u[:])
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return canonical(u)
}

func canonical(u UID) string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
