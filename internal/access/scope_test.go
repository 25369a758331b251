package access

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func scopeOf(t testing.TB, text string) *Scope {
	t.Helper()
	s, err := ParseScope(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

func TestParseScope(t *testing.T) {
	for _, bad := range []string{
		"fly", "read:", "read:/", "read:a/", "read:A", "read:a/b/c", "read:a:b", ":a", "*:", "everything", "administrator:a",
		"read write", "read:" + strings.Repeat("a", 129), strings.Repeat("read:abcdefghijklmnop ", 1) + strings.Repeat("x", 600),
	} {
		if s, err := ParseScope(bad); err == nil {
			t.Errorf("%q was read as %q", bad, s)
		}
	}
	for text, want := range map[string]string{
		"": "", "  ": "", "read": "read", "update read  read": "read update", "*": "*",
		"read:acme-*/customers *:x auditor": "*:x auditor read:acme-*/customers",
	} {
		if got := scopeOf(t, text).String(); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestScopeOfTheControlPlane(t *testing.T) {
	p := NewPolicy(nil, []string{RoleAdministrator, RoleAuditor}, false)
	narrow := p.Narrow(scopeOf(t, "auditor read"))
	if !narrow.Can(ReadAudit) || narrow.Can(ManageClients) {
		t.Error("the scope auditor is not what is left")
	}
	if p.Narrow(scopeOf(t, "*")).Can(ReadAudit) {
		t.Error("* gives rights over the control plane")
	}
	if p.Narrow(scopeOf(t, "operator")).Can(OperateBackup) {
		t.Error("a scope gives what the roles do not")
	}
	first, again := p.Narrow(scopeOf(t, "read")), p.Narrow(scopeOf(t, "read"))
	if p.Narrow(nil) != p || first != again {
		t.Error("a scope is compiled more than once")
	}
}

// TestScopesOnlyNarrow holds the narrowed decision against the whole one, for
// every action, field and label.
func TestScopesOnlyNarrow(t *testing.T) {
	entries := append([]string{"*", "*:acme", "read:other", "update:ac*/acme", "auditor"}, func() (all []string) {
		for _, a := range Actions() {
			all = append(all, string(a), string(a)+":acme/acme")
		}
		return all
	}()...)
	rapid.Check(t, func(t *rapid.T) {
		fields := drawFields(t)
		whole := policyOf(drawRules(t), false)
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(entries), 1, 4).Draw(t, "scope"), " ")
		scope, err := ParseScope(text)
		if err != nil {
			t.Fatal(err)
		}
		a, b := whole.For("acme", "acme", fields), whole.Narrow(scope).For("acme", "acme", fields)
		in := whole.Narrow(scope).inScope("acme", "acme")
		for _, act := range Actions() {
			if b.Allows(act) != (a.Allows(act) && in.has(act)) || b.MayWriteLabel(act, "owner") != (a.MayWriteLabel(act, "owner") && in.has(act)) {
				t.Fatalf("%s under %q", act, text)
			}
			for _, path := range append(modelPaths, "zz") {
				want := a.Read(act, path)
				if !in.has(act) {
					want = Grant{}
				}
				if b.Read(act, path) != want {
					t.Fatalf("%s of %s under %q gives %s, the roles give %s", act, path, text, b.Read(act, path), a.Read(act, path))
				}
				if b.MayWrite(act, path) != (a.MayWrite(act, path) && in.has(act)) || b.MayWriteMasked(act, path) != (a.MayWriteMasked(act, path) && in.has(act)) {
					t.Fatalf("writing %s by %s under %q", path, act, text)
				}
			}
		}
		for _, path := range modelPaths {
			if b.MaySearch(path) != (a.MaySearch(path) && in.has(ActionSearch)) {
				t.Fatalf("searching %s under %q", path, text)
			}
		}
	})
}

func FuzzParseScope(f *testing.F) {
	for _, seed := range []string{"read", "*:acme-*/x auditor", "read:a/b update", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScope(text)
		if err != nil {
			return
		}
		again, err := ParseScope(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q reads as %q, which reads as %q: %v", text, s, again, err)
		}
	})
}
