package access

import "strings"

// Kind says how a field may be read.
type Kind uint8

// The kinds, from the least to the most permissive.
const (
	None   Kind = iota // withheld
	Masked             // only as its mask shows it
	Clear              // as it is
)

// String returns none, masked or clear.
func (k Kind) String() string { return [...]string{"none", "masked", "clear"}[k] }

// Grant is what a decision gives of one field. Mask is set when Kind is
// Masked. The zero Grant gives nothing.
type Grant struct {
	Kind Kind
	Mask string
}

var clearGrant = Grant{Kind: Clear}

// String returns the text that a role uses: none, clear or mask:NAME.
func (g Grant) String() string {
	if g.Kind == Masked {
		return "mask:" + g.Mask
	}
	return g.Kind.String()
}

// parseGrant reads what String writes; false for anything else.
func parseGrant(s string) (Grant, bool) {
	switch s {
	case "none":
		return Grant{}, true
	case "clear":
		return clearGrant, true
	}
	mask, ok := strings.CutPrefix(s, "mask:")
	return Grant{Kind: Masked, Mask: mask}, ok && KnownMask(mask)
}

// maskedGrant takes the mask of a schema; one that this package does not know
// becomes redact.
func maskedGrant(mask string) Grant {
	if !KnownMask(mask) {
		mask = MaskRedact
	}
	return Grant{Kind: Masked, Mask: mask}
}

// strictness orders grants: none, redact, last4, email, clear from the
// strictest to the most permissive. The email mask counts as more permissive
// than last4 because it shows a whole domain and says what the value is.
func (g Grant) strictness() int {
	switch {
	case g.Kind == Clear:
		return 0
	case g.Kind == None:
		return 4
	case g.Mask == MaskEmail:
		return 1
	case g.Mask == MaskLast4:
		return 2
	}
	return 3
}

func stricter(a, b Grant) Grant {
	if b.strictness() > a.strictness() {
		return b
	}
	return a
}

func looser(a, b Grant) Grant {
	if b.strictness() < a.strictness() {
		return b
	}
	return a
}

// Restrained returns what is left of a grant when a field may not be read as
// roles say: the schema's mask, and without one nothing. A role that gives
// another mask leaves the value redacted: neither mask may show what the other
// hides.
func Restrained(g Grant, mask string) Grant {
	switch masked := maskedGrant(mask); {
	case mask == "" || g.Kind == None:
		return Grant{}
	case g.Kind == Clear || g == masked:
		return masked
	}
	return Grant{Kind: Masked, Mask: MaskRedact}
}
