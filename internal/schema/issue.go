package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Issue is one thing that is wrong with a schema or a document.
type Issue struct {
	// Pointer is the JSON Pointer (RFC 6901) of the member at fault; of a
	// missing member, where it should stand. An empty one means the whole.
	Pointer string
	// Detail is the rest of a sentence whose subject is the member. About a
	// document it never contains one of the document's values.
	Detail string
}

// Invalid tells why a schema or a document was refused: at most MaxIssues
// issues, sorted by their pointers, none twice.
type Invalid struct {
	Issues []Issue
	schema bool
}

// Error lists the issues of a schema with their pointers. Of a document it
// gives the details alone: member names that the schema doesn't declare are
// the document's, and errors end up in logs.
func (e *Invalid) Error() string {
	var b strings.Builder
	if e.schema {
		b.WriteString("schema: not acceptable")
	} else {
		b.WriteString("schema: the document doesn't match")
	}
	for i, issue := range e.Issues {
		b.WriteString([]string{"; ", ": "}[btoi(i == 0)])
		if e.schema {
			fmt.Fprintf(&b, "%q ", issue.Pointer)
		}
		b.WriteString(issue.Detail)
		if i == 3 && len(e.Issues) > 4 {
			fmt.Fprintf(&b, "; and %d more", len(e.Issues)-4)
			break
		}
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func invalidDocument(issues ...Issue) *Invalid { return &Invalid{Issues: tidy(issues)} }

func invalidSchema(issues ...Issue) *Invalid { return &Invalid{Issues: tidy(issues), schema: true} }

// tidy sorts the issues, drops repetitions and cuts the list.
func tidy(issues []Issue) []Issue {
	for i := range issues {
		issues[i].Pointer = clip(issues[i].Pointer)
	}
	slices.SortFunc(issues, func(a, b Issue) int {
		if c := strings.Compare(a.Pointer, b.Pointer); c != 0 {
			return c
		}
		return strings.Compare(a.Detail, b.Detail)
	})
	issues = slices.Compact(issues)
	return issues[:min(len(issues), MaxIssues)]
}

// clip shortens a pointer to the nearest ancestor that is no longer than
// 1024 bytes: a document's member names are as long as their writer likes.
func clip(pointer string) string {
	for len(pointer) > 1024 {
		pointer = pointer[:strings.LastIndexByte(pointer, '/')]
	}
	return pointer
}
