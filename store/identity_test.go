package store_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/storetest"
)

func anIssuer(url string) store.IssuerSpec {
	return store.IssuerSpec{URL: url, Audiences: []string{"strongroom"}, Rules: []store.IssuerRule{
		{Claims: map[string]string{"sub": "system:serviceaccount:prod:*"}, Client: "someone"},
	}}
}

// someKeys is a set of one fresh key, and its text.
func someKeys(t testing.TB) []byte {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}]}`)
}

func TestWhatAClientCannotBeKnownBy(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	keys := someKeys(t)
	for pointer, auths := range map[string][]store.ClientAuth{
		"/token_endpoint_auth_method": {
			{Method: "none"}, {Method: "client_secret_jwt"}, {Method: store.AuthPrivateKey}, {Method: store.AuthTLS},
			{Method: store.AuthPrivateKey, JWKS: keys, JWKSURI: "https://a.example"}, {Method: store.AuthSelfSignedTLS},
		},
		"/jwks": {
			{JWKS: keys}, {Method: store.AuthTLS, TLSSanDNS: "a", JWKS: keys}, {Method: store.AuthSelfSignedTLS, JWKS: keys},
			{Method: store.AuthPrivateKey, JWKS: []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)},
		},
		"/jwks_uri": {
			{JWKSURI: "https://a.example"}, {Method: store.AuthPrivateKey, JWKSURI: "http://a.example"},
			{Method: store.AuthPrivateKey, JWKSURI: "file:///etc/passwd"}, {Method: store.AuthPrivateKey, JWKSURI: "https://u:p@a.example"},
		},
		"/tls_client_auth_san_dns": {
			{TLSSanDNS: "a"}, {Method: store.AuthTLS, TLSSubjectDN: "CN=a", TLSSanDNS: "a"},
			{Method: store.AuthTLS, TLSSanDNS: "a\nb"}, {Method: store.AuthPrivateKey, JWKS: keys, TLSSanDNS: "a"},
		},
		"/tls_client_auth_san_ip": {{Method: store.AuthTLS, TLSSanIP: "300.1.2.3"}},
	} {
		for _, auth := range auths {
			_, _, err := w.PutClient(context.Background(), w.root, "c", store.ClientSpec{ClientAuth: auth}, store.Precondition{})
			var bad *store.Invalid
			if !errors.As(err, &bad) || bad.Issues[0].Pointer != pointer {
				t.Errorf("%+v: got %v, want an issue at %s", auth, err, pointer)
			}
		}
	}
}

func TestTwoSecretsAtOnce(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	_, _, err := w.PutClient(ctx, w.root, "c", store.ClientSpec{}, store.Precondition{})
	w.must(err)
	first, err := w.CreateSecret(ctx, w.root, "c", time.Hour, store.WriteOptions{})
	w.must(err)
	second, err := w.CreateSecret(ctx, w.root, "c", 0, store.WriteOptions{})
	w.must(err)
	if second.ExpiresAt == nil || second.ExpiresAt.Sub(w.now) != 90*24*time.Hour {
		t.Errorf("a secret without a ttl expires at %v", second.ExpiresAt)
	}
	_, err = w.CreateSecret(ctx, w.root, "c", 0, store.WriteOptions{})
	wantErr(t, err, store.ErrConflict)
	if !strings.Contains(err.Error(), "two secrets") {
		t.Errorf("the refusal says %q", err)
	}
	for _, made := range []store.NewSecret{first, second} {
		_, err := w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
		w.must(err)
	}
	w.now = w.now.Add(time.Hour) // the first one has expired and gives way
	_, err = w.VerifySecret(ctx, store.Attempt{Client: "c"}, first.Secret)
	wantErr(t, err, store.ErrUnauthenticated)
	_, err = w.CreateSecret(ctx, w.root, "c", 0, store.WriteOptions{})
	w.must(err)
	list, err := w.ListSecrets(ctx, w.root, "c")
	w.must(err)
	if len(list) != 2 || list[0].ID != second.ID {
		t.Errorf("the secrets are %+v", list)
	}
}

func TestLastUseIsKeptToTheMinute(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	_, _, err := w.PutClient(ctx, w.root, "c", store.ClientSpec{}, store.Precondition{})
	w.must(err)
	made, err := w.CreateSecret(ctx, w.root, "c", 0, store.WriteOptions{})
	w.must(err)
	used := func() *time.Time {
		t.Helper()
		list, err := w.ListSecrets(ctx, w.root, "c")
		w.must(err)
		return list[0].LastUsedAt
	}
	if used() != nil {
		t.Error("a secret that was never used says when")
	}
	_, err = w.VerifySecret(ctx, store.Attempt{Client: "c"}, secret.New("wrong"))
	wantErr(t, err, store.ErrUnauthenticated)
	if used() != nil {
		t.Error("a wrong secret counts as a use")
	}
	first := w.now
	for range 3 {
		_, err = w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
		w.must(err)
		w.now = w.now.Add(20 * time.Second)
	}
	if at := used(); at == nil || !at.Equal(first) {
		t.Errorf("last used at %v, want %v: once a minute is enough", at, first)
	}
	w.sweep()
	w.Reopen()
	if at := used(); at == nil || !at.Equal(first) {
		t.Errorf("after a restart: last used at %v", at)
	}
	_, err = w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
	w.must(err)
	w.sweep()
	if at := used(); at == nil || !at.After(first) {
		t.Errorf("the next minute's use is lost: %v", at)
	}
	w.must(w.DeleteSecret(ctx, w.root, "c", made.ID)) // fsck looks for what is left behind
}

func (w *world) sweep() {
	w.t.Helper()
	_, err := w.Sweep(context.Background())
	w.must(err)
}

func TestARoleThatClientsHoldStays(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	w.client("one", `{"rules":[]}`)
	_, _, err := w.PutClient(ctx, w.root, "two", store.ClientSpec{Roles: []string{"one-a"}}, store.Precondition{})
	w.must(err)
	err = w.DeleteRole(ctx, w.root, "one-a")
	wantErr(t, err, store.ErrConflict)
	if !strings.Contains(err.Error(), "(2)") {
		t.Errorf("the refusal says %q", err)
	}
	w.must(w.DeleteClient(ctx, w.root, "one"))
	_, _, err = w.PutClient(ctx, w.root, "two", store.ClientSpec{}, store.Precondition{})
	w.must(err)
	w.must(w.DeleteRole(ctx, w.root, "one-a"))
}

// ref makes a client that has a token got by a secret.
func (w *world) ref(name string) (store.TokenRef, store.VerifiedClient) {
	w.t.Helper()
	made, err := w.InitialClient(context.Background(), name, nil)
	w.must(err)
	v, err := w.VerifySecret(context.Background(), store.Attempt{Client: name}, made.Secret)
	w.must(err)
	return store.TokenRef{Client: name, ClientUID: v.ClientUID, SecretID: v.SecretID, TokenID: uid.New().String()}, v
}

func TestACredentialThatCountsNoMoreEndsItsTokens(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	spec := store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthPrivateKey, JWKS: someKeys(t)}}
	_, _, err := w.PutClient(ctx, w.root, "c", spec, store.Precondition{})
	w.must(err)
	prove := func(r store.Registration) (store.Proven, error) {
		return store.Proven{Credential: store.KeyCredential(r.Keys.Keys()[0])}, nil
	}
	v, err := w.Authenticate(ctx, store.Attempt{Client: "c", Method: store.AuthPrivateKey}, prove)
	w.must(err)
	ref := &store.TokenRef{Client: "c", ClientUID: v.ClientUID, SecretID: v.SecretID}
	_, err = w.Principal(ref)
	w.must(err)
	ends := func(name string, change store.ClientSpec) {
		t.Helper()
		_, _, err := w.PutClient(ctx, w.root, "c", change, store.Precondition{})
		w.must(err)
		if _, err := w.Principal(ref); !errors.Is(err, store.ErrUnauthenticated) {
			t.Errorf("%s: the token lives on: %v", name, err)
		}
		_, _, err = w.PutClient(ctx, w.root, "c", spec, store.Precondition{})
		w.must(err)
		_, err = w.Principal(ref)
		w.must(err)
	}
	ends("another key", store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthPrivateKey, JWKS: someKeys(t)}})
	ends("keys elsewhere", store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthPrivateKey, JWKSURI: "https://a.example"}})
	ends("a secret", store.ClientSpec{})
	ends("a certificate", store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthTLS, TLSSanDNS: "a.example"}})
	ends("disabled", store.ClientSpec{Disabled: true, ClientAuth: spec.ClientAuth})
	_, err = w.CreateSecret(ctx, w.root, "c", 0, store.WriteOptions{})
	wantErr(t, err, store.ErrConflict)
}

// A secret of a client that authenticates otherwise by now is of no use, and
// neither is a token that was got with it.
func TestSecretsEndWithTheMethod(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	made, err := w.InitialClient(ctx, "c", nil)
	w.must(err)
	v, err := w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
	w.must(err)
	_, _, err = w.PutClient(ctx, w.root, "c", store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthTLS, TLSSanDNS: "a"}}, store.Precondition{})
	w.must(err)
	_, err = w.VerifySecret(ctx, store.Attempt{Client: "c"}, made.Secret)
	wantErr(t, err, store.ErrUnauthenticated)
	_, err = w.Principal(&store.TokenRef{Client: "c", ClientUID: v.ClientUID, SecretID: v.SecretID})
	wantErr(t, err, store.ErrUnauthenticated)
}

func TestProofsAreAskedOfNobodyInTheSameWay(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	_, _, err := w.PutClient(ctx, w.root, "c", store.ClientSpec{}, store.Precondition{})
	w.must(err)
	for _, name := range []string{"c", "nobody", "Not A Name"} {
		asked := false
		_, err := w.Authenticate(ctx, store.Attempt{Client: name, Method: store.AuthPrivateKey}, func(r store.Registration) (store.Proven, error) {
			asked = true
			if r.Keys != nil || r.JWKSURI != "" || r.Method != store.AuthPrivateKey {
				t.Errorf("%s registered %+v", name, r)
			}
			return store.Proven{}, &store.Unproven{Reason: "no such key"}
		})
		wantErr(t, err, store.ErrUnauthenticated)
		if !asked {
			t.Errorf("%s was not asked for a proof", name)
		}
	}
	if text := w.auditText(); strings.Contains(text, "Not A Name") || !strings.Contains(text, "private_key_jwt: no such key") {
		t.Errorf("the audit log says %s", text)
	}
}

func TestSigningKeysFollowOneAnother(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	const day = 24 * time.Hour
	keys := func() []store.SigningKey {
		t.Helper()
		w.sweep()
		all, err := w.SigningKeys(ctx)
		w.must(err)
		return all
	}
	first := keys()
	if len(first) != 1 || !first[0].SignsFrom.Equal(w.now) {
		t.Fatalf("a new store has %+v", first)
	}
	w.now = w.now.Add(29 * day)
	both := keys()
	if len(both) != 2 || !both[0].SignsFrom.Equal(w.now.Add(day)) || both[1].ID != first[0].ID {
		t.Fatalf("a day before the change: %+v", both)
	}
	w.Reopen()
	w.now = w.now.Add(day)
	if n := len(keys()); n != 2 {
		t.Errorf("at the change: %d keys", n)
	}
	w.now = w.now.Add(day + 3*time.Minute)
	if now := keys(); len(now) != 1 || now[0].ID != both[0].ID {
		t.Errorf("when the last token of the old key expired: %+v", now)
	}
	w.now = w.now.Add(300 * day) // the server was off
	late := keys()
	if len(late) != 2 || late[0].SignsFrom.Before(w.now.Add(day)) {
		t.Errorf("a key that is late signs before it was shown: %+v", late)
	}
}
