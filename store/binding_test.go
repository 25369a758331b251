package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"strongroom/store"
	"strongroom/store/storetest"
)

// TestWhatAMarkedClientsTokensMustBeBoundTo goes through all marks and all
// bindings: the token endpoint asks by Suffices, and every request is held
// against the client as it is marked then.
func TestWhatAMarkedClientsTokensMustBeBoundTo(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref, _ := w.ref("c")
	none, dpop, tls := store.Binding{}, store.Binding{DPoP: "key"}, store.Binding{Certificate: "cert"}
	both := store.Binding{DPoP: "key", Certificate: "cert"}
	for _, c := range []struct {
		tls, dpop bool
		counts    []store.Binding
		fails     []store.Binding
	}{
		{false, false, []store.Binding{none, dpop, tls, both}, nil},
		{true, false, []store.Binding{tls, both}, []store.Binding{none, dpop}},
		{false, true, []store.Binding{dpop, both}, []store.Binding{none, tls}},
		{true, true, []store.Binding{dpop, tls, both}, []store.Binding{none}},
	} {
		_, _, err := w.PutClient(ctx, w.root, "c", store.ClientSpec{ClientAuth: store.ClientAuth{TLSBound: c.tls, DPoPBound: c.dpop}}, store.Precondition{})
		w.must(err)
		for _, b := range c.counts {
			ref.Binding = b
			p, err := w.Principal(&ref)
			if err != nil || !(store.VerifiedClient{TLSBound: c.tls, DPoPBound: c.dpop}).Suffices(b) {
				t.Fatalf("marked %v and %v, bound to %v: %v", c.tls, c.dpop, b, err)
			}
			if kind, thumbprint := b.Kind(); p.Binding != kind || p.Thumbprint != thumbprint {
				t.Errorf("the principal is bound by %q to %q", p.Binding, p.Thumbprint)
			}
		}
		for _, b := range c.fails {
			ref.Binding = b
			if _, err := w.Principal(&ref); !errors.Is(err, store.ErrUnauthenticated) || (store.VerifiedClient{TLSBound: c.tls, DPoPBound: c.dpop}).Suffices(b) {
				t.Errorf("marked %v and %v, bound to %v: %v", c.tls, c.dpop, b, err)
			}
		}
	}
}

func TestMarksComeWithEveryWayToAuthenticate(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	made, err := w.InitialClient(ctx, "c", nil)
	w.must(err)
	_, _, err = w.PutClient(ctx, w.root, "c", store.ClientSpec{ClientAuth: store.ClientAuth{TLSBound: true}}, store.Precondition{})
	w.must(err)
	v, err := w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
	if err != nil || !v.TLSBound || v.DPoPBound {
		t.Errorf("by a secret: %+v, %v", v, err)
	}
	_, _, err = w.PutClient(ctx, w.root, "c", store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthPrivateKey, JWKS: someKeys(t), DPoPBound: true}}, store.Precondition{})
	w.must(err)
	v, err = w.Authenticate(ctx, store.Attempt{Client: "c", Method: store.AuthPrivateKey}, func(r store.Registration) (store.Proven, error) {
		return store.Proven{Credential: store.KeyCredential(r.Keys.Keys()[0])}, nil
	})
	if err != nil || v.TLSBound || !v.DPoPBound {
		t.Errorf("by a key: %+v, %v", v, err)
	}
}

func TestARefusedTokenIsAuditedAsItsClients(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	ref, _ := w.ref("c")
	ref.Binding = store.Binding{DPoP: "the-key"}
	err := w.Refuse(ref, store.Attempt{Client: "somebody", Method: "access token", Address: "192.0.2.9"}, "the proof is too old")
	wantErr(t, err, store.ErrUnauthenticated)
	wantErr(t, w.Refuse(store.TokenRef{}, store.Attempt{Client: "../x", Method: "token"}, "there is no proof"), store.ErrUnauthenticated)
	for _, want := range []string{
		`"client":"c","client_uid":"`, `"token_id":"` + ref.TokenID + `"`, `"binding":"dpop","thumbprint":"the-key"`,
		`"address":"192.0.2.9"`, `"detail":"access token: the proof is too old"`, `"detail":"token: there is no proof"`,
	} {
		if log := w.auditText(); !strings.Contains(log, want) || strings.Contains(log, "../x") || strings.Contains(log, "somebody") {
			t.Errorf("the audit log lacks %s:\n%s", want, log)
		}
	}
}
