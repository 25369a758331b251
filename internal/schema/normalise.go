package schema

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/norm"
)

// ErrNotIndexable comes when a value is neither string nor number nor null.
var ErrNotIndexable = errors.New("schema: only strings and numbers can be looked up")

// ErrNormaliser comes when a normaliser has an unknown name.
var ErrNormaliser = errors.New("schema: the normalisers are none, lowercase, nfkc and digits")

// Normalise returns what the blind index compares of a value: equal bytes for
// values that count as equal. It returns nil for a value that has no token
// and is never found: null, and a text without a digit under `digits`.
//
// Strings begin with an s, then come their UTF-8 bytes: as they are (none),
// in Unicode lower case (lowercase), in normalisation form KC of UAX #15
// (nfkc), or only the decimal digits of that form (digits). Numbers begin
// with an n, then come sign, significant digits, an e and the exponent:
// 1, 1.0 and 10e-1 are the same number whatever their literals.
func Normalise(how string, json []byte) ([]byte, error) {
	json = bytes.TrimSpace(json)
	switch {
	case len(json) == 0:
		return nil, ErrNotIndexable
	case json[0] == '"':
		text, err := jsontext.AppendUnquote(nil, json)
		if err != nil {
			return nil, ErrNotIndexable
		}
		return normaliseText(how, text)
	case string(json) == "null":
		return nil, nil
	case json[0] == '-' || json[0] >= '0' && json[0] <= '9':
		if !jsontext.Value(json).IsValid() || !numberFits(json) {
			return nil, ErrNotIndexable
		}
		return canonicalNumber(json), nil
	}
	return nil, ErrNotIndexable
}

func normaliseText(how string, text []byte) ([]byte, error) {
	switch how {
	case "none", "":
	case "lowercase":
		text = []byte(strings.ToLower(string(text)))
	case "nfkc":
		text = norm.NFKC.Bytes(text)
	case "digits":
		text = bytes.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, norm.NFKC.Bytes(text))
		if len(text) == 0 {
			return nil, nil
		}
	default:
		return nil, ErrNormaliser
	}
	return append([]byte{'s'}, text...), nil
}

// canonicalNumber writes a JSON number so that equal numbers are equal bytes.
func canonicalNumber(literal []byte) []byte {
	text, negative := strings.CutPrefix(string(literal), "-")
	exponent := 0
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		exponent, _ = strconv.Atoi(text[e+1:]) // within MaxExponent
		text = text[:e]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(significant)
	if significant == "" {
		return []byte("n0")
	}
	out := []byte{'n'}
	if negative {
		out = append(out, '-')
	}
	out = append(out, significant...)
	return strconv.AppendInt(append(out, 'e'), int64(exponent), 10)
}
