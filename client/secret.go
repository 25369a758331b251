package client

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// Secret is a value that must not reach a log or an error by accident: every
// ordinary way of printing it says REDACTED. Reveal is the only way to it.
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value itself.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// Format writes REDACTED whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns REDACTED.
func (Secret) String() string { return redacted }

// LogValue returns REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes "REDACTED".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalJSON reads the value itself from a JSON string.
func (s *Secret) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.value) }

// Fields are the opened values of a record: a JSON object, as the server sent
// it, number literals and order kept. They print as REDACTED.
type Fields struct{ raw json.RawMessage }

// NewFields wraps the text of a JSON object.
func NewFields(object []byte) Fields { return Fields{raw: object} }

// Reveal returns the JSON text; nil when the record came without fields.
func (f Fields) Reveal() json.RawMessage { return f.raw }

// Decode unmarshals the object into v.
func (f Fields) Decode(v any) error { return json.Unmarshal(f.raw, v) }

// Text returns a member that is a JSON string. ok is false when there is no
// such member or it is no string.
func (f Fields) Text(name string) (text string, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(f.raw, &members) != nil {
		return "", false
	}
	member, there := members[name]
	if !there || json.Unmarshal(member, &text) != nil {
		return "", false
	}
	return text, true
}

// IsZero reports whether the record came without fields.
func (f Fields) IsZero() bool { return len(f.raw) == 0 }

// Format writes REDACTED whatever the verb.
func (Fields) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns REDACTED.
func (Fields) String() string { return redacted }

// LogValue returns REDACTED.
func (Fields) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes "REDACTED": pass Reveal on where the values are meant.
func (Fields) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalJSON keeps the text.
func (f *Fields) UnmarshalJSON(data []byte) error {
	f.raw = append(f.raw[:0:0], data...)
	return nil
}
