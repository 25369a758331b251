package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The masks.
const (
	MaskLast4  = "last4"  // the last characters of a number: ****4242
	MaskEmail  = "email"  // the domain of an address: j****@example.com
	MaskRedact = "redact" // nothing but that there is a value: ****
)

// stars stands for whatever is hidden. It has one length, so that no mask tells
// how long a value is.
const stars = "****"

// Masks returns the names of the masks.
func Masks() []string { return []string{MaskLast4, MaskEmail, MaskRedact} }

// KnownMask reports whether there is a mask of this name.
func KnownMask(name string) bool {
	return name == MaskLast4 || name == MaskEmail || name == MaskRedact
}

// Mask appends the masked form of a field's value to dst. Both are JSON text;
// the masked form is always a string. Whatever a mask doesn't understand it
// redacts: a value that is no string, an address that is none, text that is no
// JSON, and any value under a mask that does not exist.
func Mask(dst []byte, mask string, json []byte) []byte {
	var room [256]byte
	if len(json) == 0 || json[0] != '"' {
		return appendRedacted(dst)
	}
	text, err := jsontext.AppendUnquote(room[:0], json)
	switch {
	case err != nil:
		return appendRedacted(dst)
	case mask == MaskLast4:
		return appendLast4(dst, text)
	case mask == MaskEmail:
		return appendEmail(dst, text)
	}
	return appendRedacted(dst)
}

func appendRedacted(dst []byte) []byte {
	return append(append(append(dst, '"'), stars...), '"')
}

// appendLast4 shows the last four letters and digits of a value that has more
// than eight of them. Of eight it shows two, of seven or six one, of five or
// fewer none. Only letters and digits count and are shown, so `12-34-56` is as
// short as it is, and none of them needs escaping in JSON.
func appendLast4(dst, text []byte) []byte {
	n := 0
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if shown(r) {
			n++
		}
	}
	skip := n - last4Shows(n)
	dst = append(append(dst, '"'), stars...)
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if !shown(r) {
			continue
		}
		if skip--; skip < 0 {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

func last4Shows(n int) int {
	switch {
	case n > 8:
		return 4
	case n > 4:
		return (n - 4) / 2
	}
	return 0
}

func shown(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// appendEmail shows the domain of an address, and the first character of a
// local part that has more than three.
func appendEmail(dst, text []byte) []byte {
	local, domain, ok := strings.Cut(string(text), "@")
	if !ok || !plausibleLocal(local) || !plausibleDomain(domain) {
		return appendRedacted(dst)
	}
	dst = append(dst, '"')
	if first, size := utf8.DecodeRuneInString(local); shown(first) && utf8.RuneCountInString(local[size:]) >= 3 {
		dst = utf8.AppendRune(dst, first)
	}
	dst = append(append(append(dst, stars...), '@'), domain...)
	return append(dst, '"')
}

// plausibleLocal accepts the unquoted local parts of RFC 5322 and RFC 6531: a
// sentence or a quoted string before the @ means that this is no plain address.
func plausibleLocal(local string) bool {
	if local == "" || len(local) > 64 {
		return false
	}
	for _, r := range local {
		if !shown(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			return false
		}
	}
	return true
}

// plausibleDomain accepts host names of two labels or more, also
// internationalised ones; the last label has letters alone or is an A-label
// (RFC 5890), so `hunter2.99` is none.
func plausibleDomain(domain string) bool {
	if len(domain) > 253 || !strings.Contains(domain, ".") {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(domain, ".") {
		if !plausibleLabel(label) {
			return false
		}
		last = label
	}
	if strings.HasPrefix(last, "xn--") {
		return true
	}
	return strings.IndexFunc(last, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
}

func plausibleLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, func(r rune) bool { return !shown(r) && r != '-' }) < 0
}
