package access

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The masks. Two of them take an argument after a colon.
const (
	MaskFirst  = "first"  // first:N, the first N characters: +49****
	MaskEmail  = "email"  // the domain of an address, and a letter: j****@example.com
	MaskDomain = "domain" // the domain of an address: ****@example.com
	MaskLast4  = "last4"  // the last characters of a number: ****4242
	MaskYear   = "year"   // the year of a date: 1984
	MaskHash   = "hash"   // a keyed hash: equal values have equal ones
	MaskFixed  = "fixed"  // fixed:TEXT, the same text for every value
	MaskRedact = "redact" // nothing but that there is a value: ****
)

// Bounds of the arguments of masks.
const (
	maxFirst = 16 // characters
	maxFixed = 64 // bytes
)

// stars stands for whatever is hidden. It has one length, so that no mask tells
// how long a value is.
const stars = "****"

// Masks returns the masks as a role writes them, those with an argument with a
// word for it.
func Masks() []string {
	return []string{"first:N", MaskEmail, MaskDomain, MaskLast4, MaskYear, MaskHash, "fixed:TEXT", MaskRedact}
}

// KnownMask reports whether there is such a mask, its argument included.
func KnownMask(mask string) bool {
	_, ok := parseMask(mask)
	return ok
}

// maskSpec is a mask taken apart.
type maskSpec struct {
	name string
	n    int    // of first
	text string // of fixed
}

func parseMask(mask string) (maskSpec, bool) {
	name, argument, given := strings.Cut(mask, ":")
	switch name {
	case MaskFirst:
		n, ok := parseFirst(argument)
		return maskSpec{name: MaskFirst, n: n}, ok
	case MaskFixed:
		return maskSpec{name: MaskFixed, text: argument}, validFixed(argument)
	case MaskEmail, MaskDomain, MaskLast4, MaskYear, MaskHash, MaskRedact:
		return maskSpec{name: name}, !given
	}
	return maskSpec{}, false
}

// parseFirst accepts one way to write each number alone.
func parseFirst(argument string) (int, bool) {
	n, err := strconv.Atoi(argument)
	return n, err == nil && n >= 1 && n <= maxFirst && strconv.Itoa(n) == argument
}

// validFixed accepts a short text of characters that can be seen.
func validFixed(text string) bool {
	return text != "" && len(text) <= maxFixed && utf8.ValidString(text) &&
		strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Pseudonymiser makes the keyed hash of a value for the mask hash: a PRF under
// a key that never leaves the store.
type Pseudonymiser interface {
	Pseudonym(value []byte) [16]byte
}

// Mask appends the masked form of a field's value to dst. Both are JSON text;
// the masked form is always a string. Whatever a mask doesn't understand it
// redacts: a value that is no string, an address that is none, text that is no
// JSON, and any value under a mask that does not exist. Without p the mask hash
// redacts.
func Mask(dst []byte, mask string, json []byte, p Pseudonymiser) []byte {
	spec, known := parseMask(mask)
	switch {
	case !known:
		return appendRedacted(dst)
	case spec.name == MaskFixed:
		return appendQuoted(dst, spec.text)
	case spec.name == MaskHash:
		return appendHash(dst, json, p)
	}
	var room [256]byte
	if len(json) == 0 || json[0] != '"' {
		return appendRedacted(dst)
	}
	text, err := jsontext.AppendUnquote(room[:0], json)
	if err != nil {
		return appendRedacted(dst)
	}
	return appendMasked(dst, spec, text)
}

// appendMasked masks a text.
func appendMasked(dst []byte, spec maskSpec, text []byte) []byte {
	switch spec.name {
	case MaskFirst:
		return appendFirst(dst, text, spec.n)
	case MaskEmail:
		return appendEmail(dst, text, true)
	case MaskDomain:
		return appendEmail(dst, text, false)
	case MaskLast4:
		return appendLast4(dst, text)
	case MaskYear:
		return appendYear(dst, text)
	}
	return appendRedacted(dst)
}

func appendRedacted(dst []byte) []byte {
	return append(append(append(dst, '"'), stars...), '"')
}

func appendQuoted(dst []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		return appendRedacted(dst)
	}
	return quoted
}

// appendHash shows 128 bits of a keyed hash in hexadecimal. Strings are hashed
// by their characters, other values by their JSON text with the members of
// objects in order: how a value was written does not count. Null is redacted:
// it is no value that anything could be joined by.
func appendHash(dst, json []byte, p Pseudonymiser) []byte {
	input, ok := hashInput(json)
	if !ok || p == nil {
		return appendRedacted(dst)
	}
	sum := p.Pseudonym(input)
	clear(input)
	dst = hex.AppendEncode(append(dst, '"'), sum[:])
	return append(dst, '"')
}

// hashInput tells a text from any other value by its first byte, so that "1"
// and 1 have nothing in common.
func hashInput(json []byte) ([]byte, bool) {
	value := jsontext.Value(append([]byte(nil), json...))
	if !value.IsValid() || value.Kind() == 'n' {
		return nil, false
	}
	if value.Kind() == '"' {
		input, err := jsontext.AppendUnquote([]byte{'s'}, value)
		return input, err == nil
	}
	err := value.Format(jsontext.ReorderRawObjects(true), jsontext.Multiline(false))
	return append([]byte{'v'}, value...), err == nil
}
