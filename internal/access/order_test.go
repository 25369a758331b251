package access

import (
	"testing"

	"pgregory.net/rapid"
)

// everyGrant is none, clear and every mask, with some arguments.
var everyGrant = []string{
	"none", "mask:redact", "mask:fixed:a", "mask:fixed:b", "mask:hash", "mask:year", "mask:last4", "mask:domain", "mask:email",
	"mask:first:1", "mask:first:2", "mask:first:5", "mask:first:16", "clear",
}

func drawGrant(t *rapid.T, label string) Grant {
	g, ok := parseGrant(rapid.SampledFrom(everyGrant).Draw(t, label))
	if !ok {
		t.Fatal("not a grant")
	}
	return g
}

// shownAs is what a reader with a grant gets to see of a text.
func shownAs(g Grant, text string) string {
	switch g.Kind {
	case Clear:
		return text
	case None:
		return ""
	}
	return string(Mask(nil, g.Mask, quoted(text), testHash{}))
}

// maskable draws texts that masks say something about, and often ones that are
// alike in part.
func maskable(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.StringMatching(`[ab]{1,3}(oe|xyz)@(x|mail\.x)\.org`),
		rapid.StringMatching(`19(84|85)-0[1-3]-1[0-4](T10:00:00Z)?`),
		rapid.StringMatching(`[ab]{3}[0-9]{0,9}[12]{4}`),
		rapid.StringMatching(`.{0,12}`),
		rapid.SampledFrom([]string{"", "a", "aa", "aaa", "\x00bcdef", "a\nbcdefghi"}),
	).Draw(t, label)
}

// If g tells at most what h tells, values that look alike under h look alike
// under g: what g shows can be worked out from what h shows.
func TestAStricterMaskTellsNothingMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, h := drawGrant(t, "g"), drawGrant(t, "h")
		v, w := maskable(t, "v"), maskable(t, "w")
		if g.tellsAtMost(h) && shownAs(h, v) == shownAs(h, w) && shownAs(g, v) != shownAs(g, w) {
			t.Fatalf("%s tells %q from %q and %s does not", g, v, w, h)
		}
	})
}

func TestStrictnessIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawGrant(t, "a"), drawGrant(t, "b"), drawGrant(t, "c")
		if !a.tellsAtMost(a) || a.tellsAtMost(b) && b.tellsAtMost(c) && !a.tellsAtMost(c) {
			t.Fatalf("%s, %s, %s: not reflexive or not transitive", a, b, c)
		}
		if a.tellsAtMost(b) && !b.tellsAtMost(a) && a.rank() >= b.rank() {
			t.Fatalf("%s is stricter than %s and has no lower rank", a, b)
		}
		under := stricter(a, b)
		if under != stricter(b, a) || !under.tellsAtMost(a) || !under.tellsAtMost(b) {
			t.Fatalf("the stricter of %s and %s is %s", a, b, under)
		}
		if c.tellsAtMost(a) && c.tellsAtMost(b) && !c.tellsAtMost(under) {
			t.Fatalf("%s is under %s and %s, and not under %s", c, a, b, under)
		}
		over := looser(a, b)
		if over != looser(b, a) || over != a && over != b || looser(over, c) != looser(a, looser(b, c)) {
			t.Fatalf("the looser of %s and %s is %s: not one of them, or it depends on the order", a, b, over)
		}
	})
}

// Each pair that can't be compared has values that each tells apart and the
// other does not, so that neither may stand for the other. hash tells all values
// apart, and yet nothing of any: what it shows can't be worked back.
func TestMasksThatCannotBeComparedDiffer(t *testing.T) {
	texts := []string{
		"axxe@x.org", "bxxe@x.org", "axxe@x.com", "axxf@x.org", "abxxe@x.org", "abxxe@ax.org", "1984-01-10", "1984-01-11", "1985-01-10",
		"abcdefghijkl1234", "abcdefghijkl9234", "abcdefghijk91234", "xbcdefghijkl1234", "axcdefghijkl1234", "abxdefghijkl1234", "abcdxfghijkl1234",
		"xbcdefghijklmnopqrstuvwxyz1234", "abcdefghijklmnopqrstuvwxyz1234", "1985-01-10T10:00:00Z", "1984-01-10T10:00:00Z",
	}
	separates := func(g, h Grant) bool {
		for _, v := range texts {
			for _, w := range texts {
				if shownAs(h, v) == shownAs(h, w) && shownAs(g, v) != shownAs(g, w) {
					return true
				}
			}
		}
		return false
	}
	for _, one := range everyGrant {
		for _, other := range everyGrant {
			g, _ := parseGrant(one)
			h, _ := parseGrant(other)
			if !g.tellsAtMost(h) && h.Kind != None && h.rank() < 10 && h.Mask != MaskHash && !separates(g, h) {
				t.Errorf("%s is said to tell what %s does not, and no value shows it", g, h)
			}
		}
	}
}
