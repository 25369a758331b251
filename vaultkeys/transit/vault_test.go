package transit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys"
)

// vault is a real server with a transit engine and the shipped policies.
type vault struct{ *vaulttest.Server }

// newVault uses the server that the tests of this package share.
func newVault(t testing.TB) vault { return furnish(t, vaulttest.Shared(t)) }

// ownVault has a server of its own, for tests that do something to it.
func ownVault(t testing.TB) vault { return furnish(t, vaulttest.New(t)) }

const (
	everydayPolicy  = "strongroom-everyday"
	lifecyclePolicy = "strongroom-lifecycle"
)

func furnish(t testing.TB, s *vaulttest.Server) vault {
	t.Helper()
	s.Mount(t, "transit")
	s.Policy(t, everydayPolicy, EverydayPolicy)
	s.Policy(t, lifecyclePolicy, LifecyclePolicy)
	return vault{s}
}

// config is without an identity.
func (v vault) config(t testing.TB) Config {
	return Config{Address: v.Address, CACertFile: v.CAFile(t), Timeout: patience}
}

// patience is a deadline that nothing reaches by accident.
const patience = 20 * time.Second

// appRole returns an AppRole identity with exactly the policies.
func (v vault) appRole(t testing.TB, ttl, maxTTL string, policies ...string) Auth {
	t.Helper()
	roleID, secretID := v.AppRole(t, "strongroom-"+uid.New().String(), ttl, maxTTL, policies...)
	return Auth{Method: MethodAppRole, RoleIDFile: roleID, SecretIDFile: secretID}
}

// twoRoles is how Strongroom is meant to run: an identity for the day and one
// for what makes and ends keys.
func (v vault) twoRoles(t testing.TB) Config {
	t.Helper()
	c := v.config(t)
	c.Auth = v.appRole(t, "1h", "2h", everydayPolicy)
	lifecycle := v.appRole(t, "1h", "2h", lifecyclePolicy)
	c.LifecycleAuth = &lifecycle
	return c
}

// oneToken has both policies in one token.
func (v vault) oneToken(t testing.TB) Config {
	t.Helper()
	c := v.config(t)
	_, file := v.Token(t, "1h", everydayPolicy, lifecyclePolicy)
	c.Auth = Auth{Method: MethodToken, TokenFile: file}
	return c
}

func (v vault) open(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// newKey makes a key that goes with the test.
func (v vault) newKey(t testing.TB, p *Provider) vaultkeys.KeyName {
	t.Helper()
	key := vaultkeys.IntegrationKey(uid.New(), uid.New())
	must(t, p.Create(t.Context(), key))
	t.Cleanup(func() {
		_, _ = v.Try(v.RootToken, "POST", "transit/keys/"+string(key)+"/config", map[string]any{"deletion_allowed": true})
		_, _ = v.Try(v.RootToken, "DELETE", "transit/keys/"+string(key), nil) // it may be gone, and so may the server
	})
	return key
}

var one = []vaultkeys.Item{{Data: []byte("a keyset"), AssociatedData: []byte("a place")}}

// sealed wraps one item, and is what unwraps it.
func sealed(t testing.TB, p *Provider, key vaultkeys.KeyName) []vaultkeys.Item {
	t.Helper()
	out, err := p.Wrap(t.Context(), key, one)
	must(t, err)
	return []vaultkeys.Item{{Data: out[0], AssociatedData: one[0].AssociatedData}}
}

// opens checks that a wrapped item unwraps.
func opens(t testing.TB, p *Provider, key vaultkeys.KeyName, wrapped []vaultkeys.Item) {
	t.Helper()
	out, err := p.Unwrap(t.Context(), key, wrapped)
	must(t, err)
	if len(out) != 1 || string(out[0]) != "a keyset" {
		t.Errorf("it unwraps to %q", out)
	}
}

// wantError checks the class of an error, and that its sentence says what a
// person needs to know and nothing that is secret.
func wantError(t testing.TB, err, class error, says string) {
	t.Helper()
	switch {
	case !errors.Is(err, class):
		t.Errorf("the error is %v, want %v", err, class)
	case errors.Is(err, vaultkeys.ErrRefused) && errors.Is(err, vaultkeys.ErrUnavailable):
		t.Errorf("the error is a refusal and an unavailability: %v", err)
	case !strings.Contains(err.Error(), says):
		t.Errorf("the error %q does not say %q", err, says)
	case strings.Contains(err.Error(), "a keyset"), strings.Contains(err.Error(), "hvs."):
		t.Errorf("the error repeats a secret: %v", err)
	}
}

// within runs a call and checks that it ends by its deadline, with room for a
// machine that is busy.
func within(t testing.TB, deadline time.Duration, call func(context.Context) error) error {
	t.Helper()
	start := time.Now()
	err := call(context.Background())
	if took := time.Since(start); took > deadline+5*time.Second {
		t.Errorf("a call with a deadline of %v took %v", deadline, took)
	}
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
