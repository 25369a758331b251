package identity

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/limits"
	"strongroom/internal/outbound"
	"strongroom/store"
)

// guard puts a guard before the realm's directory.
func (r *realm) guard(fetch *outbound.Guard) *limits.Guard {
	r.t.Helper()
	g := limits.NewGuard(func() time.Time { return r.now }, nil)
	a, err := New(Config{Directory: Guarded(r.store.Store, g), Issuer: realmIssuer, Outbound: fetch, Now: func() time.Time { return r.now }})
	r.must(err)
	r.Authority = a
	return g
}

var (
	thief = netip.MustParseAddr("203.0.113.9")
	home  = netip.MustParseAddr("198.51.100.7")
)

// tries asks for a token from an address.
func (r *realm) tries(from netip.Addr, form url.Values) error {
	_, err := r.Exchange(context.Background(), Request{Form: form, From: store.Attempt{Address: from.String()}})
	return err
}

// blockedAfter returns how many attempts are judged before the guard refuses.
func blockedAfter(t *testing.T, most int, try func() error) (n int) {
	t.Helper()
	for n = range most {
		err := try()
		if errors.Is(err, limits.ErrFailures) {
			return n
		}
		if err == nil {
			t.Fatalf("attempt %d succeeds", n)
		}
	}
	t.Fatalf("%d failed attempts block nobody", most)
	return n
}

func assertionForm(text string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {text}}
}

func vouchedForm(text string) url.Values {
	return url.Values{"grant_type": {grantJWT}, "assertion": {text}}
}

// Whoever forges assertions, or replays one, is slowed down and blocked like who
// guesses secrets, and the client is at home all the same.
func TestForgedAssertionsCountAsFailures(t *testing.T) {
	r := newRealm(t, nil)
	key, forged := newPair(t, "k1", jose.EdDSA), newPair(t, "k1", jose.EdDSA)
	r.put("signer", store.ClientAuth{Method: store.AuthPrivateKey, JWKS: setOf(t, key.public())})
	r.guard(nil)
	if n := blockedAfter(t, 50, func() error { return r.tries(thief, assertionForm(forged.sign(t, r.assertion("signer")))) }); n > 5 {
		t.Errorf("%d forged assertions were judged", n)
	}
	r.must(r.tries(home, assertionForm(key.sign(t, r.assertion("signer")))))
	stolen := key.sign(t, r.assertion("signer"))
	r.must(r.tries(home, assertionForm(stolen)))
	r.now = r.now.Add(time.Hour)
	stolen = key.sign(t, r.assertion("signer"))
	r.must(r.tries(home, assertionForm(stolen)))
	if n := blockedAfter(t, 50, func() error { return r.tries(thief, assertionForm(stolen)) }); n > 5 {
		t.Errorf("%d replays were judged", n)
	}
	r.must(r.tries(home, assertionForm(key.sign(t, r.assertion("signer")))))
}

// A token of an issuer names its client where nobody has verified it: a flood of
// forged ones blocks the address for strangers, and a workload behind the same
// address gets in, if not as often as it likes.
func TestForgedTokensOfIssuersCountAsFailures(t *testing.T) {
	p, fetch := newProvider(t)
	r := newRealm(t, fetch)
	r.put("invoicing", store.ClientAuth{})
	r.trust(p, nil)
	g := r.guard(fetch)
	forged := newPair(t, "op-1", jose.RS256).sign(t, p.token(r))
	blockedAfter(t, 1000, func() error { return r.tries(thief, vouchedForm(forged)) })
	if g.Blocked(thief) == 0 {
		t.Error("the address is not blocked")
	}
	r.must(r.tries(home, vouchedForm(p.key.sign(t, p.token(r)))))
	r.now = r.now.Add(time.Second)
	r.must(r.tries(thief, vouchedForm(p.key.sign(t, p.token(r)))))
	named := vouchedForm(forged)
	named.Set("client_id", "payroll")
	if err := r.tries(thief, named); !errors.Is(err, limits.ErrFailures) {
		t.Errorf("a client that was never here, from a blocked address: %v", err)
	}
}

// The other endpoints authenticate clients too: they are no way to guess at.
func TestEveryEndpointCountsFailures(t *testing.T) {
	ctx := context.Background()
	wrong := url.Values{"client_id": {"victim"}, "client_secret": {"guess"}, "token": {"x"}}
	for name, try := range map[string]func(r *realm, q Request) error{
		"introspect": func(r *realm, q Request) error { _, err := r.Inspect(ctx, q); return err },
		"revoke":     func(r *realm, q Request) error { return r.Revoke(ctx, q) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, nil)
			r.put("victim", store.ClientAuth{})
			r.guard(nil)
			q := Request{Form: wrong, From: store.Attempt{Address: thief.String()}}
			if n := blockedAfter(t, 50, func() error { return try(r, q) }); n > 5 {
				t.Errorf("%d guesses were judged", n)
			}
		})
	}
}

func TestAttemptsThatNameNobodyCountAgainstTheAddress(t *testing.T) {
	for name, form := range map[string]url.Values{
		"no name":      {"grant_type": {"client_credentials"}},
		"no secret":    {"grant_type": {"client_credentials"}, "client_id": {"victim"}},
		"no assertion": assertionForm("garbage"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(t, nil)
			g := r.guard(nil)
			for range 1000 {
				refusedAs(t, r.tries(thief, form), "invalid_client")
			}
			if g.Blocked(thief) == 0 || g.Blocked(home) != 0 {
				t.Error("a thousand attempts block nobody, or somebody else")
			}
		})
	}
}

// A token that was revoked is nobody's: what knew it as good forgets it, so that
// who goes on using it is counted and slowed down like a stranger.
func TestARevokedTokenIsNotKnown(t *testing.T) {
	ctx := context.Background()
	r := newRealm(t, nil)
	made, err := r.store.InitialClient(ctx, "mine", nil)
	r.must(err)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"mine"}, "client_secret": {made.Secret.Reveal()}}
	token, err := r.Exchange(ctx, Request{Form: form})
	r.must(err)
	text := token.Value.Reveal()
	_, err = r.Authenticate(ctx, bearer(text))
	r.must(err)
	if !r.Known(text) {
		t.Fatal("a good token is not known")
	}
	form.Set("token", text)
	r.must(r.Revoke(ctx, Request{Form: form}))
	for range 2 {
		if _, err := r.Authenticate(ctx, bearer(text)); !errors.Is(err, ErrToken) {
			t.Errorf("got %v", err)
		}
		if r.Known(text) {
			t.Error("a revoked token counts as known")
		}
	}
}
