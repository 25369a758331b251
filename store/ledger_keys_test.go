package store_test

import (
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/store"
)

var bySystem = store.Internal("test")

// A process that ends right after the old versions of the system's
// key-encryption key stopped unwrapping has to find a ledger that it can verify.
func TestTheLedgerOpensAfterItsKEKIsRetired(t *testing.T) {
	k := newKept(t)
	need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-0")))
	system := store.KeyDomain{}
	latest, err := k.RotateKEK(always, bySystem, system, 1)
	need(t, err)
	_, err = k.RewrapKeysets(always, bySystem, system)
	need(t, err)
	need(t, k.RetireKEK(always, bySystem, system, latest))
	if err := k.tryStart(t, k.engine); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
}

// The same after the system's MAC key was replaced and destroyed.
func TestTheLedgerOpensAfterItsKeyIsDestroyed(t *testing.T) {
	k := newKept(t)
	need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-0")))
	k.replaceMAC(t)
	if err := k.tryStart(t, k.engine); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
}

// replaceMAC makes another MAC key of the system domain, and destroys the one
// that was.
func (k *kept) replaceMAC(t *testing.T) {
	t.Helper()
	system, macs := store.KeyDomain{}, []envelope.Purpose{envelope.PurposeSystemMAC}
	keys, err := k.KeysOf(always, bySystem, system)
	need(t, err)
	var old []envelope.KeyRef
	for _, key := range keys.Keys {
		if id, err := envelope.ParseKeyID(key.KeyID); err == nil && key.Purpose == envelope.PurposeSystemMAC.String() && key.State == "primary" {
			old = append(old, envelope.KeyRef{Purpose: envelope.PurposeSystemMAC, Generation: key.Generation, KeyID: id})
		}
	}
	refs, err := k.AddKeysets(always, bySystem, system, macs)
	need(t, err)
	need(t, k.PromoteKeysets(always, bySystem, system, refs))
	k.now = k.now.Add(25 * time.Hour) // idempotency keys end
	_, err = k.Sweep(always)
	need(t, err)
	need(t, k.DestroyKeysets(always, bySystem, system, old))
}
