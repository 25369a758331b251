package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"strongroom/internal/uid"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 6, time.UTC)

func typicalEntry() *Entry {
	return &Entry{
		Time: noon, Phase: Access, Operation: "019b7d5e-2f00-7cc3-98c4-dc0c0c07398f",
		Client: "invoicing", ClientUID: uid.UID{1, 2, 3}, TokenID: "7b1f0a52", SecretID: "sec-1", Binding: "dpop", Thumbprint: "0ZcO",
		Address: "192.0.2.7", RequestID: "req-4f2a", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Action: "read", Integration: "acme-eu", Collection: "customers", Record: "019b7d5e-2f00-7cc3-98c4-dc0c0c07398e",
		Revision: 3, Fields: []string{"email", "name"}, Masked: []string{"card"}, Withheld: []string{"ssn"},
		Outcome: Allowed, Duration: 312 * time.Microsecond,
	}
}

func TestLineIsAsDrawn(t *testing.T) {
	const want = `{"time":"2026-01-02T12:00:00.000000006Z","phase":"access","operation":"019b7d5e-2f00-7cc3-98c4-dc0c0c07398f",` +
		`"client":"invoicing","client_uid":"01020300000000000000000000000000","token_id":"7b1f0a52","secret_id":"sec-1","binding":"dpop","thumbprint":"0ZcO",` +
		`"address":"192.0.2.7","request_id":"req-4f2a","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",` +
		`"action":"read","integration":"acme-eu","collection":"customers","record":"019b7d5e-2f00-7cc3-98c4-dc0c0c07398e",` +
		`"revision":3,"fields":["email","name"],"masked":["card"],"withheld":["ssn"],"outcome":"allowed","duration_us":312}` + "\n"
	if diff := cmp.Diff(want, string(appendLine(nil, typicalEntry(), time.Time{}))); diff != "" {
		t.Error(diff)
	}
}

func TestQuotingIsSafeToShow(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "acme-eu /'<&>", `"acme-eu /'<&>"`},
		{"a quote and a backslash", `a"b\c`, `"a\"b\\c"`},
		{"a newline", "a\nb", `"a\u000ab"`},
		{"a forged entry", "x\"}\n{\"phase\":\"event\"", `"x\"}\u000a{\"phase\":\"event\""`},
		{"a terminal escape", "\x1b[31mred\x1b]0;t\x07", `"\u001b[31mred\u001b]0;t\u0007"`},
		{"NUL and DEL", "\x00\x7f", `"\u0000\u007f"`},
		{"a C1 control", "\u009b31m", `"\u009b31m"`},
		{"writing direction", "a\u202eb\u2066c", `"a\u202eb\u2066c"`},
		{"line separators", "a\u2028b\u2029", `"a\u2028b\u2029"`},
		{"a byte order mark", "\ufeffa", `"\ufeffa"`},
		{"letters of the world", "prüfung-検査-𝒳", `"prüfung-検査-𝒳"`},
		{"a character for private use beyond the basic plane", "\U0010fffd", `"\udbff\udffd"`},
		{"invalid UTF-8", "a\xffb\xc3", `"a\ufffdb\ufffd"`},
		{"an encoded surrogate", "\xed\xa0\x80", `"\ufffd\ufffd\ufffd"`},
		{"a replacement character", "\ufffd", "\"\ufffd\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(appendQuoted(nil, c.in)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a\"\\\n", "\x1b[0m", "\xff", "\u009b\u202e\U0010fffd", "検査"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendQuoted(nil, s)
		back, err := jsontext.AppendUnquote(nil, text)
		if err != nil || string(back) != strings.ToValidUTF8(replaceEach(s), "") {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
		for _, r := range string(text) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%s holds %U", text, r)
			}
		}
	})
}

// replaceEach puts U+FFFD in the place of every byte that is not UTF-8.
func replaceEach(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func drawText(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[\x00-\x20"\\\x7f-\xa0]{1,5}`)).Filter(utf8.ValidString).Draw(t, label)
}

func drawEntry(t *rapid.T) *Entry {
	text := func(label string) string { return drawText(t, label) }
	list := func(label string) (out []string) {
		for range rapid.IntRange(0, 3).Draw(t, label) {
			out = append(out, text(label))
		}
		return out
	}
	return &Entry{
		Time:  time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "time")).UTC(),
		Phase: rapid.SampledFrom([]Phase{Intent, Outcome, Access, Event}).Draw(t, "phase"), Operation: text("operation"),
		Client: text("client"), ClientUID: uid.UID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid")),
		TokenID: text("token"), SecretID: text("secret"), Binding: text("binding"), Thumbprint: text("thumbprint"), Address: text("address"), RequestID: text("request"), TraceParent: text("trace"),
		Action: text("action"), Integration: text("integration"), Collection: text("collection"), Record: text("record"),
		Revision: rapid.Uint64().Draw(t, "revision"), Target: text("target"),
		Fields: list("fields"), Masked: list("masked"), Withheld: list("withheld"), Searched: list("searched"), Records: list("records"),
		Count: rapid.Uint64().Draw(t, "count"), Purpose: text("purpose"), Approval: text("approval"),
		Change: text("change"), Requester: text("requester"), Outcome: rapid.SampledFrom([]Result{Allowed, Denied, Failed, ""}).Draw(t, "outcome"),
		Code: text("code"), Duration: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "us")) * time.Microsecond,
		Event: text("event"), Detail: text("detail"), Lost: rapid.Uint64().Draw(t, "lost"),
	}
}

func TestEveryEntryComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		line := appendLine([]byte("kept"), want, noon)
		if !bytes.HasPrefix(line, []byte("kept{")) || bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("%q is not one line", line)
		}
		got, err := parseLine(line[4:])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(*want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEncodingAllocatesNothing(t *testing.T) {
	e, b := typicalEntry(), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { b = appendLine(b[:0], e, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	e, out := typicalEntry(), make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		out = appendLine(out[:0], e, noon)
	}
	b.ReportMetric(float64(len(out)), "B/entry")
}
