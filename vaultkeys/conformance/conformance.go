// Package conformance is the suite of providers of key-encryption keys: what
// package vaultkeys promises, as tests that every provider must pass.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// Run tests the providers that open returns; open closes each at the end of its
// test. They may share what they stand on: the suite makes keys under names that
// nobody else has, and destroys them.
func Run(t *testing.T, open func(t testing.TB) vaultkeys.Provider) {
	for _, c := range []struct {
		name string
		test func(s *suite)
	}{
		{"what was wrapped is unwrapped", roundTrip},
		{"wrapping twice gives two values", distinct},
		{"the caller's bytes stay as they are", untouched},
		{"a batch keeps its order", batches},
		{"one bad item fails the batch", partialFailure},
		{"associated data is authenticated", associatedData},
		{"a changed byte is noticed", tampered},
		{"a cut or prolonged value is noticed", resized},
		{"a value opens under its own key alone", foreignKey},
		{"a key that exists is not made again", createExisting},
		{"an unknown key is never made by the way", unknownKey},
		{"what an older version wrapped opens after a rotation", rotated},
		{"a destroyed key opens nothing", destroyed},
		{"the versions are told", described},
		{"the version of a wrapped item is told", versionOf},
		{"a version below the minimum is too old until it is lowered", minimum},
		{"one item that is too old fails the batch", oneTooOld},
		{"a minimum that cannot be is refused", badMinimum},
		{"a trimmed version opens nothing for good", trimmed},
		{"what may still unwrap is not trimmed", trimNeedsMinimum},
		{"the self-test passes", selfTest},
		{"an ended context ends a call", endedContext},
		{"calls may come at once", concurrent},
		{"the provider says where it is", named},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&suite{T: t, Provider: open(t)}) })
	}
}

// suite is a test with its provider.
type suite struct {
	*testing.T
	vaultkeys.Provider
}

// newKey makes a key that ends with the test.
func (s *suite) newKey() vaultkeys.KeyName {
	s.Helper()
	key := freshName()
	s.must(s.Create(s.Context(), key))
	s.Cleanup(func() {
		if err := s.Destroy(context.Background(), key); err != nil && !errors.Is(err, vaultkeys.ErrKeyNotFound) {
			s.Errorf("destroy a key at the end: %v", err)
		}
	})
	return key
}

func freshName() vaultkeys.KeyName { return vaultkeys.IntegrationKey(uid.New(), uid.New()) }

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wrap wraps one item.
func (s *suite) wrap(key vaultkeys.KeyName, data, associated string) []byte {
	s.Helper()
	out, err := s.Wrap(s.Context(), key, []vaultkeys.Item{item(data, associated)})
	s.must(err)
	if len(out) != 1 {
		s.Fatalf("one item was wrapped to %d", len(out))
	}
	return out[0]
}

// opens checks that a wrapped item unwraps to data.
func (s *suite) opens(key vaultkeys.KeyName, wrapped []byte, data, associated string) {
	s.Helper()
	out, err := s.Unwrap(s.Context(), key, []vaultkeys.Item{{Data: wrapped, AssociatedData: []byte(associated)}})
	s.must(err)
	if len(out) != 1 || string(out[0]) != data {
		s.Errorf("it unwraps to %q, not to %q", out, data)
	}
}

// refuses checks that a wrapped item is refused, as what of the errors wants,
// and that nothing of it is answered.
func (s *suite) refuses(key vaultkeys.KeyName, wrapped []byte, associated string, want error) error {
	s.Helper()
	out, err := s.Unwrap(s.Context(), key, []vaultkeys.Item{{Data: wrapped, AssociatedData: []byte(associated)}})
	s.wantError(err, want)
	if out != nil {
		s.Errorf("a refusal answers %d items", len(out))
	}
	return err
}

// wantError checks that an error is of exactly one class: a definite refusal
// is never an unavailability, nor the other way round.
func (s *suite) wantError(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("the error is %v, not %v", err, want)
		return
	}
	if errors.Is(err, vaultkeys.ErrRefused) == errors.Is(err, vaultkeys.ErrUnavailable) && !errors.Is(err, vaultkeys.ErrKeyExists) {
		s.Errorf("the error is neither a refusal nor an unavailability, or both: %v", err)
	}
}

func item(data, associated string) vaultkeys.Item {
	return vaultkeys.Item{Data: []byte(data), AssociatedData: []byte(associated)}
}

// numbered returns n items, all different.
func numbered(n int) []vaultkeys.Item {
	items := make([]vaultkeys.Item, n)
	for i := range items {
		items[i] = item(fmt.Sprintf("keyset %d", i), fmt.Sprintf("place %d", i))
	}
	return items
}

// sealed replaces the data of items by what it was wrapped to.
func sealed(items []vaultkeys.Item, wrapped [][]byte) []vaultkeys.Item {
	out := make([]vaultkeys.Item, len(wrapped))
	for i := range wrapped {
		out[i] = vaultkeys.Item{Data: wrapped[i], AssociatedData: items[i].AssociatedData}
	}
	return out
}
