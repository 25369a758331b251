package identity

import (
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/envelope"
	"strongroom/store"
)

// TestTokensEndWithACompromisedSystemKey replaces the system's key twice: once by
// the book, when tokens go on until they expire, and once because somebody may
// have it, and with it what tokens are signed with.
func TestTokensEndWithACompromisedSystemKey(t *testing.T) {
	r := newRealm(t, nil)
	key := newPair(t, "k", jose.EdDSA)
	r.put("c", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, key.public())})
	issue := func() string {
		t.Helper()
		token, err := r.byJWT(key.sign(t, r.assertion("c")))
		r.must(err)
		return token.Value.Reveal()
	}
	good := func(token string) bool {
		t.Helper()
		_, err := r.Authenticate(t.Context(), bearer(token))
		if err != nil && !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
		return err == nil
	}
	replace := func(endTokens bool) {
		t.Helper()
		r.now = r.now.Add(time.Second)
		caller := store.Internal("test")
		refs, err := r.store.AddKeysets(t.Context(), caller, store.KeyDomain{}, []envelope.Purpose{envelope.PurposeSystem})
		r.must(err)
		r.must(r.store.PromoteKeysets(t.Context(), caller, store.KeyDomain{}, refs))
		r.must(r.store.RenewSigners(t.Context(), endTokens))
		r.must(r.store.RenewSigners(t.Context(), endTokens)) // again, as after a crash
	}
	held, unseen := issue(), issue()
	if !good(held) {
		t.Fatal("a new token is not good")
	}
	caller, err := r.Authenticate(t.Context(), bearer(held))
	r.must(err)
	replace(false)
	if !good(held) || !good(unseen) {
		t.Error("a planned rotation ended tokens before they expire")
	}
	between := issue()
	replace(true)
	for name, token := range map[string]string{"held": held, "seen before": unseen, "of the key between": between} {
		if good(token) {
			t.Errorf("the token %s is still good", name)
		}
	}
	if _, err := r.store.Renew(caller); !errors.Is(err, store.ErrUnauthenticated) {
		t.Errorf("an answer that goes on: %v", err)
	}
	if fresh := issue(); !good(fresh) {
		t.Error("a new token is signed with a key that was taken away")
	}
	if set, err := r.JWKS(t.Context()); err != nil || len(set.Keys) == 0 {
		t.Errorf("keys: %v, %v", set, err)
	}
	if keys, err := r.store.SigningKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("%d signing keys are left, %v", len(keys), err)
	}
}
