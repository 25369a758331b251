package store_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/storetest"
)

func TestARevokedTokenEndsAtOnceAndStaysEnded(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, storetest.Options{})
	mine, me := w.ref("mine")
	_, other := w.ref("other")
	issued := store.IssuedToken{TokenRef: mine, Expires: w.now.Add(15 * time.Minute)}
	good := func() bool {
		t.Helper()
		_, err := w.Principal(&mine)
		if err != nil {
			wantErr(t, err, store.ErrUnauthenticated)
		}
		told, inspected := w.InspectToken(ctx, me, store.Attempt{}, issued)
		w.must(inspected)
		if told != (err == nil) {
			t.Errorf("introspection says %v, and the token is %v", told, err)
		}
		return err == nil
	}
	wantErr(t, w.RevokeToken(ctx, other, store.Attempt{}, issued), store.ErrForbidden)
	if told, err := w.InspectToken(ctx, other, store.Attempt{}, issued); err != nil || told {
		t.Errorf("a stranger is told that the token is good: %v", err)
	}
	if !good() {
		t.Fatal("a token is not good before it was revoked")
	}
	w.must(w.RevokeToken(ctx, me, store.Attempt{}, issued))
	if good() {
		t.Error("a revoked token is good")
	}
	w.must(w.RevokeToken(ctx, me, store.Attempt{}, issued))
	w.Reopen()
	if good() {
		t.Error("a revoked token is good after a restart")
	}
	w.now = w.now.Add(16 * time.Minute)
	w.sweep()
	if good() {
		t.Error("it was forgotten before every verifier's clock says that it expired")
	}
	w.now = w.now.Add(time.Minute + time.Second)
	w.sweep()
	if !good() { // the signature and the expiry, which the store does not see, refuse it by then
		t.Error("it is remembered for good")
	}
	if n := strings.Count(w.auditText(), `"action":"revoke"`); n != 5 { // refused once, intent and outcome of two
		t.Errorf("%d entries of revocations", n)
	}
}

func TestTheAdministratorMayRevokeAndInspectEveryToken(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	ref, _ := w.ref("mine")
	issued := store.IssuedToken{TokenRef: ref, Expires: time.Now().Add(time.Minute)}
	made, err := w.InitialClient(ctx, "boss", []string{"administrator"})
	w.must(err)
	boss, err := w.VerifySecret(ctx, store.Attempt{Client: "boss"}, made.Secret)
	w.must(err)
	if good, err := w.InspectToken(ctx, boss, store.Attempt{}, issued); err != nil || !good {
		t.Errorf("inspected: %v, %v", good, err)
	}
	w.must(w.RevokeToken(ctx, boss, store.Attempt{}, issued))
	_, err = w.Principal(&ref)
	wantErr(t, err, store.ErrUnauthenticated)
}

func TestATokenThatCountsOnceIsRememberedOnTheDisk(t *testing.T) {
	ctx, w := context.Background(), newWorld(t, storetest.Options{})
	spec := store.ClientSpec{ClientAuth: store.ClientAuth{Method: store.AuthPrivateKey, JWKS: someKeys(t)}}
	for _, name := range []string{"c", "d"} {
		_, _, err := w.PutClient(ctx, w.root, name, spec, store.Precondition{})
		w.must(err)
	}
	try := func(client, jti string) error {
		_, err := w.Authenticate(ctx, store.Attempt{Client: client, Method: store.AuthPrivateKey}, func(r store.Registration) (store.Proven, error) {
			return store.Proven{Credential: store.KeyCredential(r.Keys.Keys()[0]), TokenID: jti, Expires: w.now.Add(time.Minute)}, nil
		})
		return err
	}
	w.must(try("c", "one"))
	w.must(try("c", "two"))
	w.must(try("d", "one")) // ids are each client's own
	wantErr(t, try("c", "one"), store.ErrUnauthenticated)
	w.Reopen()
	wantErr(t, try("c", "one"), store.ErrUnauthenticated)
	var wg sync.WaitGroup
	var won atomic.Int64
	for range 16 {
		wg.Go(func() {
			if try("c", "three") == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("of 16 uses at once %d were taken", won.Load())
	}
	w.now = w.now.Add(4 * time.Minute)
	w.sweep()
	w.must(try("c", "one")) // what remembered it is gone; its expiry refuses it by now
}

func TestTokensThatCountOnceAreBounded(t *testing.T) {
	var e store.EndedForTest
	owner, many := uid.New(), 0
	for ; many < 5000; many++ {
		if e.Add(uid.New().String(), owner) != nil {
			break
		}
	}
	if many != 4096 {
		t.Errorf("one owner filled %d places", many)
	}
	if err := e.Add("x", uid.New()); err != nil {
		t.Errorf("another owner is kept out: %v", err)
	}
}
