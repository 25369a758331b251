package rotate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store"
)

func TestKeysetRotation(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	w.fill(12_000)
	made := w.create(Request{Integrations: []string{"*"}, Depth: DepthKeyset, Reason: "yearly"})
	r := w.end(made.ID)
	w.sound(t)
	if r.State != StateDone || len(r.Parts) != 2 || r.Progress.Done != 24_000 || r.Progress.Left != 0 {
		t.Fatalf("the rotation: %+v", r)
	}
	for i, d := range w.model.domains[:2] {
		w.only(t, d, "wrapping")
		p := r.Parts[i]
		if p.Counts.Rewrapped != 12_000 || p.Scan == nil || p.Scan.Left != 0 || p.KEKFrom != 1 || p.KEKTo != 2 || d.below(2) != 0 {
			t.Fatalf("the part of %s: %+v", d.Integration, p)
		}
		if p.Counts.Before[envelope.FormatKeyID(p.Former[0].KeyID)] != 12_000 || p.Counts.After[envelope.FormatKeyID(p.New[0].KeyID)] != 12_000 {
			t.Fatalf("counts before and after: %+v", p.Counts)
		}
		if ended := p.Times[StepDelete].Sub(p.Times[StepGrace]); ended < DefaultGrace {
			t.Fatalf("the key was destroyed after a grace of %s", ended)
		}
		if d.minimum != 1 || d.trimmed != 1 {
			t.Fatalf("versions of the KEK were retired unasked: %+v", d)
		}
	}
	if k := w.model.domains[2].keys; len(k) != 2 {
		t.Fatalf("the system domain was not asked for: %+v", k)
	}
}

func TestDataRotationOfAll(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(300)
	none := Span(0)
	made := w.create(Request{Integrations: []string{"acme"}, System: true, Depth: DepthData, Trim: true, Grace: &none})
	w.model.noBackup = true
	r := w.until(made.ID, "waiting for a backup", func(r Rotation) bool {
		return r.State == StateWaiting && strings.Contains(r.Detail, "backup")
	})
	w.model.noBackup = false
	r = w.until(made.ID, "waiting for idempotency keys", func(r Rotation) bool {
		return r.State == StateWaiting && strings.Contains(r.Detail, "300 idempotency keys")
	})
	w.model.domains[1].values[envelope.PurposeSystemMAC] = nil // they have ended
	r = w.end(made.ID)
	w.sound(t)
	if r.State != StateDone || w.model.rotated != 1 {
		t.Fatalf("the rotation: %+v", r)
	}
	for _, d := range w.model.domains {
		if d.trimmed != 2 {
			t.Fatalf("%s: the KEK was not trimmed", d.KeyDomain)
		}
	}
	w.only(t, w.model.domains[0], "wrapping")
	w.only(t, w.model.domains[0], "index")
	w.only(t, w.model.domains[1], "system")
	w.only(t, w.model.domains[1], envelope.PurposeSystemMAC.String())
	if c := r.Parts[0].Counts; c.Resealed != 300 || c.Reindexed != 300 || c.Rewrapped != 0 {
		t.Fatalf("counts of the depth data: %+v", c)
	}
}

func TestReportIsVerifiedOffline(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(10)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	if _, err := w.m.Report(t.Context(), operator, made.ID); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("a report before the end: %v", err)
	}
	w.end(made.ID)
	text, err := w.m.Report(t.Context(), operator, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	report, err := VerifyReport(text, []string{w.model.signer.Verifier})
	if err != nil {
		t.Fatal(err)
	}
	p := report.Rotation.Parts[0]
	if !report.Proven || report.StoreUID != w.model.uid || report.Rotation.By != "ops" || len(p.New) != 1 || len(p.Old) != 1 || p.Scan.Values != 20 {
		t.Fatalf("the report: %+v", report)
	}
	changed := strings.Replace(string(text), `"rewrapped": 10`, `"rewrapped": 11`, 1)
	if changed == string(text) {
		t.Fatal("the report does not say how many were rewrapped")
	}
	if _, err := VerifyReport([]byte(changed), []string{w.model.signer.Verifier}); err == nil {
		t.Fatal("a report that was changed verifies")
	}
	for name, change := range map[string]func(*Report){
		"of another store":             func(r *Report) { r.StoreUID = uid.New() },
		"with something left":          func(r *Report) { r.Rotation.Parts[0].Scan.Left = 1 },
		"that counted something":       func(r *Report) { r.Rotation.Parts[0].Counts.After[envelope.FormatKeyID(p.Old[0].KeyID)] = 1 },
		"that did not count":           func(r *Report) { r.Rotation.Parts[0].Counts.After = nil },
		"of a rotation without a scan": func(r *Report) { r.Rotation.Parts[0].Scan = nil },
		"of no parts":                  func(r *Report) { r.Rotation.Parts = nil },
	} {
		forged, err := VerifyReport(text, []string{w.model.signer.Verifier})
		if err != nil {
			t.Fatal(err)
		}
		change(&forged)
		signed, err := w.model.Attest(t.Context(), ReportKind, forged)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyReport(signed, []string{w.model.signer.Verifier}); err == nil {
			t.Errorf("a report %s verifies", name)
		}
		asCertificate, err := w.model.Attest(t.Context(), CertificateKind, forged)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyReport(asCertificate, []string{w.model.signer.Verifier}); err == nil {
			t.Error("a certificate verifies as a report")
		}
	}
}

func TestRollbackUntilTheDelete(t *testing.T) {
	for _, step := range []Step{StepPending, StepAdd, StepPromote, StepSweep, StepVerify, StepDisable, StepGrace} {
		w := newWorld(t, "acme")
		w.fill(12_000)
		made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthData})
		w.at(made.ID, step)
		if _, err := w.m.Rollback(t.Context(), operator, made.ID); err != nil {
			t.Fatalf("roll back at %s: %v", step, err)
		}
		w.model.write(w.model.domains[0])
		r := w.end(made.ID)
		w.sound(t)
		for _, purpose := range []string{"wrapping", "index"} {
			w.only(t, w.model.domains[0], purpose)
		}
		if k := w.model.domains[0].primary(envelope.PurposeWrapping); r.State != StateRolledBack || k.Generation != 1 {
			t.Fatalf("rolled back at %s: generation %d is primary; %+v", step, k.Generation, r)
		}
	}
}

func TestNoWayBackAfterTheDelete(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(5)
	none := Span(0)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset, Grace: &none})
	w.at(made.ID, StepKEKRotate)
	if _, err := w.m.Rollback(t.Context(), operator, made.ID); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("roll back after the delete: %v", err)
	}
	if r := w.end(made.ID); r.State != StateDone {
		t.Fatalf("the rotation: %+v", r)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(12_000)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(made.ID, StepPromote)
	if _, err := w.m.Cancel(t.Context(), operator, made.ID); err != nil {
		t.Fatalf("cancel before the promotion: %v", err)
	}
	if r := w.end(made.ID); r.State != StateCancelled {
		t.Fatalf("the rotation: %+v", r)
	}
	w.only(t, w.model.domains[0], "wrapping")

	made = w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(made.ID, StepSweep)
	if _, err := w.m.Cancel(t.Context(), operator, made.ID); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("cancel between two keys: %v", err)
	}
	w.sound(t)
}

func TestPauseThrottleResume(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(30_000)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(made.ID, StepSweep)
	if _, err := w.m.Throttle(t.Context(), operator, made.ID, 100); err != nil {
		t.Fatal(err)
	}
	from, began := w.get(made.ID), w.clock
	for w.clock.Sub(began) < 100*time.Second {
		w.step(time.Second)
	}
	if moved := w.get(made.ID).Progress.Done - from.Progress.Done; moved < 9_000 || moved > 10_200 {
		t.Fatalf("%d values were moved in 100 s at 100 a second", moved)
	}
	paused, err := w.m.Pause(t.Context(), operator, made.ID)
	if err != nil || paused.State != StatePaused {
		t.Fatalf("pause: %v, %+v", err, paused)
	}
	w.restart()
	for range 100 {
		w.step(time.Minute)
	}
	if r := w.get(made.ID); r.State != StatePaused || r.Progress.Done != paused.Progress.Done {
		t.Fatalf("it went on while it was paused: %+v", r)
	}
	if _, err := w.m.Resume(t.Context(), operator, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Throttle(t.Context(), operator, made.ID, 0); err != nil {
		t.Fatal(err)
	}
	if r := w.end(made.ID); r.State != StateDone || r.Progress.Done != 30_000 {
		t.Fatalf("the rotation: %+v", r)
	}
}

func TestTwoRotationsOfOneDomain(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	first := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	_, err := w.m.Create(t.Context(), operator, Request{Integrations: []string{"*"}, Depth: DepthKEK})
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), first.ID) {
		t.Fatalf("a second rotation: %v", err)
	}
	w.create(Request{Integrations: []string{"globex"}, Depth: DepthKEK})
	w.end(first.ID)
	w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK})
}

func TestKeyServiceAwayInEachDepth(t *testing.T) {
	for _, depth := range []Depth{DepthKEK, DepthKeyset, DepthData} {
		for _, step := range []Step{StepPending, StepAdd, StepPromote, StepSweep, StepDisable, StepDelete, StepKEKRotate, StepKEKRewrap, StepRetire} {
			if depth == DepthKEK && !strings.HasPrefix(string(step), "kek") {
				continue
			}
			w := newWorld(t, "acme")
			w.fill(11_000)
			made := w.create(Request{Integrations: []string{"acme"}, Depth: depth, Retire: true})
			w.at(made.ID, step)
			w.model.keysAway = true
			r := w.until(made.ID, "waiting", func(r Rotation) bool { return r.State == StateWaiting })
			if !strings.Contains(r.Detail, store.ErrKeyServiceUnavailable.Error()) {
				if step != StepDisable && step != StepDelete {
					t.Fatalf("%s at %s waits for: %q", depth, step, r.Detail)
				}
			}
			if reasons := w.m.Reasons(); len(reasons) != 1 || reasons[0].Code != "rotation_waiting" {
				t.Fatalf("reasons: %+v", reasons)
			}
			for range 50 {
				w.step(time.Minute)
			}
			w.model.keysAway = false
			if r := w.end(made.ID); r.State != StateDone {
				t.Fatalf("%s, away at %s: %+v", depth, step, r)
			}
			w.sound(t)
		}
	}
}

func TestCompromisedGoesFirst(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	w.fill(40_000)
	slow := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(slow.ID, StepSweep)
	bad := envelope.FormatKeyID(w.model.domains[1].primary(envelope.PurposeWrapping).KeyID)
	made := w.create(Request{Compromised: bad, Trim: true})
	if made.Depth != DepthData || made.Grace.Or(1) != 0 || !made.Reindex || len(made.Parts) != 1 || made.Parts[0].Integration != "globex" {
		t.Fatalf("the rotation: %+v", made)
	}
	w.at(made.ID, StepVerify)
	if _, err := w.m.Rollback(t.Context(), operator, made.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("back to a key that may be known: %v", err)
	}
	before := w.get(slow.ID).Progress.Done
	if r := w.end(made.ID); r.State != StateDone {
		t.Fatalf("the rotation: %+v", r)
	}
	if after := w.get(slow.ID).Progress.Done; after != before {
		t.Fatalf("the other rotation went on meanwhile: %d, then %d", before, after)
	}
	_, err := w.m.Create(t.Context(), operator, Request{Compromised: "ffffffff"})
	if !errors.As(err, new(*store.Invalid)) {
		t.Fatalf("a key that never was: %v", err)
	}
}

// TestCompromisedSystemKeyEndsTokens looks at when access tokens end: before
// values are moved, and not with a rotation that was planned.
func TestCompromisedSystemKeyEndsTokens(t *testing.T) {
	w := newWorld(t)
	w.fill(40_000)
	w.model.domains[0].values[envelope.PurposeSystemMAC] = nil // those that a day has ended
	planned := w.create(Request{System: true, Depth: DepthData})
	if w.end(planned.ID); w.model.rotated == 0 || w.model.ended != 0 {
		t.Fatalf("a planned rotation: signers were made anew %d times, tokens ended %d times", w.model.rotated, w.model.ended)
	}
	bad := envelope.FormatKeyID(w.model.domains[0].primary(envelope.PurposeSystem).KeyID)
	made := w.create(Request{Compromised: bad})
	moving := w.until(made.ID, "moving values", func(r Rotation) bool { return r.Progress.Done > 0 })
	if moving.Parts[0].Step != StepSweep || w.model.ended != 1 {
		t.Fatalf("at %s tokens ended %d times, want once", moving.Parts[0].Step, w.model.ended)
	}
}

// TestCompromisedPendingKey rotates an integration that is deleted before its new
// key is promoted, and undeleted. The key that is left then becomes known: it must
// not be what comes into use.
func TestCompromisedPendingKey(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(10)
	given := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(given.ID, StepPromote)
	acme := w.model.domains[0]
	acme.gone = true
	w.end(given.ID)
	acme.gone = false
	left := acme.keys[len(acme.keys)-1]
	w.clock = w.clock.Add(time.Hour)
	made := w.create(Request{Compromised: envelope.FormatKeyID(left.KeyID)})
	if r := w.end(made.ID); r.State != StateDone {
		t.Fatalf("the rotation: %+v", r)
	}
	if in := acme.primary(envelope.PurposeWrapping); !left.gone || in == left {
		t.Fatalf("the key that is known is in use: %+v", in)
	}
	w.sound(t)
}

func TestFailedAndResumed(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(100)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.model.fail = func(call string, after bool) error {
		if call == "VerifyKeysets" && !after {
			return store.ErrIntegrity
		}
		return nil
	}
	r := w.until(made.ID, "failed", func(r Rotation) bool { return r.State == StateFailed })
	if !strings.Contains(r.Detail, "integrity") || len(w.m.Reasons()) != 1 || !w.m.Reasons()[0].Degraded {
		t.Fatalf("the rotation: %+v; reasons: %+v", r, w.m.Reasons())
	}
	w.model.fail = nil
	w.restart()
	for range 50 {
		w.step(time.Minute)
	}
	if r := w.get(made.ID); r.State != StateFailed {
		t.Fatalf("after a restart: %+v", r)
	}
	if _, err := w.m.Resume(t.Context(), operator, made.ID); err != nil {
		t.Fatal(err)
	}
	if r := w.end(made.ID); r.State != StateDone {
		t.Fatalf("resumed: %+v", r)
	}
}

func TestGivenUpAndClearedByTheNext(t *testing.T) {
	w := newWorld(t, "acme")
	w.fill(12_000)
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	w.at(made.ID, StepSweep)
	w.model.fail = func(call string, after bool) error {
		if call == "Sweep" && !after {
			return store.ErrIntegrity
		}
		return nil
	}
	w.until(made.ID, "failed", func(r Rotation) bool { return r.State == StateFailed })
	w.model.fail = nil
	if _, err := w.m.Cancel(t.Context(), operator, made.ID); err != nil {
		t.Fatal(err)
	}
	w.end(made.ID)
	w.sound(t)
	next := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKeyset})
	if r := w.end(next.ID); r.State != StateDone || len(r.Parts[0].Old) != 2 {
		t.Fatalf("the next rotation: %+v", r)
	}
	w.only(t, w.model.domains[0], "wrapping")
	w.sound(t)
}

func TestIntegrationDeletedMeanwhile(t *testing.T) {
	w := newWorld(t, "acme", "globex")
	w.fill(12_000)
	made := w.create(Request{Integrations: []string{"*"}, Depth: DepthKeyset})
	w.at(made.ID, StepSweep)
	w.model.domains[0].gone = true
	r := w.end(made.ID)
	if r.State != StateDone || r.Parts[0].Step != StepSkipped || r.Parts[1].Step != StepDone {
		t.Fatalf("the rotation: %+v", r)
	}
}

func TestOnlyOperators(t *testing.T) {
	w := newWorld(t, "acme")
	made := w.create(Request{Integrations: []string{"acme"}, Depth: DepthKEK})
	nobody := &access.Principal{Client: "nobody"}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"create":   func() error { _, err := w.m.Create(ctx, nobody, Request{}); return err },
		"get":      func() error { _, err := w.m.Get(ctx, nobody, made.ID); return err },
		"list":     func() error { _, err := w.m.List(ctx, nobody); return err },
		"pause":    func() error { _, err := w.m.Pause(ctx, nobody, made.ID); return err },
		"resume":   func() error { _, err := w.m.Resume(ctx, nobody, "none"); return err },
		"cancel":   func() error { _, err := w.m.Cancel(ctx, nobody, made.ID); return err },
		"rollback": func() error { _, err := w.m.Rollback(ctx, nobody, made.ID); return err },
		"throttle": func() error { _, err := w.m.Throttle(ctx, nobody, made.ID, 1); return err },
		"follow":   func() error { _, err := w.m.Subscribe(ctx, nobody, made.ID); return err },
		"report":   func() error { _, err := w.m.Report(ctx, nobody, made.ID); return err },
		"schedule": func() error {
			_, _, err := w.m.PutSchedule(ctx, nobody, "x", ScheduleSpec{}, store.Precondition{})
			return err
		},
		"read":   func() error { _, err := w.m.GetSchedule(ctx, nobody, "x"); return err },
		"all":    func() error { _, err := w.m.ListSchedules(ctx, nobody); return err },
		"delete": func() error { return w.m.DeleteSchedule(ctx, nobody, "x", store.Precondition{}) },
	} {
		if err := call(); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
