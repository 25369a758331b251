package access

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// story: a client with these roles asks for something and expects an answer.
type story struct {
	name    string
	roles   []string
	action  Action
	path    string
	read    string
	write   bool
	search  bool
	allowed bool
}

const customersSchema = "id, email (x-mask email), card (x-mask last4), ssn (high), customer, customer/email, customer/ssn (high)"

var customerFields = []FieldInfo{
	{Path: "id"},
	{Path: "email", Mask: MaskEmail},
	{Path: "card", Mask: MaskLast4},
	{Path: "ssn", High: true},
	{Path: "customer"},
	{Path: "customer/email"},
	{Path: "customer/ssn", High: true},
}

var storyRoles = map[string]string{
	"reader": `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["read","search"],
		"read":{"*":"clear"},"search":["email","id"]}]}`,
	"support": `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["read","update"],
		"read":{"email":"clear","ssn":"mask:last4","customer":"mask:redact","customer/email":"clear"},"write":["*"]}]}`,
	"finder": `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["search"],
		"read":{"email":"clear","id":"clear","ssn":"clear"},"search":["*"]}]}`,
	"intake": `{"rules":[{"integrations":["acme-*"],"collections":["customers"],"actions":["create","import"],
		"read":{"*":"clear","ssn":"clear"},"write":["*","ssn"],"write_labels":["region"]}]}`,
	"no-id": `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],"read":{"id":"none"}}]}`,
	"no-customer": `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"],
		"read":{"customer":"none"}}]}`,
	"namer":  `{"rules":[{"integrations":["acme-eu"],"collections":["customers"],"actions":["read"],"read":{"customer/ssn":"clear","ghost":"clear"}}]}`,
	"editor": `{"rules":[{"integrations":["acme-eu"],"collections":["customers"],"actions":["update"],"write":["email","customer"]}]}`,
	"lister": `{"rules":[{"integrations":["acme-eu"],"collections":["customers"],"actions":["list"],"read":{"card":"mask:redact"}}]}`,
}

var stories = []story{
	{name: "a reader sees a plain field", roles: []string{"reader"}, action: ActionRead, path: "id", read: "clear", search: true, allowed: true},
	{name: "a schema's mask holds under *", roles: []string{"reader"}, action: ActionRead, path: "card", read: "mask:last4", allowed: true},
	{name: "a masked field can't be searched", roles: []string{"reader"}, action: ActionSearch, path: "email", read: "mask:email", allowed: true},
	{name: "* never covers a field of high sensitivity", roles: []string{"reader"}, action: ActionRead, path: "ssn", read: "none", allowed: true},
	{name: "naming lifts the schema's mask", roles: []string{"support"}, action: ActionRead, path: "email", read: "clear", allowed: true},
	{name: "clear beats a mask across roles", roles: []string{"reader", "support"}, action: ActionRead, path: "email", read: "clear", allowed: true},
	{name: "email beats redact across roles", roles: []string{"lister", "reader"}, action: ActionRead, path: "email", read: "mask:email", allowed: true},
	{name: "what one may list tells nothing of reading", roles: []string{"lister"}, action: ActionRead, path: "card", read: "none"},
	{name: "a lister lists", roles: []string{"lister"}, action: ActionList, path: "card", read: "mask:redact", allowed: true},
	{name: "naming gives a high field as asked", roles: []string{"support"}, action: ActionRead, path: "ssn", read: "mask:last4", allowed: true},
	{name: "the nearest ancestor speaks for a nested field", roles: []string{"no-customer", "reader"}, action: ActionRead, path: "customer/email", read: "none", allowed: true},
	{name: "an ancestor grants no high field", roles: []string{"support"}, action: ActionRead, path: "customer/ssn", read: "none", allowed: true},
	{name: "the exact path beats its ancestor", roles: []string{"support"}, action: ActionRead, path: "customer/email", read: "clear", allowed: true},
	{name: "an explicit none beats every grant", roles: []string{"reader", "no-id"}, action: ActionRead, path: "id", read: "none", search: true, allowed: true},
	{name: "a none for reading leaves searching alone", roles: []string{"reader", "no-id"}, action: ActionSearch, path: "id", read: "clear", search: true, allowed: true},
	{name: "an ancestor's none reaches a named high field", roles: []string{"namer", "no-customer"}, action: ActionRead, path: "customer/ssn", read: "none", allowed: true},
	{name: "naming alone gives a high field", roles: []string{"namer"}, action: ActionRead, path: "customer/ssn", read: "clear", allowed: true},
	{name: "naming what nobody declares grants nothing", roles: []string{"namer"}, action: ActionRead, path: "ghost", read: "none", allowed: true},
	{name: "a creator reads nothing", roles: []string{"intake"}, action: ActionRead, path: "id", read: "none"},
	{name: "a creator's read grants nothing while it creates", roles: []string{"intake"}, action: ActionCreate, path: "id", read: "none", write: true, allowed: true},
	{name: "a creator writes a high field that it names", roles: []string{"intake"}, action: ActionCreate, path: "ssn", read: "none", write: true, allowed: true},
	{name: "a creator's * writes no other high field", roles: []string{"intake"}, action: ActionImport, path: "customer/ssn", read: "none", allowed: true},
	{name: "writing for create is none for update", roles: []string{"intake"}, action: ActionUpdate, path: "id", read: "none"},
	{name: "* does not write back what is read masked", roles: []string{"support"}, action: ActionUpdate, path: "customer", read: "none", allowed: true},
	{name: "* writes what is read clear", roles: []string{"support"}, action: ActionUpdate, path: "email", read: "none", write: true, allowed: true},
	{name: "naming writes back what is read masked", roles: []string{"reader", "editor"}, action: ActionUpdate, path: "email", read: "none", write: true, allowed: true},
	{name: "an ancestor writes what lies under it", roles: []string{"editor"}, action: ActionUpdate, path: "customer/email", read: "none", write: true, allowed: true},
	{name: "an ancestor writes no high field", roles: []string{"editor"}, action: ActionUpdate, path: "customer/ssn", read: "none", allowed: true},
	{name: "* searches no high field", roles: []string{"finder"}, action: ActionSearch, path: "ssn", read: "clear", allowed: true},
	{name: "* searches a clear field", roles: []string{"finder"}, action: ActionSearch, path: "email", read: "clear", search: true, allowed: true},
	{name: "administrators read nothing", roles: Builtins(), action: ActionRead, path: "id", read: "none"},
	{name: "an unknown role grants nothing", roles: []string{"ghost"}, action: ActionRead, path: "id", read: "none"},
	{name: "an unknown action is denied", roles: []string{"reader"}, action: "fly", path: "id", read: "none", search: true},
}

func parsed(t testing.TB, raw string) *Role {
	t.Helper()
	role, err := ParseRole([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return role
}

func TestStories(t *testing.T) {
	t.Log("schema: " + customersSchema)
	roles := map[string]*Role{}
	for name, raw := range storyRoles {
		roles[name] = parsed(t, raw)
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			d := NewPolicy(roles, s.roles, false).For("acme-eu", "customers", customerFields)
			got := story{name: s.name, roles: s.roles, action: s.action, path: s.path, read: d.Read(s.action, s.path).String(),
				write: d.MayWrite(s.action, s.path), search: d.MaySearch(s.path), allowed: d.Allows(s.action)}
			if !s.search && s.action != ActionSearch {
				got.search = false // a story tells of searching only where it says so
			}
			if diff := cmp.Diff(s, got, cmp.AllowUnexported(story{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnotherIntegrationGetsNothing(t *testing.T) {
	p := NewPolicy(map[string]*Role{"reader": parsed(t, storyRoles["reader"])}, []string{"reader"}, false)
	for _, where := range [][2]string{{"acme", "customers"}, {"globex", "customers"}, {"acme-eu", "cards"}} {
		d := p.For(where[0], where[1], customerFields)
		if d.Any() || d.Read(ActionRead, "id").Kind != None {
			t.Errorf("%v: something is granted", where)
		}
	}
	if !p.Touches("acme-eu") || p.Touches("acme") {
		t.Error("Touches does not follow the rule's integrations")
	}
	if p.Can(ManageRoles) {
		t.Error("a stored role gives a capability")
	}
}

func TestBuiltinRolesKeepDutiesApart(t *testing.T) {
	all := []Capability{ManageIntegrations, ManageCollections, ManageRoles, ManageClients, OperateBackup, OperateKeys, ReadAudit}
	seen := Capability(0)
	for _, name := range []string{RoleAdministrator, RoleOperator, RoleAuditor} {
		p := NewPolicy(nil, []string{name}, true)
		caps, everything, ok := Builtin(name)
		if !ok || everything || caps == 0 || caps&seen != 0 {
			t.Errorf("%s: capabilities %b overlap with %b, or there are none", name, caps, seen)
		}
		seen |= caps
		if !p.Can(caps) || p.Can(caps|^caps&seen) != (caps == seen) {
			t.Errorf("%s: Can does not follow Builtin", name)
		}
		if d := p.For("acme", "customers", customerFields); d.Any() || p.Touches("acme") {
			t.Errorf("%s grants something on records", name)
		}
	}
	for _, c := range all {
		if seen&c == 0 {
			t.Errorf("capability %b belongs to no role", c)
		}
	}
}

func TestEverythingCountsInDevAlone(t *testing.T) {
	if d := NewPolicy(nil, []string{RoleEverything}, false).For("acme", "customers", customerFields); d.Any() {
		t.Error("everything grants something outside of dev mode")
	}
	p := NewPolicy(nil, []string{RoleEverything}, true)
	if p.Can(ReadAudit) || !p.Touches("acme") {
		t.Error("everything has a capability, or touches nothing")
	}
	d := p.For("acme", "customers", customerFields)
	for _, a := range Actions() {
		for _, f := range append(customerFields, FieldInfo{Path: "undeclared"}) {
			if got := d.Read(a, f.Path).Kind == Clear; got != a.HandsOut() {
				t.Errorf("%s: reading %s in clear is %v", a, f.Path, got)
			}
			if got := d.MayWrite(a, f.Path); got != a.Writes() {
				t.Errorf("%s: writing %s is %v", a, f.Path, got)
			}
		}
		if !d.Allows(a) || d.MayWriteLabel(a, "any") != a.Writes() {
			t.Errorf("%s is denied", a)
		}
	}
	if !d.MaySearch("ssn") {
		t.Error("a high field can't be searched")
	}
}

func TestReservedNamesHideStoredRoles(t *testing.T) {
	stored := map[string]*Role{}
	for _, name := range Builtins() {
		stored[name] = parsed(t, storyRoles["reader"])
		if !Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	if d := NewPolicy(stored, Builtins(), false).For("acme-eu", "customers", customerFields); d.Any() {
		t.Error("a stored role took the name of a built-in one")
	}
	if Reserved("reader") {
		t.Error("an ordinary name is reserved")
	}
}

func TestNilPolicyGrantsNothing(t *testing.T) {
	var p *Policy
	if p.Can(ReadAudit) || p.Touches("acme") || p.For("acme", "c", customerFields).Any() {
		t.Error("a nil policy grants something")
	}
}

func TestAConditionThatNobodyChecksGrantsNothing(t *testing.T) {
	role := parsed(t, storyRoles["reader"])
	role.Rules[0].When = []byte(`"true"`)
	p := NewPolicy(map[string]*Role{"r": role}, []string{"r"}, false)
	if p.For("acme-eu", "customers", customerFields).Any() || p.Touches("acme-eu") {
		t.Error("a rule with a condition grants")
	}
}

func TestAPropertyCalledStarIsNeverNamed(t *testing.T) {
	role := parsed(t, `{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read","create"],"read":{"*":"clear"},"write":["*"]}]}`)
	d := NewPolicy(map[string]*Role{"r": role}, []string{"r"}, false).For("a", "c", []FieldInfo{{Path: "*", High: true}})
	if d.Read(ActionRead, "*").Kind != None || d.MayWrite(ActionCreate, "*") {
		t.Error("the wildcard counted as naming a field of high sensitivity")
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	d := benchDecision(t)
	got := testing.AllocsPerRun(100, func() {
		d.Read(ActionRead, "customer/email")
		d.Read(ActionExport, "undeclared/path")
		d.MayWrite(ActionUpdate, "email")
		d.MayWrite(ActionUpdate, "undeclared/path")
		d.MayWriteLabel(ActionCreate, "region")
		d.MaySearch("email")
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func benchDecision(t testing.TB) *Decision {
	roles, names := map[string]*Role{}, []string{"reader", "support", "intake"}
	for _, name := range names {
		roles[name] = parsed(t, storyRoles[name])
	}
	return NewPolicy(roles, names, false).For("acme-eu", "customers", customerFields)
}

func BenchmarkRead8Fields(b *testing.B) {
	d := benchDecision(b)
	for b.Loop() {
		for _, f := range customerFields {
			d.Read(ActionRead, f.Path)
		}
		d.Read(ActionRead, "undeclared")
	}
}

func BenchmarkFor(b *testing.B) {
	roles := map[string]*Role{"reader": parsed(b, storyRoles["reader"])}
	p := NewPolicy(roles, []string{"reader"}, false)
	b.ReportAllocs()
	for b.Loop() {
		p.For("acme-eu", "customers", customerFields)
	}
}
