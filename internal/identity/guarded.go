package identity

import (
	"context"
	"errors"
	"net/netip"

	"strongroom/internal/limits"
	"strongroom/internal/secret"
	"strongroom/store"
)

// Guarded returns a directory that asks a guard before a secret is verified, and
// tells it how that ended.
func Guarded(d Directory, g *limits.Guard) Directory { return guarded{d, g} }

type guarded struct {
	Directory
	guard *limits.Guard
}

// VerifySecret implements Directory. What the guard refuses is a
// *limits.Refusal, and is not verified: whoever guesses learns nothing more.
func (d guarded) VerifySecret(ctx context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error) {
	from, err := netip.ParseAddr(a.Address)
	if err != nil {
		return d.Directory.VerifySecret(ctx, a, value)
	}
	if err := d.guard.Check(a.Client, from); err != nil {
		return store.VerifiedClient{}, err
	}
	v, err := d.Directory.VerifySecret(ctx, a, value)
	switch {
	case err == nil:
		d.guard.Succeeded(a.Client, from)
	case errors.Is(err, store.ErrUnauthenticated):
		d.guard.Failed(a.Client, from)
	}
	return v, err
}
