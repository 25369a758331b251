package identity

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"strongroom/internal/limits"
	"strongroom/internal/secret"
	"strongroom/store"
)

// Guarded returns a directory that asks a guard before anybody is authenticated,
// in whatever way, and tells it how that ended.
func Guarded(d Directory, g *limits.Guard) Directory { return guarded{d, g} }

type guarded struct {
	Directory
	guard *limits.Guard
}

// VerifySecret implements Directory. What the guard refuses is a
// *limits.Refusal, and is not verified: whoever guesses learns nothing more.
func (d guarded) VerifySecret(ctx context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error) {
	return d.attempt(a, func() (store.VerifiedClient, error) { return d.Directory.VerifySecret(ctx, a, value) })
}

// Authenticate implements Directory.
func (d guarded) Authenticate(ctx context.Context, a store.Attempt, prove func(store.Registration) (store.Proven, error)) (store.VerifiedClient, error) {
	return d.attempt(a, func() (store.VerifiedClient, error) { return d.Directory.Authenticate(ctx, a, prove) })
}

// AuthenticateVouched implements Directory.
func (d guarded) AuthenticateVouched(ctx context.Context, a store.Attempt, url string, verify func(store.Issuer) (store.Vouched, error)) (store.VerifiedClient, error) {
	return d.attempt(a, func() (store.VerifiedClient, error) { return d.Directory.AuthenticateVouched(ctx, a, url, verify) })
}

// attempt asks the guard, lets an attempt be judged, and tells the guard.
func (d guarded) attempt(a store.Attempt, judge func() (store.VerifiedClient, error)) (store.VerifiedClient, error) {
	from, err := netip.ParseAddr(a.Address)
	if err != nil {
		return judge()
	}
	if err := d.check(a.Client, from); err != nil {
		return store.VerifiedClient{}, err
	}
	v, err := judge()
	switch {
	case err == nil:
		d.guard.Succeeded(v.Client, from)
	case errors.Is(err, store.ErrUnauthenticated):
		d.guard.Failed(a.Client, from)
	}
	return v, err
}

// check asks the guard. An attempt that names no client, since an issuer's token
// does, is like a token that was never seen: some are let through from a blocked
// address, where others may be at fault.
func (d guarded) check(client string, from netip.Addr) error {
	if client != "" {
		return d.guard.Check(client, from)
	}
	if wait := d.guard.Blocked(from); wait > 0 && !d.guard.Try(from) {
		return &limits.Refusal{Is: limits.ErrFailures, Wait: min(wait, time.Second)}
	}
	return nil
}

// Misnamed tells the guard of an attempt that did not come so far as to be
// judged: it names no client that there could be, or no proof.
func (d guarded) Misnamed(a store.Attempt) {
	if from, err := netip.ParseAddr(a.Address); err == nil {
		d.guard.Failed("", from)
	}
}

// misnamed is what a directory has that counts attempts.
type misnamed interface{ Misnamed(store.Attempt) }

// misnamed is the answer to an attempt that is not worth judging.
func (a *Authority) misnamed(q Request) error {
	if d, ok := a.directory.(misnamed); ok {
		d.Misnamed(q.From)
	}
	return errClient
}
