package envelope

import (
	"testing"
	"time"
)

// States that change while the key service is away are taken without it.
func TestStatesAreTakenWithoutTheKeyService(t *testing.T) {
	f := newFixture(t, Options{})
	second, _ := f.add(PurposeWrapping)
	f.keys.Unavailable(true)
	f.setState(f.integration, PurposeWrapping, 1, StateEnabled)
	f.setState(f.integration, PurposeWrapping, second, StatePrimary)
	must(t, f.Restate(t.Context(), f.integration))
	if n, _ := f.domain().Generation(); n != second {
		t.Errorf("generation %d seals, want %d", n, second)
	}
	f.setState(f.integration, PurposeWrapping, 1, StateDisabled)
	must(t, f.Restate(t.Context(), f.integration))
	if refs := f.domain().Keys(); len(refs) != 3 || refs[1].State != StateDisabled {
		t.Errorf("the keys are %v", refs)
	}
}

// A keyset that was not opened, and a domain that is not held, need the key
// service; and what was taken without it lengthens no lease.
func TestOtherKeysetsAndLeasesNeedTheKeyService(t *testing.T) {
	f := newFixture(t, Options{})
	f.domain()
	asked := f.keys.Unwraps()
	set, _, err := NewKeyset(t.Context(), f.keys, f.store, f.integration, PurposeIndex, 2, nil)
	must(t, err)
	f.source.put(f.integration, append(f.stored(f.integration), set))
	must(t, f.Restate(t.Context(), f.integration))
	if f.keys.Unwraps() == asked {
		t.Error("a new keyset was taken without the key service")
	}
	f.clock.advance(10 * time.Minute)
	f.keys.Unavailable(true)
	must(t, f.Restate(t.Context(), f.integration))
	f.clock.advance(6 * time.Minute)
	if err := f.Restate(t.Context(), f.integration); err == nil {
		t.Error("a domain past its lease was taken without the key service")
	}
	f.Drop(f.integration)
	if err := f.Restate(t.Context(), f.integration); err == nil {
		t.Error("a domain that is not held was taken without the key service")
	}
}
