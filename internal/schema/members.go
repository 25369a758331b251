package schema

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// member is a member of an object, both halves parts of its text.
type member struct {
	name   string
	quoted []byte
	value  []byte
}

// members lists the members of an object in their order. ok is false when
// the text is no well-formed object.
func members(object []byte) (list []member, ok bool) {
	if trimmed := bytes.TrimLeft(object, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, false
	}
	list, _, err := readMembers(object)
	return list, err == nil
}

// readMembers reads a whole document that must be an object.
func readMembers(doc []byte) ([]member, Issue, error) {
	r := openReader(doc)
	defer r.close()
	list, err := r.object()
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, r.issue(err), err
	}
	return list, Issue{}, nil
}

func (r *reader) object() ([]member, error) {
	if kind := r.dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return nil, &fault{Issue{"", "is not an object"}}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, err
	}
	var list []member
	for r.dec.PeekKind() != '}' {
		quoted, err := r.value()
		if err != nil {
			return nil, err
		}
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		list = append(list, member{unquoteName(quoted), quoted, value})
	}
	_, err := r.dec.ReadToken()
	return list, err
}

// unquoteName decodes a well-formed JSON string.
func unquoteName(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	decoded, _ := jsontext.AppendUnquote(nil, quoted)
	return string(decoded)
}
