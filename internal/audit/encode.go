package audit

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/uid"
)

// appendLine appends the entry as one line of JSON, newline included. It is
// written by hand because it stands in the way of every request.
func appendLine(b []byte, e *Entry, now time.Time) []byte {
	if !e.Time.IsZero() {
		now = e.Time
	}
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendString(b, `,"phase":`, string(e.Phase))
	b = appendString(b, `,"operation":`, e.Operation)
	b = appendWho(b, e)
	b = appendWhat(b, e)
	b = appendString(b, `,"outcome":`, string(e.Outcome))
	b = appendString(b, `,"code":`, e.Code)
	b = appendUint(b, `,"duration_us":`, uint64(max(e.Duration.Microseconds(), 0)))
	b = appendString(b, `,"event":`, e.Event)
	b = appendString(b, `,"detail":`, e.Detail)
	b = appendUint(b, `,"lost":`, e.Lost)
	return append(b, '}', '\n')
}

func appendWho(b []byte, e *Entry) []byte {
	b = appendString(b, `,"client":`, e.Client)
	b = appendUID(b, `,"client_uid":`, e.ClientUID)
	b = appendString(b, `,"token_id":`, e.TokenID)
	b = appendString(b, `,"secret_id":`, e.SecretID)
	b = appendString(b, `,"binding":`, e.Binding)
	b = appendString(b, `,"thumbprint":`, e.Thumbprint)
	b = appendString(b, `,"address":`, e.Address)
	b = appendString(b, `,"request_id":`, e.RequestID)
	return appendString(b, `,"traceparent":`, e.TraceParent)
}

func appendWhat(b []byte, e *Entry) []byte {
	b = appendString(b, `,"action":`, e.Action)
	b = appendString(b, `,"integration":`, e.Integration)
	b = appendString(b, `,"collection":`, e.Collection)
	b = appendString(b, `,"record":`, e.Record)
	b = appendUint(b, `,"revision":`, e.Revision)
	b = appendString(b, `,"target":`, e.Target)
	b = appendStrings(b, `,"fields":`, e.Fields)
	b = appendStrings(b, `,"masked":`, e.Masked)
	b = appendStrings(b, `,"withheld":`, e.Withheld)
	b = appendStrings(b, `,"searched":`, e.Searched)
	b = appendStrings(b, `,"records":`, e.Records)
	b = appendUint(b, `,"count":`, e.Count)
	b = appendString(b, `,"purpose":`, e.Purpose)
	b = appendString(b, `,"approval":`, e.Approval)
	b = appendString(b, `,"change":`, e.Change)
	return appendString(b, `,"requester":`, e.Requester)
}

func appendString(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendQuoted(append(b, name...), s)
}

func appendStrings(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(append(b, name...), '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, s)
	}
	return append(b, ']')
}

func appendUint(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, name...), n, 10)
}

func appendUID(b []byte, name string, u uid.UID) []byte {
	if u.IsZero() {
		return b
	}
	b = append(append(b, name...), '"')
	return append(hex.AppendEncode(b, u[:]), '"')
}

// plain marks the ASCII characters that stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendQuoted appends s as a JSON string (RFC 8259, section 7) that is safe to
// show on a terminal: besides what JSON asks for, every character that is not
// printable is escaped, among them DEL, the C1 controls, line separators and
// the controls of writing direction. Invalid UTF-8 becomes U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if !plain[c] {
				b = appendEscape(append(b, s[start:i]...), rune(c))
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !unicode.IsPrint(r) || r == utf8.RuneError && size == 1 {
			b = appendEscape(append(b, s[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

const hexDigits = "0123456789abcdef"

func appendEscape(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r >= 0x10000:
		r -= 0x10000
		return appendEscape(appendEscape(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
