package access

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
)

// The largest label set that there can be; the store refuses larger ones.
const (
	maxLabels     = 32
	maxLabelKey   = 63
	maxLabelValue = 256
)

// affordable reports whether a condition stays within maxCost whatever the
// labels are.
func affordable(env *cel.Env, checked *cel.Ast) bool {
	estimate, err := env.EstimateCost(checked, sizes{})
	return err == nil && estimate.Max <= maxCost
}

// sizes tells the cost estimate how large variables can be.
type sizes struct{}

// EstimateSize returns the bounds of a variable, or of a part of one.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	for _, v := range variables {
		if v.name == path[0] {
			return v.size(path[1:])
		}
	}
	return nil
}

// size bounds the variable, or with a path what lies in it.
func (v *variable) size(path []string) *cost.SizeEstimate {
	key, value := cost.RangedSizeEstimate(0, maxLabelKey), cost.RangedSizeEstimate(0, maxLabelValue)
	size := cost.RangedSizeEstimate(0, v.bytes)
	switch {
	case len(path) > 0 && path[0] == "@keys":
		size = key
	case len(path) > 0:
		size = value
	case v.kind == labelsType:
		size = cost.MapSizeEstimate(cost.RangedSizeEstimate(0, maxLabels), key, value)
	}
	return &size
}

// EstimateCallCost leaves functions to the library.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// describeIssues says what is wrong with a condition, and where, in words of
// our own: the library's repeat what stands there.
func describeIssues(issues *cel.Issues) string {
	list := issues.Errors()
	if len(list) == 0 {
		return "This condition is not well-formed."
	}
	first := list[0]
	if first.Location.Line() < 1 {
		return "In this condition " + sentence(first.Message)
	}
	return fmt.Sprintf("Line %d, column %d: %s", first.Location.Line(), first.Location.Column()+1, sentence(first.Message))
}

func sentence(message string) string {
	switch {
	case strings.HasPrefix(message, "Syntax error"):
		return "this is not well-formed CEL."
	case strings.HasPrefix(message, "undeclared reference"):
		return "there is no such name. The names are " + variableNames() + "."
	case strings.Contains(message, "no matching overload"):
		return "an operator or function does not take values of these types. Labels are text."
	case strings.Contains(message, "limit exceeded"), strings.Contains(message, "exceeds"), strings.Contains(message, "recursion"):
		return "this is too long or nested too deeply."
	}
	return "this does not fit the types of what it names."
}

func variableNames() string {
	names := make([]string, len(variables))
	for i, v := range variables {
		names[i] = v.name
	}
	return strings.Join(names, ", ")
}
