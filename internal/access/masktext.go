package access

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// appendFirst shows the first n characters, and never more than a third of
// them: of two characters none, of three to five one. It ends before the first
// one that can't be seen, so that no control character is let through.
func appendFirst(dst, text []byte, n int) []byte {
	n = min(n, utf8.RuneCount(text)/3)
	end := 0
	for range n {
		r, size := utf8.DecodeRune(text[end:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			break
		}
		end += size
	}
	shown := append(append(make([]byte, 0, end+len(stars)), text[:end]...), stars...)
	quoted, err := jsontext.AppendQuote(dst, shown)
	clear(shown)
	if err != nil {
		return appendRedacted(dst)
	}
	return quoted
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

// appendYear shows the year of a date or of a date with a time (RFC 3339).
func appendYear(dst, text []byte) []byte {
	s := string(text)
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return appendRedacted(dst)
		}
	}
	return append(append(append(dst, '"'), s[:4]...), '"')
}

// appendEmail shows the domain of an address, and with letter the first
// character of a local part that has more than three.
func appendEmail(dst, text []byte, letter bool) []byte {
	local, domain, ok := strings.Cut(string(text), "@")
	if !ok || !plausibleLocal(local) || !plausibleDomain(domain) {
		return appendRedacted(dst)
	}
	dst = append(dst, '"')
	if first, size := utf8.DecodeRuneInString(local); letter && shown(first) && utf8.RuneCountInString(local[size:]) >= 3 {
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
