package store

import "strongroom/internal/uid"

// EndedForTest is the memory of ended tokens.
type EndedForTest struct{ e endedTokens }

// Add remembers a token within the bounds.
func (t *EndedForTest) Add(id string, owner uid.UID) error {
	return t.e.add(id, endedDoc{Owner: owner, Once: true}, true)
}

// ControlKinds returns the kinds of control values that fsck knows.
func ControlKinds() (kinds []string) {
	for _, k := range planeKinds {
		kinds = append(kinds, k.kind)
	}
	return kinds
}
