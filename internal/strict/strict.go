// Package strict reads the definitions that clients write, as JSON, and gathers
// everything that is wrong with one.
package strict

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Issue is one thing that is wrong with, or worth knowing about, a definition or
// a document.
type Issue struct {
	// Pointer is the JSON Pointer (RFC 6901) of the member at fault; of a
	// missing member, where it should stand. An empty one means the whole.
	Pointer string
	// Detail says what it is about the member, and never repeats a value.
	Detail string
}

// Invalid is everything that is wrong with a definition.
type Invalid struct {
	What   string // role, limit
	Issues []Issue
}

// Error names the first issue and how many there are.
func (e *Invalid) Error() string {
	if len(e.Issues) == 0 {
		return "invalid " + e.What
	}
	return fmt.Sprintf("invalid %s (%d): %q: %s", e.What, len(e.Issues), e.Issues[0].Pointer, e.Issues[0].Detail)
}

// Add notes one more issue.
func (e *Invalid) Add(pointer, detail string) {
	e.Issues = append(e.Issues, Issue{pointer, detail})
}

// Err returns e, or nil when nothing is wrong.
func (e *Invalid) Err() error {
	if len(e.Issues) == 0 {
		return nil
	}
	return e
}

// Decode reads a definition of at most so many bytes. An unknown or repeated
// member is refused. Its error is an *Invalid of one issue, in words of our own:
// those of the decoder name Go types and can repeat values.
func Decode(raw []byte, what string, most int, into any) error {
	bad := &Invalid{What: what}
	if len(raw) > most {
		bad.Add("", fmt.Sprintf("has at most %d bytes", most))
	} else if err := json.Unmarshal(raw, into, json.RejectUnknownMembers(true)); err != nil {
		bad.Add(fault(err, what))
	}
	return bad.Err()
}

func fault(err error, what string) (pointer, detail string) {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return string(e.JSONPointer), "stands there twice"
		}
		return string(e.JSONPointer), "is not well-formed JSON"
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(e.Err, json.ErrUnknownName) {
			return string(e.JSONPointer), "is not a member of a " + what
		}
		return string(e.JSONPointer), "has the wrong type or form"
	}
	return "", "is not a " + what + " in JSON"
}
