package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"strongroom/internal/span"
)

const (
	mediaJSON   = "application/json"
	mediaMerge  = "application/merge-patch+json"
	mediaNDJSON = "application/x-ndjson"
	mediaForm   = "application/x-www-form-urlencoded"
	mediaBytes  = "application/octet-stream"
	mediaText   = "text/plain; charset=utf-8"
)

// maxDepth bounds how deep the values of a body are nested.
const maxDepth = 64

// readBody reads the body whole, once its media type and size are found right.
// An optional body that was left out is nil.
func (c *call) readBody() ([]byte, error) {
	if c.e.rule&optional != 0 && c.r.ContentLength == 0 {
		return nil, nil
	}
	if err := c.checkMediaType(); err != nil {
		return nil, err
	}
	if c.r.ContentLength > c.s.MaxBody {
		return nil, errTooLarge
	}
	limited := http.MaxBytesReader(c.w, c.r.Body, c.s.MaxBody)
	if c.r.ContentLength <= 0 {
		body, err := io.ReadAll(limited)
		return body, bodyError(err)
	}
	body := make([]byte, c.r.ContentLength)
	_, err := io.ReadFull(limited, body)
	return body, bodyError(err)
}

// bodyError tells a body that is too large from one that did not arrive.
func bodyError(err error) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return errTooLarge
	}
	return refuse(errBody, "the body did not arrive whole")
}

// checkMediaType compares the Content-Type with the one that the endpoint
// takes. Of parameters only charset=utf-8 is accepted.
func (c *call) checkMediaType() error {
	given := c.r.Header.Get("Content-Type")
	if given == c.e.body {
		return nil
	}
	kind, params, err := mime.ParseMediaType(given)
	charset, has := params["charset"]
	if err != nil || kind != c.e.body || has && !strings.EqualFold(charset, "utf-8") {
		return refuse(errMediaType, "this route takes "+c.e.body)
	}
	return nil
}

// refuseBody refuses the body of a request that takes none.
func (c *call) refuseBody() error {
	if c.r.ContentLength == 0 {
		return nil
	}
	var one [1]byte
	if n, _ := io.ReadFull(c.r.Body, one[:]); n > 0 {
		return refuse(errBody, "this route takes no body")
	}
	return nil
}

// decode reads a small JSON body into a T, a struct: unknown members, members
// that come twice, nulls, invalid UTF-8, deep nesting and anything behind the
// object are refused.
func decode[T any](c *call) (T, error) {
	var in T
	body, err := c.readBody()
	if err != nil || body == nil {
		return in, err
	}
	return in, decodeInto(body, &in)
}

func decodeInto(body []byte, in any) error {
	if err := checkText(body); err != nil {
		return err
	}
	if err := noNulls(body); err != nil {
		return err
	}
	return bodyFault(body, json.Unmarshal(body, in, json.RejectUnknownMembers(true)))
}

// checkText bounds the nesting of a body before anything recursive reads it.
// Most bodies have fewer brackets in all than may be nested.
func checkText(body []byte) error {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth {
		return nil
	}
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return refuse(errBody, "the body is nested too deep")
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

// noNulls refuses nulls anywhere but inside of "schema" and "where", which hold
// JSON values of the caller's own: elsewhere a null is no value of any member,
// and taking one for 'absent' would hide a mistake.
func noNulls(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	if dec.PeekKind() != '{' {
		if err := dec.SkipValue(); err != nil {
			return bodyFault(body, err)
		}
		return refuseMember("", "must be an object")
	}
	for {
		token, err := dec.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return bodyFault(body, err)
		}
		if token.Kind() == 'n' {
			return refuseMember(string(dec.StackPointer()), "must not be null")
		}
		if opaqueMember(dec, token) {
			if err := dec.SkipValue(); err != nil {
				return bodyFault(body, err)
			}
		}
	}
}

// opaqueMember reports whether a token is the name of a top-level member whose
// value is the caller's own.
func opaqueMember(dec *jsontext.Decoder, token jsontext.Token) bool {
	if dec.StackDepth() != 1 || token.Kind() != '"' {
		return false
	}
	_, length := dec.StackIndex(1)
	name := token.String()
	return length%2 == 1 && (name == "schema" || name == "where")
}

// bodyFault says what is wrong with a body in words of our own: those of the
// decoder may quote it.
func bodyFault(body []byte, err error) error {
	if err == nil {
		return nil
	}
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	var own *refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &syntactic):
		return refuseMember(string(syntactic.JSONPointer), syntaxDetail(body, syntactic))
	case errors.As(err, &semantic):
		return refuseMember(string(semantic.JSONPointer), semanticDetail(semantic))
	}
	return refuse(errBody, "the body is not well-formed JSON")
}

func syntaxDetail(body []byte, err *jsontext.SyntacticError) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "is there twice"
	case !utf8.Valid(body):
		return "the text is not valid UTF-8"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the JSON text ends too early"
	}
	return "the text is not well-formed JSON"
}

func semanticDetail(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return "is not a member that this route takes"
	}
	if err.GoType == nil {
		return "has the wrong type"
	}
	switch err.GoType {
	case reflect.TypeFor[span.Span]():
		return "must be a duration of whole seconds, such as 36h"
	case reflect.TypeFor[time.Time]():
		return "must be a time such as 2026-01-31T12:00:00Z"
	}
	switch err.GoType.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Uint64, reflect.Int64, reflect.Uint32:
		return "must be a whole number in range"
	case reflect.Map, reflect.Struct:
		return "must be an object"
	case reflect.Slice:
		return "must be an array"
	}
	return "has the wrong type"
}

// wellFormed checks a body that somebody else reads: one JSON object, no name
// twice, valid UTF-8, not nested too deep.
func wellFormed(body []byte) error {
	if err := checkText(body); err != nil {
		return err
	}
	var value jsontext.Value
	if err := json.Unmarshal(body, &value); err != nil {
		return bodyFault(body, err)
	}
	if value.Kind() != '{' {
		return refuseMember("", "must be an object")
	}
	return nil
}
