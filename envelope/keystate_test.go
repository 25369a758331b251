package envelope

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/uid"
)

// A life of a wrapping key, told from both sides: what is sealed at each step
// is under the primary, and what each key sealed opens just while it may.
func TestTheStatesOfAWrappingKey(t *testing.T) {
	f := newFixture(t, Options{})
	id := f.identity()
	first := f.domain().KeyID()
	old := f.sealsUnder(id, first)

	generation, second := f.add(PurposeWrapping)
	if second == first {
		t.Fatal("the second key has the id of the first")
	}
	f.sealsUnder(id, first) // pending: the newest generation seals nothing
	wantKeys(t, f.domain().Keys(), PurposeWrapping,
		KeyRef{PurposeWrapping, generation, second, StatePending}, KeyRef{PurposeWrapping, 1, first, StatePrimary})

	f.promote(f.integration, PurposeWrapping, generation)
	fresh := f.sealsUnder(id, second)
	f.opens(id, old, nil)

	f.promote(f.integration, PurposeWrapping, 1) // rolled back: the older one seals again
	f.sealsUnder(id, first)
	f.opens(id, fresh, nil)
	if n, _ := f.domain().Generation(); n != 1 {
		t.Errorf("the primary generation is %d, want 1", n)
	}

	f.promote(f.integration, PurposeWrapping, generation)
	f.set(PurposeWrapping, 1, StateDisabled)
	f.opens(id, old, ErrKeyDisabled)
	f.opens(id, fresh, nil)
	if _, err := f.domain().Rewrap(id, nil, old); !errors.Is(err, ErrKeyDisabled) {
		t.Errorf("a rewrap from under a disabled key: %v", err)
	}
	wantKeys(t, f.domain().Keys(), PurposeWrapping,
		KeyRef{PurposeWrapping, generation, second, StatePrimary}, KeyRef{PurposeWrapping, 1, first, StateDisabled})

	f.set(PurposeWrapping, 1, StateEnabled)
	f.opens(id, old, nil)
	f.set(PurposeWrapping, 1, StatePending)
	f.opens(id, old, nil)

	f.source.put(f.integration, slices.DeleteFunc(f.stored(f.integration), func(s WrappedKeyset) bool {
		return s.Purpose == PurposeWrapping && s.Generation == 1
	}))
	must(t, f.Refresh(t.Context(), f.integration))
	f.opens(id, old, ErrUnknownKey)
	f.opens(id, fresh, nil)
}

func (f *fixture) sealsUnder(id Identity, want uint32) []byte {
	f.t.Helper()
	m := f.domain()
	sealed, err := m.Seal(id, nil, nil)
	must(f.t, err)
	if got, err := KeyIDOf(sealed.DEK); err != nil || got != want || m.KeyID() != want {
		f.t.Errorf("it seals under key %08x (%v) and says %08x, want %08x", got, err, m.KeyID(), want)
	}
	return sealed.DEK
}

func (f *fixture) opens(id Identity, dek []byte, want error) {
	f.t.Helper()
	if _, err := f.domain().Open(id, nil, dek); !errors.Is(err, want) {
		f.t.Errorf("opening: %v, want %v", err, want)
	}
}

func (f *fixture) set(p Purpose, generation uint32, s KeyState) {
	f.t.Helper()
	f.setState(f.integration, p, generation, s)
	must(f.t, f.Refresh(f.t.Context(), f.integration))
}

func wantKeys(t *testing.T, all []KeyRef, p Purpose, want ...KeyRef) {
	t.Helper()
	all = slices.DeleteFunc(slices.Clone(all), func(r KeyRef) bool { return r.Purpose != p })
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("the %s keys: %s", p, diff)
	}
}

// Tokens stand under the generation that was primary when they were made.
func TestTheStatesOfAnIndexKey(t *testing.T) {
	f := newFixture(t, Options{})
	collection := uid.New()
	token := func(m *Domain, n uint32) Token {
		return m.TokenAt(n, collection, "email", []byte("a@b.c"), UniqueBits)
	}
	wantOpen := func(want ...uint32) {
		t.Helper()
		m := f.domain()
		if got := m.IndexGenerations(); !slices.Equal(got, want) {
			t.Errorf("open are %v, want %v", got, want)
		}
		if got := m.Token(collection, "email", []byte("a@b.c"), UniqueBits); !slices.Equal(got, token(m, want[0])) {
			t.Error("Token is not that of the primary generation")
		}
	}
	old := token(f.domain(), 1)
	generation, _ := f.add(PurposeIndex)
	wantOpen(1)
	f.promote(f.integration, PurposeIndex, generation)
	wantOpen(generation, 1)
	if m := f.domain(); !slices.Equal(token(m, 1), old) || slices.Equal(token(m, generation), old) {
		t.Error("an older generation's token is not what it was, or the new one's is the same")
	}
	f.promote(f.integration, PurposeIndex, 1)
	wantOpen(1, generation)
	f.promote(f.integration, PurposeIndex, generation)
	f.set(PurposeIndex, 1, StateDisabled)
	wantOpen(generation)
	if m := f.domain(); token(m, 1) != nil || token(m, 77) != nil {
		t.Error("there is a token under a generation that is disabled or unknown")
	}
}

func TestTheStatesOfTheSystemDomain(t *testing.T) {
	f := newFixture(t, Options{})
	first := f.system().KeyID()
	old, err := f.system().Seal("role", "billing", 3, []byte("value"))
	must(t, err)
	sum, err := f.system().MAC("idempotency", []byte("a"))
	must(t, err)
	sealing, second := f.addTo(uid.Zero, PurposeSystem)
	mac, _ := f.addTo(uid.Zero, PurposeSystemMAC)
	if again, err := f.system().MAC("idempotency", []byte("a")); err != nil || again != sum || f.system().KeyID() != first {
		t.Errorf("a pending key seals or computes (%v)", err)
	}
	f.promote(uid.Zero, PurposeSystem, sealing)
	f.promote(uid.Zero, PurposeSystemMAC, mac)
	s := f.system()
	if a, b := s.Generation(); a != sealing || b != mac || s.KeyID() != second || !slices.Equal(s.MACGenerations(), []uint32{mac, 1}) {
		t.Errorf("generations %d, %d, key %08x, MACs under %v", a, b, s.KeyID(), s.MACGenerations())
	}
	if at, err := s.MACAt(1, "idempotency", []byte("a")); err != nil || at != sum {
		t.Errorf("the MAC under the older generation is another (%v)", err)
	}
	if now, err := s.MAC("idempotency", []byte("a")); err != nil || now == sum {
		t.Errorf("the MAC under the new generation is the same (%v)", err)
	}
	moved, err := s.Reseal("role", "billing", 3, old)
	must(t, err)
	if id, err := KeyIDOf(moved); err != nil || id != second {
		t.Errorf("resealed under key %08x (%v), want %08x", id, err, second)
	}
	if _, err := s.Reseal("role", "billing", 4, old); !errors.Is(err, ErrIntegrity) {
		t.Errorf("resealing for another place: %v", err)
	}
	f.setState(uid.Zero, PurposeSystem, 1, StateDisabled)
	f.setState(uid.Zero, PurposeSystemMAC, 1, StateDisabled)
	must(t, f.Refresh(t.Context(), uid.Zero))
	s = f.system()
	value, err := s.Open("role", "billing", 3, moved)
	must(t, err)
	_, oldErr := s.Open("role", "billing", 3, old)
	_, macErr := s.MACAt(1, "idempotency", []byte("a"))
	if string(value) != "value" || !errors.Is(oldErr, ErrKeyDisabled) || !errors.Is(macErr, ErrKeyDisabled) {
		t.Errorf("it opens to %q; under the disabled ones: %v, %v", value, oldErr, macErr)
	}
}

// What the store holds of states must make sense, or nothing opens.
func TestStatesThatMakeNoSense(t *testing.T) {
	const none = KeyState(0)
	for name, c := range map[string]struct {
		states  []KeyState // of generations 1, 2, ...
		primary uint32     // 0: damage
	}{
		"none is told":                        {[]KeyState{none, none}, 2},
		"the older one is primary":            {[]KeyState{StatePrimary, none}, 1},
		"the newest is pending":               {[]KeyState{none, StatePending}, 1},
		"the newest is disabled":              {[]KeyState{none, none, StateDisabled}, 2},
		"two are primary":                     {[]KeyState{StatePrimary, StatePrimary}, 0},
		"all are enabled":                     {[]KeyState{StateEnabled, StateEnabled}, 0},
		"all are pending":                     {[]KeyState{StatePending}, 0},
		"one has a state that does not exist": {[]KeyState{none, 5}, 0},
	} {
		for _, p := range []Purpose{PurposeWrapping, PurposeIndex} {
			f := newFixture(t, Options{})
			for range len(c.states) - 1 {
				f.add(p)
			}
			for i, s := range c.states {
				f.setState(f.integration, p, uint32(i+1), s)
			}
			err := f.Refresh(t.Context(), f.integration)
			if c.primary == 0 {
				wantDamage(t, name, err, DamageKeyset, PartKeyset)
				continue
			}
			must(t, err)
			wrapping, index := f.domain().Generation()
			if got := map[Purpose]uint32{PurposeWrapping: wrapping, PurposeIndex: index}[p]; got != c.primary {
				t.Errorf("%s: the primary %s generation is %d, want %d", name, p, got, c.primary)
			}
		}
	}
}

func TestKeyRefsInDocuments(t *testing.T) {
	refs := []KeyRef{
		{PurposeWrapping, 2, 0x0a1b2c3d, StatePrimary}, {PurposeIndex, 1, 0, StateDisabled},
		{PurposeSystem, 1 << 31, 0xffffffff, StatePending}, {PurposeSystemMAC, 1, 1, StateEnabled}, {PurposeIndex, 3, 7, 0},
	}
	raw, err := json.Marshal(refs)
	must(t, err)
	want := `[{"purpose":"wrapping","generation":2,"key_id":"0a1b2c3d","state":"primary"},` +
		`{"purpose":"index","generation":1,"key_id":"00000000","state":"disabled"},` +
		`{"purpose":"system","generation":2147483648,"key_id":"ffffffff","state":"pending"},` +
		`{"purpose":"system_mac","generation":1,"key_id":"00000001","state":"enabled"},` +
		`{"purpose":"index","generation":3,"key_id":"00000007"}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
	var back []KeyRef
	must(t, json.Unmarshal(raw, &back))
	if diff := cmp.Diff(refs, back); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		`{"purpose":"other","generation":1,"key_id":"00000001"}`, `{"generation":1,"key_id":"00000001"}`,
		`{"purpose":"index","generation":1,"key_id":"1"}`, `{"purpose":"index","generation":1,"key_id":"0000000G"}`,
		`{"purpose":"index","generation":1,"key_id":"0000000A"}`, `{"purpose":"index","generation":-1,"key_id":"00000001"}`,
		`{"purpose":"index","generation":1,"key_id":"00000001","state":"other"}`, `[]`,
	} {
		var r KeyRef
		if err := json.Unmarshal([]byte(bad), &r); err == nil || r != (KeyRef{}) {
			t.Errorf("%s is read as %+v", bad, r)
		}
	}
	for _, bad := range []KeyRef{{}, {Purpose: 9}, {Purpose: PurposeIndex, State: 9}} {
		if raw, err := json.Marshal(bad); err == nil {
			t.Errorf("%+v is written as %s", bad, raw)
		}
	}
}
