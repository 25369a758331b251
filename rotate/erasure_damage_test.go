package rotate_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// A collection whose definition does not open has records that no erasure by
// label finds. It is not passed by and certified.
func TestAnErasureDoesNotPassByADamagedCollection(t *testing.T) {
	o := newOfficeWith(t, storetest.Options{Unchecked: true})
	for _, collection := range []string{"customers", "orders"} {
		o.create("acme", collection, "a", "x")
	}
	target := store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}
	o.stop()
	asked, err := o.erasures.Create(t.Context(), o.root, rotate.ErasureRequest{EraseTarget: target})
	o.must(err)
	acme, err := o.GetIntegration(t.Context(), o.root, "acme")
	o.must(err)
	o.must(o.Engine.Update(t.Context(), kv.Interactive, 1024, func(tx kv.Tx) error {
		var key, value []byte
		tx.Scan(kv.Control, []byte("collection\x00"), []byte("collection\x01"), func(k, v []byte) bool {
			if bytes.HasSuffix(k, []byte(acme.UID.String()+"/orders")) {
				key, value = bytes.Clone(k), bytes.Clone(v)
				value[len(value)-1] ^= 1
				tx.Put(kv.Control, key, value)
				return false
			}
			return true
		})
		if key == nil {
			return errors.New("there is no such collection")
		}
		return nil
	}))
	o.Reopen()
	o.start()
	if _, err := o.erasures.Create(t.Context(), o.root, rotate.ErasureRequest{EraseTarget: target}); !errors.Is(err, store.ErrIntegrity) {
		t.Errorf("asked for with a collection that cannot be read: %v", err)
	}
	e := o.until(asked.ID, func(e rotate.Erasure) bool { return e.Failed || e.Done })
	if e.Done || !strings.Contains(e.Detail, "orders") {
		t.Errorf("one that goes on: %+v", e)
	}
}
