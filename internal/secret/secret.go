// Package secret holds values that must not reach a log, an error or a
// response by accident: every ordinary way of printing one says REDACTED.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// Text is a secret string: a client secret, a token, a passphrase. Reveal is
// the only way to its value. Compare with Equal: == tells whether two are
// copies of one Text.
//
// The value lies behind a pointer because fmt goes around every method where it
// meets an unexported field, or the verb %p: it prints an address then.
type Text struct{ value *string }

// New wraps a value.
func New(value string) Text { return Text{&value} }

// Reveal returns the value itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether there is no value.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// Equal compares in constant time for values of equal length.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String returns REDACTED.
func (Text) String() string { return redacted }

// GoString returns REDACTED.
func (Text) GoString() string { return redacted }

// Format writes REDACTED whatever the verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns REDACTED.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes "REDACTED".
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML writes REDACTED.
func (Text) MarshalYAML() (any, error) { return redacted, nil }
