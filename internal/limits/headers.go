package limits

import (
	"strconv"
	"strings"
)

// Policy is the value of the RateLimit-Policy field
// (draft-ietf-httpapi-ratelimit-headers-10): every window that the request was
// counted in. Empty when there is none.
func (t *Ticket) Policy() string {
	first, rest := t.policy, []string(nil)
	for i := range t.claims {
		p := t.claims[i].rule.policy
		switch {
		case p == "" || p == first:
		case first == "":
			first = p
		default:
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		return first
	}
	return first + ", " + strings.Join(rest, ", ")
}

// AppendState appends the value of the RateLimit field: of the tightest window,
// what is left and in how many seconds more of it comes back.
func (t *Ticket) AppendState(b []byte) []byte {
	if t.tight == nil {
		return b
	}
	b = append(b, '"')
	b = append(b, t.tight.name...)
	b = append(b, `";r=`...)
	b = strconv.AppendUint(b, t.tight.told(t.left), 10)
	b = append(b, ";t="...)
	return strconv.AppendInt(b, int64(seconds(t.resetIn)), 10)
}
