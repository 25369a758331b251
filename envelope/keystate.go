package envelope

import (
	"errors"
	"fmt"
)

// KeyState says what a generation of a keyset may do. It is stored beside the
// wrapped keyset, so that a change of it needs no key service.
type KeyState uint8

// The states, in the order of a key's life. A key that is rolled back to goes
// from StateEnabled to StatePrimary again. The zero KeyState stands for a
// keyset that was stored without one: it is enabled, and the newest of its
// purpose is primary unless another says that it is.
const (
	StatePending  KeyState = 1 // opens, and never seals: it is not told everywhere yet
	StatePrimary  KeyState = 2 // the one of its purpose that seals and computes
	StateEnabled  KeyState = 3 // opens what it sealed once
	StateDisabled KeyState = 4 // opens nothing: ErrKeyDisabled
)

var stateNames = map[KeyState]string{
	StatePending: "pending", StatePrimary: "primary", StateEnabled: "enabled", StateDisabled: "disabled",
}

// String names the state.
func (s KeyState) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return "unknown"
}

// MarshalText writes the state's name; the zero KeyState has none.
func (s KeyState) MarshalText() ([]byte, error) {
	name, ok := stateNames[s]
	if !ok && s != 0 {
		return nil, fmt.Errorf("envelope: %d is not the state of a key", uint8(s))
	}
	return []byte(name), nil
}

// UnmarshalText is the inverse of MarshalText.
func (s *KeyState) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = 0
		return nil
	}
	for state, name := range stateNames {
		if name == string(text) {
			*s = state
			return nil
		}
	}
	return errors.New("envelope: unknown state of a key")
}

// computes reports whether something may still be looked up under the key.
func (s KeyState) computes() bool { return s == StatePrimary || s == StateEnabled }

// resolveStates gives each generation of one purpose, newest first, the state
// that it has, and returns the primary one. There is exactly one: none, or
// two, is damage of what is stored.
func resolveStates(newestFirst []generation) (primary int, err error) {
	primary = -1
	for i, g := range newestFirst {
		if g.state > StateDisabled {
			return 0, damagedKeyset(fmt.Errorf("a %s keyset of an unknown state", g.purpose))
		}
		if g.state != StatePrimary {
			continue
		}
		if primary >= 0 {
			return 0, damagedKeyset(fmt.Errorf("two primary %s keysets", g.purpose))
		}
		primary = i
	}
	for i := range newestFirst {
		if newestFirst[i].state != 0 {
			continue
		}
		newestFirst[i].state = StateEnabled
		if primary < 0 {
			newestFirst[i].state = StatePrimary
			primary = i
		}
	}
	if primary < 0 {
		return 0, damagedKeyset(fmt.Errorf("no primary %s keyset", newestFirst[0].purpose))
	}
	return primary, nil
}
