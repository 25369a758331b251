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

// tellsAtMost is the order of strictness: whoever holds what b shows of a value
// can work out what g shows of it, so that g gives nothing away that b doesn't.
// It is a partial order of what is told:
//
//	none < redact = fixed < first:1 < first:2 < ... < clear
//	       redact         < domain < email          < clear
//	       redact         < last4, year, hash       < clear
//
// and no two of different lines can be compared. redact and each fixed text
// tell the same: that there is a value.
func (g Grant) tellsAtMost(b Grant) bool {
	if g.Kind != Masked || b.Kind != Masked {
		return g.Kind <= b.Kind
	}
	x, y := g.spec(), b.spec()
	switch {
	case x.name == MaskRedact, x.name == MaskFixed:
		return true
	case x.name == MaskDomain && y.name == MaskEmail:
		return true
	}
	return x.name == y.name && x.n <= y.n
}

// spec takes the mask apart; one that does not exist redacts.
func (g Grant) spec() maskSpec {
	spec, ok := parseMask(g.Mask)
	if !ok {
		return maskSpec{name: MaskRedact}
	}
	return spec
}

// rank puts all grants in one line that agrees with the order of strictness,
// the most permissive the highest. It decides between grants that can't be
// compared.
func (g Grant) rank() int {
	switch g.Kind {
	case Clear:
		return 100
	case None:
		return 0
	}
	spec := g.spec()
	switch spec.name {
	case MaskFirst:
		return 10 + spec.n
	case MaskEmail:
		return 9
	case MaskDomain:
		return 8
	case MaskLast4:
		return 7
	case MaskYear:
		return 6
	case MaskHash:
		return 5
	case MaskFixed:
		return 2
	}
	return 1
}

// stricter returns the most permissive grant that tells no more than either:
// the stricter one where they can be compared, else redact, since a mask that
// somebody chose must not be exchanged for one that shows something else.
func stricter(a, b Grant) Grant {
	under, over := a.tellsAtMost(b), b.tellsAtMost(a)
	switch {
	case under && over:
		return lower(a, b)
	case under:
		return a
	case over:
		return b
	}
	return Grant{Kind: Masked, Mask: MaskRedact}
}

// looser returns the more permissive grant. Both were given, so either may be
// shown; of two that can't be compared the one with the higher rank is.
func looser(a, b Grant) Grant {
	if lower(a, b) == a {
		return b
	}
	return a
}

// lower orders grants by rank, and those of one rank by their text.
func lower(a, b Grant) Grant {
	if x, y := a.rank(), b.rank(); x < y || x == y && a.Mask > b.Mask {
		return a
	}
	return b
}

// Stricter returns the most permissive grant that tells no more than either: a
// revision that must pass under two decisions is shown by both.
func Stricter(a, b Grant) Grant { return stricter(a, b) }

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
