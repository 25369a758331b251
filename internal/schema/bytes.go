package schema

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrNotBytes comes when a value is no string of base64.
var ErrNotBytes = errors.New("schema: not a string of base64")

// Bytes returns the bytes that the value of a field with contentEncoding
// base64 stands for (RFC 4648, section 4).
func Bytes(json []byte) ([]byte, error) {
	text, err := jsontext.AppendUnquote(nil, json)
	if err != nil {
		return nil, ErrNotBytes
	}
	raw, err := decodeBase64(string(text))
	if err != nil {
		return nil, ErrNotBytes
	}
	return raw, nil
}
