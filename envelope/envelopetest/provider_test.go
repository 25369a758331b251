package envelopetest

import (
	"testing"

	"strongroom/vaultkeys"
	"strongroom/vaultkeys/conformance"
)

// What plays a key service in tests keeps the promises of a real one.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(testing.TB) vaultkeys.Provider { return New() })
}
