package rotate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"strongroom/internal/vaulttest"
	"strongroom/store"
)

func waysOfErasures() []way {
	if os.Getenv("STRONGROOM_LONG") != "1" {
		return []way{lost}
	}
	return []way{sealed, lost, killed, crashed}
}

// A real Vault goes away at every call that an erasure makes of it which ends
// the keys as well: that of a record, by a rotation, and that of an integration.
// The erasure waits and says so, clients of other records go on, and when Vault
// is back it ends by itself, with a certificate that is verified without the
// store.
func TestVaultAwayAtEveryCallOfAnErasure(t *testing.T) {
	for _, w := range waysOfErasures() {
		t.Run(string(w)+"/record", func(t *testing.T) {
			t.Parallel()
			v := newVaulted(t, w)
			for n := 1; v.eraseAway(n, store.EraseTarget{Integration: "acme", Collection: "customers", Record: fmt.Sprintf("victim-%d", n)}); n++ {
			}
		})
		t.Run(string(w)+"/integration", func(t *testing.T) {
			t.Parallel()
			v := newVaulted(t, w)
			for n := 1; v.eraseAway(n, store.EraseTarget{Integration: fmt.Sprintf("globex-%d", n)}); n++ {
			}
		})
	}
}

// eraseAway makes what a target names and erases it, with Vault away from the
// nth call on, and reports whether there were so many.
func (v *vaulted) eraseAway(n int, target store.EraseTarget) (went bool) {
	t := v.real.t
	v.victim(target)
	kek := v.keyOf(target.Integration)
	made, err := v.erasures.Create(t.Context(), v.Root(), ErasureRequest{EraseTarget: target, Level: LevelKeys})
	v.must(err)
	v.arm(n)
	for range 1000 {
		v.advance()
		if _, err := v.Sweep(t.Context()); err != nil && !errors.Is(err, store.ErrKeyServiceUnavailable) {
			t.Fatalf("away at call %d: the sweep of what was deleted: %v", n, err)
		}
		out, err := v.erasures.Get(t.Context(), v.Root(), made.ID)
		v.must(err)
		down, call := v.went()
		went = went || down
		switch {
		case out.Failed:
			t.Fatalf("away at call %d, %s: the erasure failed: %s", n, call, out.Detail)
		case out.Done:
			v.comeBack()
			v.erasedWell(out, kek)
			return went
		case strings.Contains(out.Detail, store.ErrNoBackup.Error()):
			v.backup()
		case down && strings.Contains(out.Detail, store.ErrKeyServiceUnavailable.Error()):
			v.erasureStaysAway(out, n)
			v.comeBack()
		}
	}
	out, err := v.erasures.Get(t.Context(), v.Root(), made.ID)
	t.Fatalf("away at call %d: the erasure never ended: %+v, %v", n, out, err)
	return false
}

// victim makes what is to be erased.
func (v *vaulted) victim(target store.EraseTarget) {
	t, ctx := v.real.t, v.real.t.Context()
	t.Helper()
	if target.Record != "" {
		_, err := v.CreateRecord(ctx, v.Root(), customers, store.RecordInput{ID: target.Record, Fields: []byte(`{"email":"v@b.c","external_id":"v","card":"4242"}`)}, store.WriteOptions{})
		v.must(err)
		return
	}
	_, _, err := v.PutIntegration(ctx, v.Root(), target.Integration, store.IntegrationSpec{}, store.Precondition{})
	v.must(err)
	ref := store.CollectionRef{Integration: target.Integration, Collection: "notes"}
	_, _, err = v.PutCollection(ctx, v.Root(), ref, store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{"text":{"type":"string"}}}`)}, store.Precondition{})
	v.must(err)
	_, err = v.CreateRecord(ctx, v.Root(), ref, store.RecordInput{Fields: []byte(`{"text":"victim"}`)}, store.WriteOptions{})
	v.must(err)
}

// keyOf returns the name of an integration's key at Vault.
func (v *vaulted) keyOf(integration string) string {
	in, err := v.GetIntegration(v.real.t.Context(), v.Root(), integration)
	v.must(err)
	return "strongroom-" + v.Store.UID().String() + "-" + in.UID.String()
}

// erasureStaysAway checks that /readyz tells that the erasure waits, that
// clients go on meanwhile, and that it does not give up.
func (v *vaulted) erasureStaysAway(out Erasure, n int) {
	t := v.real.t
	_, call := v.went()
	at := fmt.Sprintf("away at call %d, %s, at %s", n, call, out.State)
	told := false
	for _, r := range append(v.m.Reasons(), v.erasures.Reasons()...) {
		told = told || strings.Contains(r.Detail, store.ErrKeyServiceUnavailable.Error())
	}
	if !told {
		t.Errorf("%s: the reasons are %+v, %+v", at, v.m.Reasons(), v.erasures.Reasons())
	}
	v.serves(at)
	for range 5 {
		v.advance()
	}
	if now, err := v.erasures.Get(t.Context(), v.Root(), out.ID); err != nil || now.Done || now.Failed {
		t.Errorf("%s: after a while: %+v, %v", at, now, err)
	}
}

// erasedWell holds the certificate against what Vault has.
func (v *vaulted) erasedWell(out Erasure, kek string) {
	t := v.real.t
	text, err := v.erasures.Certificate(t.Context(), v.Root(), out.ID)
	v.must(err)
	var keys []string
	for _, k := range v.AttestKeys() {
		keys = append(keys, k.Key)
	}
	cert, err := VerifyCertificate(text, keys)
	v.must(err)
	if _, err := VerifyCertificate(bytes.Replace(text, []byte(out.Integration), []byte("another"), 1), keys); err == nil {
		t.Error("a certificate that was changed is verified")
	}
	if out.State != LevelKeys || !strings.HasPrefix(cert.Proof, "proven") || len(cert.Destroyed) != 1 || !strings.Contains(cert.KeyService, "vault transit") {
		t.Fatalf("the erasure %+v has the certificate %+v", out, cert)
	}
	info, err := v.Try(v.RootToken, "GET", "transit/keys/"+kek, nil)
	if out.Record == "" {
		if refusal := (*vaulttest.Refusal)(nil); !errors.As(err, &refusal) || refusal.Status != 404 {
			t.Errorf("Vault still has the key of the integration: %v", err)
		}
		if d := cert.Destroyed[0]; d.KEK != kek || len(d.Keys) != 2 {
			t.Errorf("the certificate names %+v", d)
		}
		return
	}
	destroyed := cert.Destroyed[0]
	if fmt.Sprint(info["min_available_version"]) != fmt.Sprint(destroyed.Below) || destroyed.KEK != kek || destroyed.Below < 2 || len(destroyed.Keys) < 2 {
		t.Errorf("the certificate names %+v; Vault has the key from version %v on: %v", destroyed, info["min_available_version"], err)
	}
	v.readable(10)
}
