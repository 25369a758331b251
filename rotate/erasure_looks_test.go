package rotate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/rotate"
	"strongroom/store"
)

// audited returns the lines of the audit log.
func (o *office) audited() []string {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.AuditDir, "*"))
	o.must(err)
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		o.must(err)
		all.Write(text)
	}
	return strings.Split(strings.TrimSpace(all.String()), "\n")
}

// An erasure can wait for days for a backup. It looks at its rotation all the
// while, and nobody who reads the audit log has to see that.
func TestAnErasureThatWaitsAuditsNothing(t *testing.T) {
	o := newOffice(t)
	o.create("acme", "customers", "a", "x")
	e := o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}, Level: rotate.LevelKeys})
	o.until(e.ID, func(e rotate.Erasure) bool { return strings.Contains(e.Detail, "backup") })
	o.backup()
	o.until(e.ID, done)
	looks := 0
	for _, line := range o.audited() {
		if strings.Contains(line, `"strongroom/erasure"`) && strings.Contains(line, `"describe"`) {
			looks++
		}
	}
	if looks > 0 {
		t.Errorf("the erasure's own looks at its rotation are %d entries of the audit log", looks)
	}
}

// An auditor sees every erasure, and moves none.
func TestWhoMayResumeAnErasure(t *testing.T) {
	o := newOffice(t)
	o.stop()
	o.compact = nil // it comes to E1 and fails
	o.start()
	o.create("acme", "customers", "a", "x")
	role, err := access.ParseRole([]byte(`{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["erase"]}]}`))
	o.must(err)
	officer := &access.Principal{Client: "officer", ClientUID: uid.New(), Policy: access.NewPolicy(map[string]*access.Role{"erases": role}, []string{"erases", access.RoleOperator}, false)}
	made, err := o.erasures.Create(t.Context(), officer, rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}, Level: rotate.LevelKeys})
	o.must(err)
	o.until(made.ID, func(e rotate.Erasure) bool { return e.Failed })
	as := func(id uid.UID, names ...string) store.Caller {
		return &access.Principal{Client: "officer", ClientUID: id, Policy: access.NewPolicy(map[string]*access.Role{"erases": role}, names, false)}
	}
	for what, who := range map[string]store.Caller{
		"an auditor":                           as(uid.New(), access.RoleAuditor),
		"who asked, and may no longer erase":   as(officer.ClientUID),
		"who asked, and operates keys no more": as(officer.ClientUID, "erases"),
	} {
		if _, err := o.erasures.Resume(t.Context(), who, made.ID); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := o.erasures.Resume(t.Context(), officer, made.ID); err != nil {
		t.Errorf("who asked: %v", err)
	}
}
