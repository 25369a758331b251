package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, mask, in, want string }{
		{"a card number", MaskLast4, `"4242424242421234"`, `"****1234"`},
		{"separators don't count", MaskLast4, `"4242 4242-4242 12.34"`, `"****1234"`},
		{"nine digits", MaskLast4, `"123456789"`, `"****6789"`},
		{"eight show two", MaskLast4, `"12345678"`, `"****78"`},
		{"seven show one", MaskLast4, `"1234567"`, `"****7"`},
		{"six show one", MaskLast4, `"123456"`, `"****6"`},
		{"five show none", MaskLast4, `"12345"`, `"****"`},
		{"four show none", MaskLast4, `"1234"`, `"****"`},
		{"short however it is padded", MaskLast4, `"--1-2-3-4-5--"`, `"****"`},
		{"nothing", MaskLast4, `""`, `"****"`},
		{"symbols", MaskLast4, `"!!!!!!!!!!!!"`, `"****"`},
		{"not Latin", MaskLast4, `"пароль-надёжный"`, `"****жный"`},
		{"beyond the basic plane", MaskLast4, `"aaaaaaaaa𝒳𝒴𝒵𝒲"`, `"****𝒳𝒴𝒵𝒲"`},
		{"escaped", MaskLast4, `"123456789\u0041\ud835\udcb3"`, `"****89A𝒳"`},
		{"a terminal escape", MaskLast4, `"123456789\u001b[31m"`, `"****931m"`},
		{"a number", MaskLast4, `4242424242421234`, `"****"`},
		{"an object", MaskLast4, `{"a":"4242424242421234"}`, `"****"`},
		{"null", MaskLast4, `null`, `"****"`},
		{"a lone surrogate", MaskLast4, `"123456789\ud800"`, `"****"`},
		{"two values", MaskLast4, `"123456789" "1"`, `"****"`},
		{"no JSON", MaskLast4, `"123456789`, `"****"`},
		{"no text at all", MaskLast4, ``, `"****"`},
		{"an address", MaskEmail, `"jane.doe@example.com"`, `"j****@example.com"`},
		{"a short address", MaskEmail, `"jan@example.com"`, `"****@example.com"`},
		{"a tagged address", MaskEmail, `"jane+tag@mail.example.co.uk"`, `"j****@mail.example.co.uk"`},
		{"an international address", MaskEmail, `"järvi@пример.рф"`, `"j****@пример.рф"`},
		{"a symbol first", MaskEmail, `"_jane@example.com"`, `"****@example.com"`},
		{"an A-label", MaskEmail, `"jane@example.xn--p1ai"`, `"j****@example.xn--p1ai"`},
		{"no address", MaskEmail, `"hunter2"`, `"****"`},
		{"a password with an at sign", MaskEmail, `"pass@word"`, `"****"`},
		{"a password with an at sign and a dot", MaskEmail, `"pass@wo.r4d"`, `"****"`},
		{"two at signs", MaskEmail, `"a@b@example.com"`, `"****"`},
		{"a name before the address", MaskEmail, `"Jane <jane@example.com>"`, `"****"`},
		{"a sentence", MaskEmail, `"my pin: 1234@example.com"`, `"****"`},
		{"a quoted local part", MaskEmail, `"\"ja ne\"@example.com"`, `"****"`},
		{"an address literal", MaskEmail, `"jane@[192.0.2.1]"`, `"****"`},
		{"an empty label", MaskEmail, `"jane@example..com"`, `"****"`},
		{"a label that ends in a hyphen", MaskEmail, `"jane@example-.com"`, `"****"`},
		{"nobody", MaskEmail, `"@example.com"`, `"****"`},
		{"a local part that is too long", MaskEmail, `"` + strings.Repeat("j", 65) + `@example.com"`, `"****"`},
		{"a list", MaskEmail, `["jane@example.com"]`, `"****"`},
		{"redact", MaskRedact, `"anything"`, `"****"`},
		{"redact a number", MaskRedact, `1`, `"****"`},
		{"an unknown mask", "first4", `"4242424242421234"`, `"****"`},
		{"the first three", "first:3", `"+49 170 1234567"`, `"+49****"`},
		{"at most a third", "first:9", `"abcdefg"`, `"ab****"`},
		{"two characters show none", "first:1", `"ab"`, `"****"`},
		{"three show one", "first:3", `"abc"`, `"a****"`},
		{"nothing to show", "first:3", `""`, `"****"`},
		{"the first, not Latin", "first:2", `"пароль"`, `"па****"`},
		{"the first end before a terminal escape", "first:4", `"a\u001b[31mbcdefghijk"`, `"a****"`},
		{"the first are escaped", "first:2", `"\"\\xyzabcdef"`, `"\"\\****"`},
		{"the first of a number", "first:3", `123456789`, `"****"`},
		{"first without a number", "first", `"abcdefghi"`, `"****"`},
		{"first of none", "first:0", `"abcdefghi"`, `"****"`},
		{"first of too many", "first:17", `"abcdefghi"`, `"****"`},
		{"first by another spelling", "first:03", `"abcdefghi"`, `"****"`},
		{"the domain", MaskDomain, `"jane.doe@example.com"`, `"****@example.com"`},
		{"no domain", MaskDomain, `"example.com"`, `"****"`},
		{"the year of a date", MaskYear, `"1984-06-08"`, `"1984"`},
		{"the year of a date with a time", MaskYear, `"1984-06-08T10:00:00+02:00"`, `"1984"`},
		{"the year of no date", MaskYear, `"1984-13-08"`, `"****"`},
		{"the year of a longer text", MaskYear, `"1984-06-08 hunter2"`, `"****"`},
		{"the year of a number", MaskYear, `19840608`, `"****"`},
		{"a fixed text", "fixed:n/a", `"hunter2"`, `"n/a"`},
		{"a fixed text with colons", "fixed:a:b", `1`, `"a:b"`},
		{"no fixed text", "fixed:", `"hunter2"`, `"****"`},
		{"a hash", MaskHash, `"hunter2"`, `"` + hashed("shunter2") + `"`},
		{"a hash heeds characters, not escapes", MaskHash, `"\u0068unter2"`, `"` + hashed("shunter2") + `"`},
		{"a hash of a number", MaskHash, `12`, `"` + hashed("v12") + `"`},
		{"a hash heeds members, not their order", MaskHash, `{"b": 1, "a":2}`, `"` + hashed(`v{"a":2,"b":1}`) + `"`},
		{"a hash of null", MaskHash, `null`, `"****"`},
		{"a hash of no JSON", MaskHash, `"a`, `"****"`},
		{"no mask", "", `"4242424242421234"`, `"****"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(Mask([]byte("x"), c.mask, []byte(c.in), testHash{})); got != "x"+c.want {
				t.Errorf("got %s, want %s", got[1:], c.want)
			}
		})
	}
}

// testHash stands for the key of an integration.
type testHash struct{}

func (testHash) Pseudonym(value []byte) (out [16]byte) {
	mac := hmac.New(sha256.New, []byte("a key of these tests"))
	mac.Write(value)
	copy(out[:], mac.Sum(nil))
	return out
}

func hashed(input string) string {
	sum := testHash{}.Pseudonym([]byte(input))
	return hex.EncodeToString(sum[:])
}

func TestHashWithoutAKeyRedacts(t *testing.T) {
	if got := string(Mask(nil, MaskHash, []byte(`"hunter2"`), nil)); got != `"****"` {
		t.Errorf("got %s", got)
	}
}

// Two values whose hidden parts differ, also in length, must mask alike.
func TestLast4DependsOnTheTailAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tail := rapid.StringMatching(`[a-z0-9]{4}`).Draw(t, "tail")
		head := func(label string) string {
			text := rapid.StringMatching(`[ -]{0,3}[a-zA-Z0-9äβ]{5,30}[ -]{0,3}`).Draw(t, label)
			return string(Mask(nil, MaskLast4, quoted(text+tail), nil))
		}
		if a, b := head("one"), head("other"); a != b || a != `"****`+tail+`"` {
			t.Fatalf("%s and %s", a, b)
		}
	})
}

func quoted(s string) []byte {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		panic(err)
	}
	return text
}

func FuzzMask(f *testing.F) {
	for _, seed := range []string{`"4242424242421234"`, `"jane.doe@example.com"`, `"12345"`, `null`, `"\ud800"`, `"a\u001b[31m@b.c"`, `"💥💥💥💥💥💥💥💥💥"`, `{`} {
		for _, mask := range append(Masks(), "other", "first:1", "first:16", "fixed:n/a") {
			f.Add(mask, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, mask string, in []byte) {
		kept := string(in)
		out := Mask(nil, mask, in, testHash{})
		if string(in) != kept {
			t.Fatal("the value was changed")
		}
		text, err := jsontext.AppendUnquote(nil, out)
		if err != nil {
			t.Fatalf("%q is no masked string: %v", out, err)
		}
		plain, err := jsontext.AppendUnquote(nil, in)
		if err != nil {
			plain = nil
		}
		checkShown(t, mask, string(plain), string(text))
	})
}

// checkShown holds what a mask shows against what it may show of the value.
func checkShown(t *testing.T, mask, plain, masked string) {
	spec, _ := parseMask(mask)
	before, after, _ := strings.Cut(masked, stars)
	switch {
	case masked == stars:
	case spec.name == MaskFixed && masked == spec.text:
	case spec.name == MaskHash && len(masked) == 32 && strings.Trim(masked, "0123456789abcdef") == "":
	case spec.name == MaskYear && len(masked) == 4 && strings.HasPrefix(plain, masked+"-"):
	case spec.name == MaskFirst:
		if head := strings.TrimSuffix(masked, stars); !strings.HasPrefix(plain, head) || 3*utf8.RuneCountInString(head) > utf8.RuneCountInString(plain) || utf8.RuneCountInString(head) > spec.n {
			t.Fatalf("first shows %q of %q", masked, plain)
		}
	case mask == MaskLast4:
		if before != "" || utf8.RuneCountInString(after) > 4 || 2*utf8.RuneCountInString(after) >= utf8.RuneCountInString(plain) {
			t.Fatalf("last4 shows %q of %q", masked, plain)
		}
	case mask == MaskDomain && before != "":
		t.Fatalf("domain shows %q of %q", masked, plain)
	case mask == MaskEmail || mask == MaskDomain:
		if utf8.RuneCountInString(before) > 1 || !strings.HasPrefix(plain, before) || !strings.HasSuffix(plain, after) || after[0] != '@' {
			t.Fatalf("email shows %q of %q", masked, plain)
		}
	default:
		t.Fatalf("mask %q shows %q", mask, masked)
	}
}

func BenchmarkMaskEmail(b *testing.B) {
	in, out := []byte(`"jane.doe@example.com"`), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		out = Mask(out[:0], MaskEmail, in, nil)
	}
}
