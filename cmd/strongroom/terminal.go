package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// acts reports whether a character does something to whoever looks at it
// instead of being seen: it moves a cursor, turns the order of what is read,
// takes no room, or ends a line. A stored text may hold any, and what a role or
// a label says on a screen must be what it is.
func acts(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// printable writes a text for one line of a screen: what acts is escaped as in
// Go, and so is a byte that is no UTF-8.
func printable(s string) string { return escape(s, "") }

// printableLines is printable for a text of ours that has lines.
func printableLines(s string) string { return escape(s, "\n") }

func escape(s, keep string) string {
	clean := func(r rune) bool { return !acts(r) || strings.ContainsRune(keep, r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !clean(r) }) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case clean(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// printableJSON escapes what acts in a JSON text, where it can stand in strings
// alone: the text means the same.
func printableJSON(text []byte) []byte {
	structure := func(r rune) bool { return r == '\n' || r == '\t' || r == '\r' }
	if !strings.ContainsFunc(string(text), func(r rune) bool { return acts(r) && !structure(r) }) {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	for _, r := range string(text) {
		switch {
		case !acts(r) || structure(r):
			out = utf8.AppendRune(out, r)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := (r-0x10000)>>10, (r-0x10000)&0x3ff
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+high, 0xdc00+low)
		}
	}
	return out
}

// writeValue writes a value as it is, but on a screen so that it can be looked
// at.
func writeValue(w io.Writer, value []byte) error {
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		value = []byte(printableLines(string(value)))
	}
	_, err := w.Write(value)
	return err
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
