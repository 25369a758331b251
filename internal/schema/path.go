package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	pointerEscaper   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

// escapeToken writes a member name as a reference token of a JSON Pointer
// (RFC 6901, section 3).
func escapeToken(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return pointerEscaper.Replace(name)
}

// unescapeToken undoes escapeToken.
func unescapeToken(token string) string {
	if strings.IndexByte(token, '~') < 0 {
		return token
	}
	return pointerUnescaper.Replace(token)
}

// pathJoin appends a member name to a field's path.
func pathJoin(path, name string) string {
	if path == "" {
		return escapeToken(name)
	}
	return path + "/" + escapeToken(name)
}

// pathNames returns the member names on a field's path.
func pathNames(path string) []string {
	tokens := strings.Split(path, "/")
	for i, token := range tokens {
		tokens[i] = unescapeToken(token)
	}
	return tokens
}

// nameFault says why a name can't be part of a field's path, or nothing.
// The asterisk is what roles call every other field, and the comma divides
// the fields that a read asks for.
func nameFault(name string) string {
	switch {
	case name == "":
		return "has an empty name, which no field can have"
	case len(name) > MaxNameBytes:
		return "has a name longer than 128 bytes, which no field can have"
	case !utf8.ValidString(name):
		return "has a name that is not UTF-8"
	case strings.ContainsAny(name, "*,"):
		return "has a name with '*' or ',', which mean something where fields are listed"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a name with a control character, which no field can have"
	}
	return ""
}

// plainName reports whether the name is one that nameFault lets pass and
// that needs no escaping, for the ASCII names that nearly all fields have.
func plainName(name []byte) bool {
	if len(name) == 0 || len(name) > MaxNameBytes {
		return false
	}
	for _, c := range name {
		if c < 0x20 || c >= 0x7f || c == '*' || c == ',' || c == '~' || c == '/' || c == '\\' {
			return false
		}
	}
	return true
}
