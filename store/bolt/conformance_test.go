package bolt_test

import (
	"testing"

	"strongroom/store/bolt"
	"strongroom/store/bolt/bolttest"
	"strongroom/store/kv"
	"strongroom/store/kv/kvtest"
)

func TestConformance(t *testing.T) {
	t.Run("as shipped", func(t *testing.T) {
		kvtest.Run(t, func(t testing.TB) kv.Engine { return bolttest.Open(t) })
	})
	t.Run("tiny batches", func(t *testing.T) {
		tiny := bolt.Options{MaxBatchOps: 3, MaxBatchBytes: 128, MmapSize: 1 << 20}
		kvtest.Run(t, func(t testing.TB) kv.Engine { return bolttest.OpenWith(t, tiny) })
	})
}
