package vaultkeys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// SelfTest proves that w wraps and unwraps under the key, and that it refuses
// a wrong associated data. Old Vault servers ignore associated data without a
// word; with such a one a wrapped keyset could be moved from one integration to
// another. It is what every provider's SelfTest does.
func SelfTest(ctx context.Context, w Wrapper, key KeyName) error {
	probe := make([]byte, 32)
	rand.Read(probe)
	wrapped, err := w.Wrap(ctx, key, []Item{{Data: probe, AssociatedData: []byte("strongroom/self-test/right")}})
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if err := selfTestUnwrap(ctx, w, key, wrapped[0], probe); err != nil {
		return err
	}
	_, err = w.Unwrap(ctx, key, []Item{{Data: wrapped[0], AssociatedData: []byte("strongroom/self-test/wrong")}})
	switch {
	case err == nil:
		return fmt.Errorf("self-test: it ignores associated data, so a key could be moved to another place unnoticed: %w", ErrUnfit)
	case errors.Is(err, ErrTampered):
		return nil
	}
	return fmt.Errorf("self-test: %w", err)
}

func selfTestUnwrap(ctx context.Context, w Wrapper, key KeyName, wrapped, probe []byte) error {
	opened, err := w.Unwrap(ctx, key, []Item{{Data: wrapped, AssociatedData: []byte("strongroom/self-test/right")}})
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if string(opened[0]) != string(probe) {
		return fmt.Errorf("self-test: what it opens is not what it sealed: %w", ErrUnfit)
	}
	return nil
}
