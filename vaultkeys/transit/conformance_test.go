package transit

import (
	"testing"

	"strongroom/vaultkeys"
	"strongroom/vaultkeys/conformance"
)

// The suite runs under the two identities of the shipped policies, so that it
// also shows that these suffice.
func TestConformance(t *testing.T) {
	v := newVault(t)
	conformance.Run(t, func(t testing.TB) vaultkeys.Provider { return v.open(t, v.twoRoles(t)) })
}
