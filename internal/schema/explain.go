package schema

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// explain words the engine's findings anew: its own sentences quote the
// document. It uses what the schema says and positions, never what was got,
// not even a length. doc is the document, or nil for one that is no secret.
func explain(e *jsonschema.ValidationError, doc any) []Issue {
	at := pointerOf(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		var issues []Issue
		for _, cause := range e.Causes {
			issues = append(issues, explain(cause, doc)...)
			if len(issues) > 8*MaxIssues {
				break
			}
		}
		return issues
	case *kind.Required:
		return missing(at, k.Missing, "is required")
	case *kind.DependentRequired:
		return missing(at, k.Missing, "is required beside "+strconv.Quote(k.Prop))
	case *kind.AdditionalProperties:
		return missing(at, k.Properties, "is not a property that the schema declares")
	case *kind.PropertyNames:
		return []Issue{{namePointer(e, k.Property, doc), "has a name that the schema doesn't allow"}}
	}
	return []Issue{{at, detail(e.ErrorKind)}}
}

func missing(at string, names []string, why string) []Issue {
	issues := make([]Issue, len(names))
	for i, name := range names {
		issues[i] = Issue{at + "/" + escapeToken(name), why}
	}
	return issues
}

// namePointer points at a member whose name is at fault. The engine may have
// overwritten that location with a sibling's; when the member isn't there,
// the document as a whole is pointed at.
func namePointer(e *jsonschema.ValidationError, name string, doc any) string {
	v := doc
	for _, token := range append(e.InstanceLocation[:len(e.InstanceLocation):len(e.InstanceLocation)], name) {
		switch parent := v.(type) {
		case map[string]any:
			child, ok := parent[token]
			if !ok {
				return ""
			}
			v = child
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(parent) {
				return ""
			}
			v = parent[i]
		default:
			return ""
		}
	}
	return pointerOf(e.InstanceLocation) + "/" + escapeToken(name)
}

func pointerOf(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteByte('/')
		b.WriteString(escapeToken(name))
	}
	return b.String()
}

// detail words the findings that concern one value.
func detail(found jsonschema.ErrorKind) string {
	switch k := found.(type) {
	case *kind.Type:
		return fmt.Sprintf("is of type %s and should be of type %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Enum:
		return "is none of the values that the schema allows"
	case *kind.Const:
		return "is not the value that the schema fixes"
	case *kind.Format:
		return "is not of the format " + k.Want
	case *kind.ContentEncoding:
		return "is not base64: RFC 4648 with padding and without line breaks is expected"
	case *kind.Pattern:
		return "doesn't match the pattern " + k.Want
	case *kind.FalseSchema:
		return "is not allowed by the schema"
	case *kind.Not:
		return "matches a schema that `not` excludes"
	case *kind.AnyOf:
		return "matches none of the schemas of `anyOf`"
	case *kind.OneOf:
		return "matches none or more than one of the schemas of `oneOf`"
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items at %d and %d", k.Duplicates[0], k.Duplicates[1])
	}
	return limit(found)
}

// limit words the findings about sizes.
func limit(found jsonschema.ErrorKind) string {
	switch k := found.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("is shorter than %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("is longer than %d characters", k.Want)
	case *kind.Minimum:
		return "is less than " + decimal(k.Want)
	case *kind.Maximum:
		return "is greater than " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "is not greater than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "is not less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "is not a multiple of " + decimal(k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has fewer than %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has more than %d items", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("has fewer than %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has more than %d members", k.Want)
	case *kind.Contains:
		return "has no item of the kind that `contains` asks for"
	case *kind.MinContains:
		return fmt.Sprintf("has fewer than %d items of the kind that `contains` asks for", k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("has more than %d items of the kind that `contains` asks for", k.Want)
	}
	return "doesn't match the schema"
}

// decimal writes a limit of the schema.
func decimal(limit *big.Rat) string {
	if limit.IsInt() && len(limit.Num().String()) <= 20 {
		return limit.Num().String()
	}
	f, _ := limit.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
