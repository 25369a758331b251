package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
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

// sets are the wrapped keysets that a ledger carries.
type sets []envelope.WrappedKeyset

func (s sets) Keysets(context.Context, uid.UID) ([]envelope.WrappedKeyset, error) { return s, nil }

// Somebody who knows a MAC key that was destroyed, and can write the ledger, goes
// back to it with the keysets that an old entry carries, to have a record erased.
func TestALedgerDoesNotGoBackToADestroyedKey(t *testing.T) {
	k := newKept(t)
	var old ledger.Note
	need(t, k.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if e.Kind == ledger.Keys && len(old.Keysets) == 0 {
			old = e.Note
		}
		return nil
	}))
	k.replaceMAC(t)
	_, err := k.Sweep(always)
	need(t, err)
	coll, err := k.GetCollection(always, anyone(), in("acme", "customers"))
	need(t, err)
	k.ledger.Close()
	var known sets
	for _, s := range old.Keysets {
		known = append(known, envelope.WrappedKeyset{Purpose: envelope.Purpose(s.Purpose), Generation: s.Generation, State: envelope.KeyState(s.State), Blob: s.Blob})
	}
	domains := envelope.NewDomains(k.UID(), k.deps.Keys, known, envelope.Options{})
	defer domains.Close()
	system, err := domains.System(always)
	need(t, err)
	l, err := ledger.Open(k.dir)
	need(t, err)
	need(t, l.Use(old, func(body []byte) (ledger.Hash, error) {
		sum, err := system.MAC("ledger", body)
		return ledger.Hash(sum), err
	}))
	need(t, l.Append(ledger.Entry{At: k.now, Note: ledger.Note{Kind: ledger.Erased, Collection: coll.UID, Records: []ledger.Record{{ID: "rec-0", Revision: 1 << 40}}}}))
	need(t, l.Close())
	if err := k.tryStart(t, k.engine); !errors.Is(err, store.ErrLedger) {
		t.Errorf("a forged ledger: %v", err)
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
