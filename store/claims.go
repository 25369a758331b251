package store

import (
	"encoding/json"
	"strconv"
	"strings"

	"strongroom/internal/access"
)

// fits reports whether every claim that a rule names is there, and is as its
// pattern says.
func (r IssuerRule) fits(claims map[string]any) bool {
	for path, pattern := range r.Claims {
		if !claimFits(claimAt(claims, path), pattern) {
			return false
		}
	}
	return len(r.Claims) > 0
}

// claimAt follows a path: a JSON Pointer without its first slash.
func claimAt(claims map[string]any, path string) any {
	var value any = claims
	for token := range strings.SplitSeq(path, "/") {
		members, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = members[strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")]
	}
	return value
}

// claimFits compares a text, a number, a boolean, or any member of a list of
// them. An object fits nothing, and what is not there fits nothing.
func claimFits(value any, pattern string) bool {
	switch v := value.(type) {
	case string:
		return access.MatchPattern(pattern, v)
	case bool:
		return access.MatchPattern(pattern, strconv.FormatBool(v))
	case json.Number:
		return access.MatchPattern(pattern, v.String())
	case []any:
		for _, one := range v {
			if _, nested := one.([]any); !nested && claimFits(one, pattern) {
				return true
			}
		}
	}
	return false
}
