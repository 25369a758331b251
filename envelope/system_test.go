package envelope

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/uid"
)

func TestAControlValueOpensInItsPlaceOnly(t *testing.T) {
	s := newFixture(t, Options{}).system()
	sealed, err := s.Seal("role", "reader", 4, []byte("rules"))
	must(t, err)
	got, err := s.Open("role", "reader", 4, sealed)
	must(t, err)
	if diff := cmp.Diff("rules", string(got)); diff != "" {
		t.Error(diff)
	}
	for _, place := range []struct {
		kind, id string
		version  uint64
	}{{"client", "reader", 4}, {"role", "writer", 4}, {"role", "reader", 3}, {"rolereader", "", 4}} {
		_, err := s.Open(place.kind, place.id, place.version, sealed)
		wantDamage(t, fmt.Sprint(place), err, DamageControl, PartControl)
	}
}

func TestAControlValueOpensInItsStoreOnly(t *testing.T) {
	f := newFixture(t, Options{})
	s := f.system()
	sealed, err := s.Seal("role", "reader", 4, nil)
	must(t, err)
	elsewhere := *s
	elsewhere.store = uid.New()
	_, err = elsewhere.Open("role", "reader", 4, sealed)
	wantDamage(t, "another store, the same keys", err, DamageControl, PartControl)
	_, err = newFixture(t, Options{}).system().Open("role", "reader", 4, sealed)
	if !errors.Is(err, ErrUnknownKey) {
		t.Errorf("another store: %v, want ErrUnknownKey", err)
	}
}

func TestMACsOfDifferentInputsDiffer(t *testing.T) {
	s := newFixture(t, Options{}).system()
	seen := map[[32]byte]string{}
	for name, parts := range map[string][]string{
		"none": {"p"}, "one empty": {"p", ""}, "two empty": {"p", "", ""}, "ab": {"p", "ab"}, "a b": {"p", "a", "b"},
		"b a": {"p", "b", "a"}, "purpose": {"pa", "b"}, "zeroes": {"p", "\x00\x00\x00\x01"},
	} {
		var bytes [][]byte
		for _, p := range parts[1:] {
			bytes = append(bytes, []byte(p))
		}
		sum, err := s.MAC(parts[0], bytes...)
		must(t, err)
		again, err := s.MAC(parts[0], bytes...)
		must(t, err)
		if sum != again {
			t.Errorf("%s has two MACs", name)
		}
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have the same MAC", name, other)
		}
		seen[sum] = name
	}
}

func TestAMACTakesAtMost253Parts(t *testing.T) {
	s := newFixture(t, Options{}).system()
	if _, err := s.MAC("p", make([][]byte, 253)...); err != nil {
		t.Error(err)
	}
	if _, err := s.MAC("p", make([][]byte, 254)...); err == nil {
		t.Error("254 parts were taken: the count byte would wrap")
	}
}

func TestTheSystemDomainTellsItsGenerations(t *testing.T) {
	if sealing, mac := newFixture(t, Options{}).system().Generation(); sealing != 1 || mac != 1 {
		t.Errorf("generations %d and %d, want 1 and 1", sealing, mac)
	}
}
