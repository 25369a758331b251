package conformance

import (
	"context"
	"errors"
	"time"

	"strongroom/vaultkeys"
)

func createExisting(s *suite) {
	key := s.newKey()
	wrapped := s.wrap(key, "a keyset", "a place")
	s.wantError(s.Create(s.Context(), key), vaultkeys.ErrKeyExists)
	s.opens(key, wrapped, "a keyset", "a place")
	info, err := s.Describe(s.Context(), key)
	s.must(err)
	if info.Latest != 1 {
		s.Errorf("creating a key that exists made version %d", info.Latest)
	}
}

func unknownKey(s *suite) {
	known, unknown := s.newKey(), freshName()
	ctx := s.Context()
	wrapped := s.wrap(known, "a keyset", "a place")
	for what, call := range map[string]func() error{
		"wrap":      func() error { _, err := s.Wrap(ctx, unknown, numbered(1)); return err },
		"unwrap":    func() error { return s.refuses(unknown, wrapped, "a place", vaultkeys.ErrKeyNotFound) },
		"rotate":    func() error { _, err := s.Rotate(ctx, unknown); return err },
		"destroy":   func() error { return s.Destroy(ctx, unknown) },
		"describe":  func() error { _, err := s.Describe(ctx, unknown); return err },
		"minimum":   func() error { return s.SetMinimum(ctx, unknown, 1) },
		"trim":      func() error { return s.Trim(ctx, unknown, 1) },
		"self-test": func() error { return s.SelfTest(ctx, unknown) },
	} {
		if err := call(); !errors.Is(err, vaultkeys.ErrKeyNotFound) {
			s.Errorf("%s of an unknown key: %v", what, err)
		}
		_, err := s.Describe(ctx, unknown)
		s.wantError(err, vaultkeys.ErrKeyNotFound)
	}
}

func rotated(s *suite) {
	key := s.newKey()
	first := s.wrap(key, "first", "a place")
	version, err := s.Rotate(s.Context(), key)
	s.must(err)
	if version != 2 {
		s.Errorf("the first rotation made version %d", version)
	}
	second := s.wrap(key, "second", "a place")
	s.opens(key, first, "first", "a place")
	s.opens(key, second, "second", "a place")
	out, err := s.Unwrap(s.Context(), key, []vaultkeys.Item{
		{Data: second, AssociatedData: []byte("a place")}, {Data: first, AssociatedData: []byte("a place")}})
	s.must(err)
	if string(out[0]) != "second" || string(out[1]) != "first" {
		s.Errorf("a batch of two versions opens to %q", out)
	}
}

// destroyed makes a namesake, too: it must open nothing of the old key's.
func destroyed(s *suite) {
	key := s.newKey()
	wrapped := s.wrap(key, "a keyset", "a place")
	s.must(s.Destroy(s.Context(), key))
	s.refuses(key, wrapped, "a place", vaultkeys.ErrKeyNotFound)
	_, err := s.Wrap(s.Context(), key, numbered(1))
	s.wantError(err, vaultkeys.ErrKeyNotFound)
	s.wantError(s.Destroy(s.Context(), key), vaultkeys.ErrKeyNotFound)
	s.must(s.Create(s.Context(), key))
	s.refuses(key, wrapped, "a place", vaultkeys.ErrTampered)
}

func described(s *suite) {
	before := time.Now().Add(-2 * time.Second) // a server tells whole seconds
	key := s.newKey()
	for range 2 {
		_, err := s.Rotate(s.Context(), key)
		s.must(err)
	}
	info, err := s.Describe(s.Context(), key)
	s.must(err)
	if info.Latest != 3 || len(info.Versions) != 3 {
		s.Fatalf("after two rotations it tells %+v", info)
	}
	last := before
	for i, v := range info.Versions {
		if v.Version != i+1 || v.CreatedAt.Before(last) || v.CreatedAt.After(time.Now().Add(2*time.Second)) {
			s.Errorf("version %d is told as %+v", i+1, v)
		}
		last = v.CreatedAt
	}
}

func selfTest(s *suite) { s.must(s.SelfTest(s.Context(), s.newKey())) }

// endedContext allows a provider that asks nobody to answer all the same.
func endedContext(s *suite) {
	key := s.newKey()
	wrapped := s.wrap(key, "a keyset", "a place")
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, wrapErr := s.Wrap(ctx, key, numbered(1))
	_, unwrapErr := s.Unwrap(ctx, key, []vaultkeys.Item{{Data: wrapped, AssociatedData: []byte("a place")}})
	_, describeErr := s.Describe(ctx, key)
	for _, err := range []error{wrapErr, unwrapErr, describeErr} {
		if err != nil {
			s.wantError(err, vaultkeys.ErrUnavailable)
		}
	}
	s.opens(key, wrapped, "a keyset", "a place")
}

func named(s *suite) {
	if s.Name() == "" {
		s.Error("it does not say where the keys are")
	}
}
