package access

import "strings"

// matchGlob reports whether name matches pattern, in which each `*` stands for
// any run of characters, also none. It needs time proportional to the product
// of both lengths at worst, and allocates nothing.
func matchGlob(pattern, name string) bool {
	star, resume := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matchGlob(p, name) {
			return true
		}
	}
	return false
}

// validGlob accepts patterns over the characters of names.
func validGlob(pattern string) bool {
	if pattern == "" || len(pattern) > maxGlob {
		return false
	}
	for i := range len(pattern) {
		c := pattern[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '*') {
			return false
		}
	}
	return pattern[0] != '-'
}

// MatchPattern reports whether a text matches a pattern in which each `*`
// stands for any run of characters, also none; for texts that are no names.
func MatchPattern(pattern, text string) bool { return matchGlob(pattern, text) }

// MatchesAll reports whether a pattern matches every text.
func MatchesAll(pattern string) bool {
	return pattern != "" && strings.Trim(pattern, wildcard) == ""
}
