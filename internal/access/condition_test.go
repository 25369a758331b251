package access

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The facts of these tests, and conditions with what they say of them.
var (
	someFacts = Facts{
		Who: &Principal{
			Client: "invoicing", Labels: map[string]string{"owner": "cust-42", "env": "prod"},
			Address: "10.1.2.3", Purpose: "billing", Binding: "dpop",
		},
		At:     time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Record: "rec-1",
		Labels: StringLabels{"owner": "cust-42", "data.class": "restricted"},
	}
	someConditions = []struct {
		text     string
		says     result
		ofRecord bool
	}{
		{`record.labels.owner == client.labels.owner`, holds, true},
		{`record.labels.owner == "cust-7"`, fails, true},
		{`record.labels.nobody == client.labels.owner`, broken, true},
		{`record.labels["data.class"] in ["public", "restricted"]`, holds, true},
		{`!has(record.labels.region)`, holds, true},
		{`has(record.labels.region) && record.labels.region == "eu"`, fails, true},
		{`record.id.startsWith("rec-")`, holds, true},
		{`record.labels.exists(k, k == "owner")`, holds, true},
		{`record.labels.all(k, record.labels[k] != "")`, holds, true},
		{`size(record.labels) == 2`, holds, true},
		{`"owner" in record.labels`, holds, true},
		{`record.labels == client.labels`, fails, true},
		{`record.labels.nobody == "x" || client.name == "invoicing"`, holds, true},
		{`client.name == "invoicing"`, holds, false},
		{`client.labels.env == "test"`, fails, false},
		{`client.labels.nobody == "x"`, broken, false},
		{`request.purpose == "billing"`, holds, false},
		{`request.bound && request.binding == "dpop"`, holds, false},
		{`cidr("10.0.0.0/8").containsIP(request.address)`, holds, false},
		{`ip(client.name).isLoopback()`, broken, false},
		{`request.time.getHours() >= 7 && request.time.getHours() < 19`, holds, false},
		{`request.time > timestamp("2030-01-01T00:00:00Z")`, fails, false},
		{`client.name.matches("^inv")`, holds, false},
		{`1 / 0 == 1`, broken, false},
		{`true`, holds, false},
	}
)

func compileText(t testing.TB, text string) *condition {
	t.Helper()
	c, detail := compileCondition(text)
	if detail != "" {
		t.Fatalf("%s: %s", text, detail)
	}
	return c
}

func TestConditions(t *testing.T) {
	for _, c := range someConditions {
		t.Run(c.text, func(t *testing.T) {
			compiled := compileText(t, c.text)
			if got := compiled.judge(&someFacts); got != c.says {
				t.Errorf("it says %c, want %c", got, c.says)
			}
			if compiled.ofRecord != c.ofRecord {
				t.Errorf("of the record: %v, want %v", compiled.ofRecord, c.ofRecord)
			}
		})
	}
}

func TestAConditionNamesTheLabelsThatAreMissing(t *testing.T) {
	c := compileText(t, `record.labels.nobody == client.labels.owner && record.labels["region-2"] == client.labels.tier && has(record.labels.x)`)
	if diff := cmp.Diff([]string{"record.labels.nobody", "record.labels.region-2", "client.labels.tier"}, c.missing(&someFacts)); diff != "" {
		t.Error(diff)
	}
}

// What runs is bounded also where the estimate would be wrong: the limit on
// what it costs ends it, and what was ended denies.
func TestAConditionThatRunsTooLongDenies(t *testing.T) {
	labels := StringLabels{}
	for i := range 2000 {
		labels[strings.Repeat("k", i%7)+string(rune('a'+i%26))+string(rune('0'+i/26%10))+string(rune('0'+i/260))] = "v"
	}
	c := compileText(t, `record.labels.all(a, record.labels.all(b, record.labels[b] != "x"))`)
	f := someFacts
	f.Labels = labels
	if got := c.judge(&f); got != broken {
		t.Errorf("%d labels were gone through twice over: %c", len(labels), got)
	}
	f.Labels = StringLabels{"a": "y"}
	if got := c.judge(&f); got != holds {
		t.Errorf("with one label it says %c", got)
	}
}

// What a condition's error says repeats nothing of the condition.
func TestErrorsOfConditionsRepeatNothing(t *testing.T) {
	for _, text := range []string{`"hunter2`, `hunter2`, `record.labels.owner == hunter2`, `"hunter2" + 1 == ""`, `matches("hunter2")`, `cidr("hunter2") == 1`, `record.labels.hunter2`} {
		_, detail := compileCondition(text)
		if detail == "" || strings.Contains(detail, "hunter2") {
			t.Errorf("%s: %q", text, detail)
		}
	}
}

// conditional returns the rule with a condition in its place.
func conditional(r Rule, text string) Rule {
	r.When, _ = json.Marshal(text)
	r.condition, _ = compileCondition(text)
	return r
}

var noRecord = Facts{Who: someFacts.Who, At: someFacts.At}

// A settled decision is that of the rules whose conditions hold, less what the
// rules with broken ones withhold; and before it is settled it grants no more.
func TestSettledDecisionsAgreeWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		var m model
		for _, r := range drawRules(t) {
			if rapid.Bool().Draw(t, "without a condition") {
				rules, m.rules = append(rules, r), append(m.rules, r)
				continue
			}
			c := rapid.SampledFrom(someConditions).Draw(t, "when")
			rules = append(rules, conditional(r, c.text))
			switch c.says {
			case holds:
				m.rules = append(m.rules, r)
			case broken:
				m.failed = append(m.failed, r)
			}
		}
		fields := drawFields(t)
		in, col := rapid.SampledFrom(modelNamesOf).Draw(t, "in"), rapid.SampledFrom(modelNamesOf).Draw(t, "col")
		d := policyOf(rules, rapid.Bool().Draw(t, "apart")).For(in, col, fields)
		partly := d.ForRequest(&noRecord)
		settled := partly.ForRecord(&someFacts)
		if !settled.Settled() || settled != d.ForRecord(&someFacts) {
			t.Fatal("settling in one step and in two differ, or it isn't settled")
		}
		compareAll(t, m, settled, in, col, fields)
		for _, a := range Actions() {
			if settled.Allows(a) && !partly.Could(a) || partly.Allows(a) && !settled.Allows(a) || partly.Could(a) && !d.Could(a) {
				t.Fatalf("%s: %v, could be %v, then %v, could be %v, then %v", a, d.Allows(a), d.Could(a), partly.Allows(a), partly.Could(a), settled.Allows(a))
			}
			for _, f := range fields {
				if !settled.Read(a, f.Path).tellsAtMost(widened(d.CouldRead(a, f.Path))) {
					t.Fatalf("%s of %s: %s, and could be %s at best", a, f.Path, settled.Read(a, f.Path), d.CouldRead(a, f.Path))
				}
			}
		}
	})
}

// widened widens a mask to clear: of masks that can't be compared the best guess
// may name another.
func widened(g Grant) Grant {
	if g.Kind == Masked {
		return clearGrant
	}
	return g
}

func TestOneOutcomeIsDecidedOnce(t *testing.T) {
	rule := conditional(Rule{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{ActionRead}, Read: map[string]string{"*": "clear"}}, `record.labels.owner == client.labels.owner`)
	d := policyOf([]Rule{rule}, false).For("acme", "c", customerFields)
	mine, theirs := someFacts, someFacts
	mine.Record = "another"
	theirs.Labels = StringLabels{"owner": "cust-7"}
	if d.ForRecord(&someFacts) != d.ForRecord(&mine) {
		t.Error("the decision for an outcome was made again")
	}
	if d.ForRecord(&mine) == d.ForRecord(&theirs) || d.ForRecord(&mine).Hash() == d.ForRecord(&theirs).Hash() {
		t.Error("two outcomes have one decision, or one hash")
	}
}

func TestTheDecisionsThatAreKeptAreBounded(t *testing.T) {
	var rules []Rule
	for i := range 12 {
		label := string(rune('a' + i))
		rules = append(rules, conditional(Rule{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{ActionRead}, Read: map[string]string{"id": "clear"}}, `record.labels.`+label+` == "1"`))
	}
	d := policyOf(rules, false).For("acme", "c", customerFields)
	for n := range 1 << 10 {
		f := someFacts
		labels := StringLabels{}
		for i := range 12 {
			labels[string(rune('a'+i))] = string(rune('0' + n>>i&1))
		}
		f.Labels = labels
		if got := d.ForRecord(&f); got.Allows(ActionRead) != (n != 0) {
			t.Fatalf("with %d of the labels set, reading is %v", n, got.Allows(ActionRead))
		}
	}
	if kept := len(*d.open.variants.Load()); kept != maxVariants {
		t.Errorf("%d decisions are kept, want %d", kept, maxVariants)
	}
}

func TestConditionsAreCompiledWhenARoleIsRead(t *testing.T) {
	raw := `{"rules":[` + strings.TrimSuffix(strings.Repeat(`{"integrations":["*"],"collections":["*"],"actions":["read"],"when":"record.labels.a == 'b'"},`, 9), ",") + `]}`
	before := Compiled()
	role := parsed(t, raw)
	if got := Compiled() - before; got != 1 {
		t.Errorf("nine equal conditions were compiled %d times", got)
	}
	p := NewPolicy(map[string]*Role{"r": role}, []string{"r"}, false)
	for range 10 {
		p.For("acme", "c", customerFields).ForRecord(&someFacts)
	}
	if got := Compiled() - before; got != 1 {
		t.Errorf("after ten decisions there were %d compilations", got)
	}
}

func TestARoleHasABoundedNumberOfConditions(t *testing.T) {
	var rules []string
	for i := range maxConditions + 1 {
		rules = append(rules, `{"integrations":["*"],"collections":["*"],"actions":["read"],"when":"record.labels.a == '`+strings.Repeat("x", i)+`'"}`)
	}
	_, err := ParseRole([]byte(`{"rules":[` + strings.Join(rules, ",") + `]}`))
	if err == nil || !strings.Contains(err.Error(), "different conditions") {
		t.Errorf("error %v", err)
	}
}

func TestASettledDecisionAllocatesNothing(t *testing.T) {
	d := benchDecision(t)
	if got := testing.AllocsPerRun(100, func() { d.ForRequest(&someFacts).ForRecord(&someFacts).Could(ActionRead) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzCondition(f *testing.F) {
	for _, c := range someConditions {
		f.Add(c.text)
	}
	f.Add(`"x`)
	f.Add(`record.labels.map(k, record.labels[k])`)
	f.Fuzz(func(t *testing.T, text string) {
		c, detail := compileCondition(text)
		if (c == nil) == (detail == "") {
			t.Fatalf("a condition and an error, or neither: %q", detail)
		}
		if c == nil {
			return
		}
		if !slices.Contains([]result{holds, fails, broken}, c.judge(&someFacts)) {
			t.Fatal("it says none of three things")
		}
		if again := c.judge(&noRecord); c.ofRecord && again == holds && c.judge(&noRecord) != holds {
			t.Fatal("it says one thing and then another")
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	for _, text := range []string{`record.labels.owner == client.labels.owner`, `record.labels.exists(k, k == "owner")`, `cidr("10.0.0.0/8").containsIP(request.address)`} {
		b.Run(text, func(b *testing.B) {
			c := compileText(b, text)
			b.ReportAllocs()
			for b.Loop() {
				c.judge(&someFacts)
			}
		})
	}
}

func BenchmarkSettle(b *testing.B) {
	for _, n := range []int{0, 1, 8} {
		b.Run(string(rune('0'+n))+" conditions", func(b *testing.B) {
			rules := []Rule{{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{ActionList}}}
			for i := range n {
				rules = append(rules, conditional(Rule{Integrations: []string{"*"}, Collections: []string{"*"}, Actions: []Action{ActionRead}, Read: map[string]string{"id": "clear"}}, `record.labels.owner == "cust-4`+string(rune('0'+i))+`"`))
			}
			d := policyOf(rules, false).For("acme", "c", customerFields)
			b.ReportAllocs()
			for b.Loop() {
				d.ForRecord(&someFacts)
			}
		})
	}
}

func TestWhatMaySurpriseIsTold(t *testing.T) {
	role := parsed(t, `{"rules":[
		{"integrations":["*"],"collections":["*"],"actions":["read","create"],"read":{"a":"mask:hash","b":"mask:hash","*":"clear"},"write":["a","c"],"when":"record.labels.owner == client.labels.owner"},
		{"integrations":["*"],"collections":["*"],"actions":["create"],"write":["a"],"when":"request.bound"},
		{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"a":"none"},"write":["a"]}]}`)
	var got []string
	for _, issue := range role.Surprising() {
		got = append(got, issue.Pointer)
	}
	if diff := cmp.Diff([]string{"/rules/0/when", "/rules/0/read/a"}, got); diff != "" {
		t.Error(diff)
	}
}

// The conditions that the documentation shows are ones.
func TestTheConditionsOfTheDocumentationCompile(t *testing.T) {
	text, err := os.ReadFile("../../docs/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## Conditions")
	_, rest, _ = strings.Cut(rest, "```\n")
	block, _, _ := strings.Cut(rest, "```")
	n := 0
	for line := range strings.Lines(block) {
		if expression, _, ok := strings.Cut(line, "   "); ok {
			compileText(t, strings.TrimSpace(expression))
			n++
		}
	}
	if n < 5 {
		t.Errorf("%d conditions were found", n)
	}
	for _, v := range variables {
		if !strings.Contains(string(text), "`"+v.name+"`") {
			t.Errorf("%s is not documented", v.name)
		}
	}
	for _, mask := range Masks() {
		if !strings.Contains(string(text), "| `"+mask+"` |") {
			t.Errorf("the mask %s is not documented", mask)
		}
	}
}
