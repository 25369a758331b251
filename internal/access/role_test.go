package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"strongroom/internal/strict"
)

const wholeRole = `{"rules": [{"integrations": ["acme-*"], "collections": ["customers"],
	"actions": ["read", "list", "search", "create", "update", "delete", "erase", "history", "rollback", "import", "export"],
	"read": {"email": "mask:email", "card": "mask:last4", "ssn": "none", "*": "clear"},
	"write": ["email", "card"], "write_labels": ["region"], "search": ["email"]}]}`

func TestParseRoleReadsTheWholeShape(t *testing.T) {
	got := parsed(t, wholeRole)
	want := &Role{Rules: []Rule{{
		Integrations: []string{"acme-*"}, Collections: []string{"customers"},
		Actions: []Action{"read", "list", "search", "create", "update", "delete", "erase", "history", "rollback", "import", "export"},
		Read:    map[string]string{"email": "mask:email", "card": "mask:last4", "ssn": "none", "*": "clear"},
		Write:   []string{"email", "card"}, WriteLabels: []string{"region"}, Search: []string{"email"},
	}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Rule{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseRoleRefuses(t *testing.T) {
	rule := func(members string) string {
		return `{"rules":[{"integrations":["a"],"collections":["c"],"actions":["read"],` + members + `}]}`
	}
	for _, c := range []struct{ name, raw, pointer, says string }{
		{"no JSON", `{`, "", "well-formed"},
		{"another type", `[]`, "", "type"},
		{"no rules", `{}`, "/rules", "list of rules"},
		{"null for rules", `{"rules":null}`, "/rules", "list of rules"},
		{"an unknown member", `{"rules":[],"name":"x"}`, "/name", "not a member"},
		{"an unknown member of a rule", rule(`"deny":[]`), "/rules/0/deny", "not a member"},
		{"a member in another case", rule(`"Read":{}`), "/rules/0/Read", "not a member"},
		{"a repeated member", rule(`"read":{},"read":{}`), "/rules/0/read", "twice"},
		{"a repeated path", rule(`"read":{"a":"none","a":"clear"}`), "/rules/0/read/a", "twice"},
		{"a null condition", rule(`"when":null`), "/rules/0/when", "A condition is a text"},
		{"a condition that is true", rule(`"when":true`), "/rules/0/when", "A condition is a text"},
		{"an empty condition", rule(`"when":" "`), "/rules/0/when", "A condition is a text"},
		{"a condition with a syntax error", rule(`"when":"record.labels.owner == "`), "/rules/0/when", "Line 1, column 24: this is not well-formed CEL"},
		{"a condition with an error in its second line", rule(`"when":"true &&\n nobody"`), "/rules/0/when", "Line 2, column 2: there is no such name"},
		{"a condition of another type", rule(`"when":"record.labels.owner"`), "/rules/0/when", "must be true or false"},
		{"a condition of any type", rule(`"when":"dyn(true)"`), "/rules/0/when", "must be true or false"},
		{"a condition that compares text with a number", rule(`"when":"record.labels.level > 3"`), "/rules/0/when", "Labels are text"},
		{"a condition on a field", rule(`"when":"record.fields.email == ''"`), "/rules/0/when", "there is no such name"},
		{"a condition that costs too much", rule(`"when":"record.labels.all(a, record.labels.all(b, record.labels.all(c, a + b == c)))"`), "/rules/0/when", "cost too much"},
		{"a condition that is too long", rule(`"when":"'` + strings.Repeat("a", maxCondition) + `' == ''"`), "/rules/0/when", "too long"},
		{"a condition that is nested too deeply", rule(`"when":"` + strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200) + `"`), "/rules/0/when", "nested too deeply"},
		{"an unknown grant", rule(`"read":{"a":"mask"}`), "/rules/0/read/a", "no grant"},
		{"an unknown mask", rule(`"read":{"a/b":"mask:first"}`), "/rules/0/read/a~1b", "no grant"},
		{"a null grant", rule(`"read":{"a":null}`), "/rules/0/read/a", "no grant"},
		{"a pattern of paths", rule(`"read":{"a*":"clear"}`), "/rules/0/read/a*", "in full"},
		{"an empty path", rule(`"read":{"":"clear"}`), "/rules/0/read/", "in full"},
		{"a broken escape", rule(`"write":["a~2b"]`), "/rules/0/write/0", "in full"},
		{"a trailing tilde", rule(`"search":["a~"]`), "/rules/0/search/0", "in full"},
		{"a pattern of labels", rule(`"write_labels":["re*"]`), "/rules/0/write_labels/0", "in full"},
		{"a repeated name", rule(`"write":["a","a"]`), "/rules/0/write/1", "twice"},
		{"no integrations", `{"rules":[{"collections":["c"],"actions":["read"]}]}`, "/rules/0/integrations", "at least one"},
		{"no collections", `{"rules":[{"integrations":["c"],"collections":[],"actions":["read"]}]}`, "/rules/0/collections", "at least one"},
		{"no actions", `{"rules":[{"integrations":["c"],"collections":["c"]}]}`, "/rules/0/actions", "at least one"},
		{"an unknown action", `{"rules":[{"integrations":["c"],"collections":["c"],"actions":["read","fly"]}]}`, "/rules/0/actions/1", "no such action"},
		{"a star for actions", `{"rules":[{"integrations":["c"],"collections":["c"],"actions":["*"]}]}`, "/rules/0/actions/0", "no such action"},
		{"no pattern", `{"rules":[{"integrations":["A"],"collections":["c"],"actions":["read"]}]}`, "/rules/0/integrations/0", "pattern"},
		{"too large", `{"rules":[]` + strings.Repeat(" ", maxRole) + `}`, "", "at most"},
		{"too many rules", `{"rules":[` + strings.TrimSuffix(strings.Repeat(`{},`, maxRules+1), ",") + `]}`, "/rules", "at most"},
		{"invalid UTF-8", rule("\"read\":{\"\xff\":\"clear\"}"), "/rules/0/read", "well-formed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseRole([]byte(c.raw))
			bad, ok := errors.AsType[*strict.Invalid](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			got := bad.Issues[0]
			if got.Pointer != c.pointer || !strings.Contains(got.Detail, c.says) {
				t.Errorf("got %+v, want %q and %q", got, c.pointer, c.says)
			}
		})
	}
}

func TestParseRoleTellsEverythingThatIsWrong(t *testing.T) {
	_, err := ParseRole([]byte(`{"rules":[{"integrations":[],"collections":["?"],"actions":["fly"],"when":true}]}`))
	bad, _ := errors.AsType[*strict.Invalid](err)
	if bad == nil || len(bad.Issues) != 4 {
		t.Errorf("got %v", err)
	}
}

func FuzzParseRole(f *testing.F) {
	f.Add([]byte(wholeRole))
	for _, raw := range storyRoles {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],"when":"record.labels.owner == client.labels.owner"}]}`))
	f.Add([]byte(`{"rules":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		role, err := ParseRole(raw)
		if err != nil {
			if _, ok := errors.AsType[*strict.Invalid](err); !ok || role != nil {
				t.Fatalf("role %v, error %v", role, err)
			}
			return
		}
		text, err := json.Marshal(role)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRole(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(role, again, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Rule{})); diff != "" {
			t.Fatal(diff)
		}
		NewPolicy(map[string]*Role{"r": role}, []string{"r"}, false).For("acme", "customers", customerFields)
	})
}

func TestUnmatchedPathsAreTold(t *testing.T) {
	role := parsed(t, `{"rules":[
		{"integrations":["acme-*"],"collections":["customers"],"actions":["read"],
		 "read":{"emial":"clear","email":"clear","customer":"clear","customer/phone":"none","*":"clear"},
		 "write":["email","customr"],"search":["*","emial"]},
		{"integrations":["globex"],"collections":["*"],"actions":["read"],"read":{"anything":"clear"}}]}`)
	got := role.Unmatched([]Declared{
		{"acme-eu", "customers", []string{"email", "customer/email"}},
		{"acme-eu", "cards", []string{"emial"}},
	})
	var at []string
	for _, w := range got {
		at = append(at, w.Pointer)
	}
	want := []string{"/rules/0/read/customer~1phone", "/rules/0/read/emial", "/rules/0/write/1", "/rules/0/search/1", "/rules/1"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Error(diff)
	}
}

func TestIdleMembersAreTold(t *testing.T) {
	role := parsed(t, `{"rules":[
		{"integrations":["a"],"collections":["c"],"actions":["create"],"read":{"ssn":"none"},"write":["ssn"],"search":["ssn"]},
		{"integrations":["a"],"collections":["c"],"actions":["delete"],"write":["ssn"],"write_labels":["*"]},
		{"integrations":["a"],"collections":["c"],"actions":["search","update"],"read":{"ssn":"clear"},"write":["ssn"],"search":["ssn"]}]}`)
	var at []string
	for _, w := range role.Idle() {
		at = append(at, w.Pointer)
	}
	want := []string{"/rules/0/read", "/rules/0/search", "/rules/1/write", "/rules/1/write_labels"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Error(diff)
	}
}

func TestRestrained(t *testing.T) {
	for _, c := range []struct{ grant, mask, want string }{
		{"clear", "last4", "mask:last4"}, {"clear", "", "none"}, {"none", "last4", "none"},
		{"mask:last4", "last4", "mask:last4"}, {"mask:email", "last4", "mask:redact"}, {"mask:email", "", "none"}, {"mask:redact", "email", "mask:redact"},
	} {
		g, _ := parseGrant(c.grant)
		if got := Restrained(g, c.mask).String(); got != c.want {
			t.Errorf("of %s with the schema's mask %q is left %s, want %s", c.grant, c.mask, got, c.want)
		}
	}
}
