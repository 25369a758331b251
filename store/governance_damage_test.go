package store_test

import (
	"bytes"
	"context"
	"testing"

	"strongroom/store"
	"strongroom/store/kv"
)

// Who holds a damaged role is refused, since it may have taken away: to delete
// it lets them in again, and so waits.
func TestDeletingADamagedRoleThatIsHeldWaits(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	key := []byte("role\x00readers")
	w.must(w.Engine.Update(ctx, kv.Interactive, 4096, func(tx kv.Tx) error {
		value := bytes.Clone(tx.Get(kv.Control, key))
		value[len(value)-1] ^= 1
		tx.Put(kv.Control, key, value)
		return nil
	}))
	w.Reopen()
	id := w.waits(w.DeleteRole(ctx, w.as("alice"), "readers"))
	_, err := w.GetRole(ctx, w.as("alice"), "readers")
	wantErr(t, err, store.ErrIntegrity)
	w.must(w.approve("bob", id))
	_, err = w.GetRole(ctx, w.as("alice"), "readers")
	wantErr(t, err, store.ErrNotFound)
}
