package rotate

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/schema"
	"strongroom/store"
)

var quiet = slog.New(slog.DiscardHandler)

// stepsOfVault are the steps that cannot be done without Vault, by depth. The
// last two are those of a rotation that is to retire and to trim.
var stepsOfVault = map[Depth][]Step{
	DepthKEK:    {StepKEKRotate, StepKEKRewrap, StepRetire, StepTrim},
	DepthKeyset: {StepAdd, StepKEKRotate, StepKEKRewrap, StepRetire, StepTrim},
	DepthData:   {StepAdd, StepKEKRotate, StepKEKRewrap, StepRetire, StepTrim},
}

// runsWithoutVault are ways to go, and how deep the rotations are that they
// meet. In a long run the process is killed, and halted, at every call as well: a
// call of one that is halted is given up after a second.
func runsWithoutVault() map[way][]Depth {
	if os.Getenv("STRONGROOM_LONG") != "1" {
		return map[way][]Depth{sealed: {DepthKEK, DepthData}, lost: {DepthKeyset}}
	}
	all := []Depth{DepthKEK, DepthKeyset, DepthData}
	return map[way][]Depth{sealed: all, lost: all, killed: all, crashed: all, halted: {DepthData}}
}

// A real Vault goes away at every call that a rotation makes of it, once in a
// run of its own. The rotation waits and says so, in words; clients go on to
// read and to write; and when Vault is back it ends by itself, with a report
// that is verified without the store.
func TestVaultAwayAtEveryCallOfARotation(t *testing.T) {
	for w, depths := range runsWithoutVault() {
		for _, depth := range depths {
			t.Run(string(w)+"/"+string(depth), func(t *testing.T) {
				t.Parallel()
				v := newVaulted(t, w)
				waited := map[Step]bool{}
				for n := 1; v.rotateAway(depth, n, waited); n++ {
				}
				if got, want := slices.Sorted(maps.Keys(waited)), slices.Sorted(slices.Values(stepsOfVault[depth])); !slices.Equal(got, want) {
					t.Errorf("the steps that waited for Vault are %v, not %v", got, want)
				}
			})
		}
	}
}

// rotateAway rotates with Vault away from the nth call on, and reports whether
// there were so many.
func (v *vaulted) rotateAway(depth Depth, n int, waited map[Step]bool) (went bool) {
	t := v.real.t
	made, err := v.m.Create(t.Context(), v.Root(), Request{Integrations: []string{"acme"}, Depth: depth, Grace: new(Span), Trim: true})
	v.must(err)
	v.arm(n)
	for range 500 {
		v.advance()
		out, err := v.m.Get(t.Context(), v.Root(), made.ID)
		v.must(err)
		down, call := v.went()
		switch {
		case out.State == StateFailed:
			t.Fatalf("away at call %d, %s: the rotation failed: %s", n, call, out.Detail)
		case out.State.Ended():
			v.comeBack()
			v.endsWell(out)
			return went
		case strings.Contains(out.Detail, store.ErrNoBackup.Error()):
			v.backup()
		case down && out.State == StateWaiting:
			went = true
			waited[out.Parts[0].Step] = true
			v.staysAway(out, n)
			v.comeBack()
		}
		went = went || down
	}
	t.Fatalf("away at call %d: the rotation never ended", n)
	return false
}

// staysAway checks what a rotation that waits says, and what clients can do
// meanwhile, and that it does not give up.
func (v *vaulted) staysAway(out Rotation, n int) {
	t := v.real.t
	_, call := v.went()
	at := fmt.Sprintf("away at call %d, %s, at the step %s", n, call, out.Parts[0].Step)
	if !strings.Contains(out.Detail, store.ErrKeyServiceUnavailable.Error()) {
		t.Errorf("%s: the rotation waits for: %q", at, out.Detail)
	}
	reasons := v.m.Reasons()
	if len(reasons) != 1 || reasons[0].Code != "rotation_waiting" || !strings.Contains(reasons[0].Detail, out.ID) || !strings.Contains(reasons[0].Detail, out.Detail) {
		t.Errorf("%s: the reasons are %+v", at, reasons)
	}
	v.serves(at)
	for range 5 {
		v.advance()
	}
	if now, err := v.m.Get(t.Context(), v.Root(), out.ID); err != nil || now.State != StateWaiting {
		t.Errorf("%s: after a while it is %s at %s: %v", at, now.State, now.Parts[0].Step, err)
	}
}

// serves reads, looks up, writes and erases, as clients do.
func (v *vaulted) serves(at string) {
	t, ctx, root := v.real.t, v.real.t.Context(), v.Root()
	ref := store.RecordRef{CollectionRef: customers, Record: "meanwhile"}
	check := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %s: %v", at, what, err)
		}
	}
	where := []schema.Value{{Path: "external_id", JSON: []byte(`"x7"`)}}
	_, err := v.LookupRecord(ctx, root, customers, where, store.ReadOptions{Fields: []string{"email"}})
	check("look a record up", err)
	_, err = v.CreateRecord(ctx, root, customers, store.RecordInput{ID: ref.Record, Fields: []byte(`{"email":"m@b.c","external_id":"m","card":"1"}`)}, store.WriteOptions{})
	check("write a record", err)
	_, err = v.GetRecord(ctx, root, ref, store.ReadOptions{})
	check("read it", err)
	err = v.ExpungeRecord(ctx, root, ref)
	check("erase it", err)
}

// endsWell checks what a rotation leaves: nothing under a former key, the
// versions of before gone at Vault, and a signed report of it.
func (v *vaulted) endsWell(out Rotation) {
	t := v.real.t
	if out.State != StateDone || !out.Parts[0].Trimmed || !out.proven() {
		t.Fatalf("the rotation: %+v", out)
	}
	v.wantReport(out)
	v.readable(10)
	info := v.Call(t, "GET", "transit/keys/"+out.Parts[0].KEK, nil)
	if got, want := fmt.Sprint(info["min_available_version"], info["min_decryption_version"], info["latest_version"]), fmt.Sprint(out.Parts[0].KEKTo, out.Parts[0].KEKTo, out.Parts[0].KEKTo); got != want {
		t.Errorf("Vault has the key at %s, want %s", got, want)
	}
	if reasons := v.m.Reasons(); len(reasons) > 0 {
		t.Errorf("the reasons, after all: %+v", reasons)
	}
}
