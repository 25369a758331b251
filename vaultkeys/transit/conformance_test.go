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

// An identity that may do everything makes a missing key by encrypting under
// it, unless it is looked for first.
func TestConformanceAsRoot(t *testing.T) {
	v := newVault(t)
	t.Setenv("STRONGROOM_TEST_TOKEN", v.RootToken)
	c := v.config(t)
	c.Auth = Auth{Method: MethodToken, TokenEnv: "STRONGROOM_TEST_TOKEN"}
	conformance.Run(t, func(t testing.TB) vaultkeys.Provider { return v.open(t, c) })
}
