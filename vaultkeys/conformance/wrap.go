package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"strongroom/vaultkeys"
)

func roundTrip(s *suite) {
	key := s.newKey()
	for _, data := range []string{"k", "a keyset", "\x00\xff\x00", strings.Repeat("long ", 20_000)} {
		for _, associated := range []string{"", "a place", "\x00\x01\xff"} {
			s.opens(key, s.wrap(key, data, associated), data, associated)
		}
	}
}

func distinct(s *suite) {
	key := s.newKey()
	if bytes.Equal(s.wrap(key, "same", "place"), s.wrap(key, "same", "place")) {
		s.Error("the same was wrapped to the same: whoever sees both learns it")
	}
}

func untouched(s *suite) {
	key := s.newKey()
	in := item("a keyset", "a place")
	wrapped, err := s.Wrap(s.Context(), key, []vaultkeys.Item{in})
	s.must(err)
	kept := bytes.Clone(wrapped[0])
	_, err = s.Unwrap(s.Context(), key, []vaultkeys.Item{{Data: wrapped[0], AssociatedData: in.AssociatedData}})
	s.must(err)
	if string(in.Data) != "a keyset" || string(in.AssociatedData) != "a place" || !bytes.Equal(wrapped[0], kept) {
		s.Error("a call changed what it was given")
	}
}

// batches goes beyond what servers take in one request.
func batches(s *suite) {
	key := s.newKey()
	for _, n := range []int{0, 1, 2, 199, 200, 201, 450} {
		items := numbered(n)
		wrapped, err := s.Wrap(s.Context(), key, items)
		s.must(err)
		plain, err := s.Unwrap(s.Context(), key, sealed(items, wrapped))
		s.must(err)
		if len(wrapped) != n || len(plain) != n {
			s.Fatalf("%d items were wrapped to %d and unwrapped to %d", n, len(wrapped), len(plain))
		}
		for i := range plain {
			if !bytes.Equal(plain[i], items[i].Data) {
				s.Fatalf("item %d of %d is another", i, n)
			}
		}
	}
}

// partialFailure damages one item in each part of a batch that is sent in
// several requests.
func partialFailure(s *suite) {
	key := s.newKey()
	items := numbered(250)
	wrapped, err := s.Wrap(s.Context(), key, items)
	s.must(err)
	for _, bad := range []int{0, 7, 199, 200, 249} {
		batch := sealed(items, wrapped)
		batch[bad].Data = flipped(batch[bad].Data, len(batch[bad].Data)-1, 1)
		out, err := s.Unwrap(s.Context(), key, batch)
		s.wantError(err, vaultkeys.ErrTampered)
		if out != nil {
			s.Errorf("item %d is bad and %d are answered", bad, len(out))
		}
	}
}

func associatedData(s *suite) {
	key := s.newKey()
	for _, right := range []string{"", "a place", strings.Repeat("p", 300)} {
		wrapped := s.wrap(key, "a keyset", right)
		for _, wrong := range []string{"", "a", "a plac", "a placE", "a place\x00", "another"} {
			if wrong != right {
				s.refuses(key, wrapped, wrong, vaultkeys.ErrTampered)
			}
		}
		s.opens(key, wrapped, "a keyset", right)
	}
}

// tampered changes every byte. A changed version number may be refused as one
// that the key does not have; everything else does not authenticate.
func tampered(s *suite) {
	key := s.newKey()
	wrapped := s.wrap(key, "a keyset", "a place")
	for i := range wrapped {
		for _, bit := range []byte{1, 0x80} {
			if err := s.refuses(key, flipped(wrapped, i, bit), "a place", vaultkeys.ErrRefused); err != nil && strings.Contains(err.Error(), "a keyset") {
				s.Errorf("byte %d: the error repeats what was wrapped", i)
			}
		}
	}
	s.opens(key, wrapped, "a keyset", "a place")
}

func flipped(b []byte, at int, bit byte) []byte {
	b = bytes.Clone(b)
	b[at] ^= bit
	return b
}

func resized(s *suite) {
	key := s.newKey()
	wrapped := s.wrap(key, "a keyset", "a place")
	for n := range wrapped {
		s.refuses(key, wrapped[:n], "a place", vaultkeys.ErrTampered)
	}
	s.refuses(key, append(bytes.Clone(wrapped), 0), "a place", vaultkeys.ErrTampered)
	s.refuses(key, slices.Concat(wrapped, wrapped), "a place", vaultkeys.ErrTampered)
}

func foreignKey(s *suite) {
	one, other := s.newKey(), s.newKey()
	wrapped := s.wrap(one, "a keyset", "a place")
	s.refuses(other, wrapped, "a place", vaultkeys.ErrTampered)
	s.opens(one, wrapped, "a keyset", "a place")
}

// concurrent wraps and unwraps while the key is rotated.
func concurrent(s *suite) {
	key := s.newKey()
	const workers, rounds = 8, 20
	failures := make(chan error, workers+1)
	for w := range workers {
		go func() { failures <- wrapAndUnwrap(s, key, w, rounds) }()
	}
	go func() {
		for range 5 {
			if _, err := s.Rotate(s.Context(), key); err != nil {
				failures <- err
				return
			}
		}
		failures <- nil
	}()
	for range workers + 1 {
		if err := <-failures; err != nil {
			s.Error(err)
		}
	}
	info, err := s.Describe(s.Context(), key)
	s.must(err)
	if info.Latest != 6 {
		s.Errorf("after 5 rotations the newest version is %d", info.Latest)
	}
}

func wrapAndUnwrap(s *suite, key vaultkeys.KeyName, worker, rounds int) error {
	for round := range rounds {
		in := item(fmt.Sprint(worker, "/", round), fmt.Sprint("place ", worker))
		wrapped, err := s.Wrap(s.Context(), key, []vaultkeys.Item{in})
		if err != nil {
			return err
		}
		plain, err := s.Unwrap(s.Context(), key, sealed([]vaultkeys.Item{in}, wrapped))
		if err != nil {
			return err
		}
		if !bytes.Equal(plain[0], in.Data) {
			return fmt.Errorf("worker %d got what is not its own", worker)
		}
	}
	return nil
}
