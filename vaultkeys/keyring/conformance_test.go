package keyring

import (
	"path/filepath"
	"testing"

	"strongroom/vaultkeys"
	"strongroom/vaultkeys/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) vaultkeys.Provider {
		p, err := Create(filepath.Join(t.TempDir(), "keyring"), Unsealed{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	})
}
