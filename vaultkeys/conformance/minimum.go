package conformance

import (
	"errors"

	"strongroom/vaultkeys"
)

// versions makes a key with three versions and something wrapped under each.
func (s *suite) versions() (key vaultkeys.KeyName, wrapped [4][]byte) {
	s.Helper()
	key = s.newKey()
	for n := 1; n <= 3; n++ {
		if n > 1 {
			_, err := s.Rotate(s.Context(), key)
			s.must(err)
		}
		wrapped[n] = s.wrap(key, "a keyset", "a place")
	}
	return key, wrapped
}

// wantInfo checks what is told of a key, and that it is told of every version.
func (s *suite) wantInfo(key vaultkeys.KeyName, latest, minimum, available int) {
	s.Helper()
	info, err := s.Describe(s.Context(), key)
	s.must(err)
	if info.Latest != latest || info.Minimum != minimum || info.Available != available {
		s.Errorf("it tells newest %d, minimum %d, available %d; want %d, %d, %d",
			info.Latest, info.Minimum, info.Available, latest, minimum, available)
	}
	if len(info.Versions) != latest-available+1 {
		s.Fatalf("it tells of %d versions; want %d to %d", len(info.Versions), available, latest)
	}
	for i, v := range info.Versions {
		if v.Version != available+i || v.CreatedAt.IsZero() && v.Version >= minimum {
			s.Errorf("version %d is told as %+v", available+i, v)
		}
	}
}

func versionOf(s *suite) {
	key, wrapped := s.versions()
	for n := 1; n <= 3; n++ {
		if got, err := s.VersionOf(wrapped[n]); err != nil || got != n {
			s.Errorf("an item of version %d is told as %d, %v", n, got, err)
		}
	}
	s.must(s.Destroy(s.Context(), key))
	if got, err := s.VersionOf(wrapped[2]); err != nil || got != 2 {
		s.Errorf("an item of a key that is gone is told as %d, %v", got, err)
	}
	for what, b := range map[string][]byte{"nothing": nil, "a cut item": wrapped[1][:5], "zeros": make([]byte, 60)} {
		got, err := s.VersionOf(b)
		s.wantError(err, vaultkeys.ErrTampered)
		if got != 0 {
			s.Errorf("%s is of version %d", what, got)
		}
	}
}

func minimum(s *suite) {
	key, wrapped := s.versions()
	s.wantInfo(key, 3, 1, 1)
	for _, n := range []int{3, 2, 2, 3, 1, 3} {
		s.must(s.SetMinimum(s.Context(), key, n))
		s.wantInfo(key, 3, n, 1)
		for v := 1; v <= 3; v++ {
			if v >= n {
				s.opens(key, wrapped[v], "a keyset", "a place")
				continue
			}
			err := s.refuses(key, wrapped[v], "a place", vaultkeys.ErrTooOld)
			if errors.Is(err, vaultkeys.ErrTrimmed) {
				s.Errorf("version %d is told to be trimmed with a minimum of %d", v, n)
			}
		}
		s.opens(key, s.wrap(key, "another", "a place"), "another", "a place")
	}
	n, err := s.Rotate(s.Context(), key)
	s.must(err)
	s.wantInfo(key, n, 3, 1)
}

// oneTooOld has a batch with one item that may not be opened: nothing of it is.
func oneTooOld(s *suite) {
	key, wrapped := s.versions()
	s.must(s.SetMinimum(s.Context(), key, 2))
	batch := sealed([]vaultkeys.Item{item("", "a place"), item("", "a place"), item("", "a place")}, wrapped[1:])
	out, err := s.Unwrap(s.Context(), key, batch)
	s.wantError(err, vaultkeys.ErrTooOld)
	if out != nil {
		s.Errorf("%d items are answered", len(out))
	}
}

func badMinimum(s *suite) {
	key, wrapped := s.versions()
	for _, n := range []int{-1, 0, 4, 1 << 30} {
		s.wantError(s.SetMinimum(s.Context(), key, n), vaultkeys.ErrVersion)
	}
	s.wantInfo(key, 3, 1, 1)
	s.opens(key, wrapped[1], "a keyset", "a place")
}

func trimmed(s *suite) {
	key, wrapped := s.versions()
	s.must(s.SetMinimum(s.Context(), key, 3))
	s.must(s.Trim(s.Context(), key, 2)) // less than is allowed
	s.wantInfo(key, 3, 3, 2)
	s.refuses(key, wrapped[1], "a place", vaultkeys.ErrTrimmed)
	s.refuses(key, wrapped[2], "a place", vaultkeys.ErrTooOld)
	for range 2 { // again is no harm
		s.must(s.Trim(s.Context(), key, 3))
		s.wantInfo(key, 3, 3, 3)
	}
	s.must(s.Trim(s.Context(), key, 1))
	s.wantInfo(key, 3, 3, 3)
	for v := 1; v <= 2; v++ {
		s.refuses(key, wrapped[v], "a place", vaultkeys.ErrTrimmed)
		s.wantError(s.SetMinimum(s.Context(), key, v), vaultkeys.ErrVersion)
	}
	s.opens(key, wrapped[3], "a keyset", "a place")
	n, err := s.Rotate(s.Context(), key)
	s.must(err)
	s.wantInfo(key, n, 3, 3)
	s.opens(key, s.wrap(key, "another", "a place"), "another", "a place")
}

// trimNeedsMinimum: nothing that may still be opened is destroyed.
func trimNeedsMinimum(s *suite) {
	key, wrapped := s.versions()
	for _, n := range []int{2, 3, 4, 1 << 30} {
		s.wantError(s.Trim(s.Context(), key, n), vaultkeys.ErrVersion)
	}
	s.must(s.SetMinimum(s.Context(), key, 2))
	s.wantError(s.Trim(s.Context(), key, 3), vaultkeys.ErrVersion)
	s.wantInfo(key, 3, 2, 1)
	s.must(s.SetMinimum(s.Context(), key, 1))
	for v := 1; v <= 3; v++ {
		s.opens(key, wrapped[v], "a keyset", "a place")
	}
}
