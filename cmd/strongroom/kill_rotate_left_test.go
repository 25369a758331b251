package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"

	"strongroom/envelope"
	"strongroom/store"
	"strongroom/store/kv"
)

// wantNothingLeft holds the inventory, a verifying scan and every value on the
// disk against the keys that are in force.
func (h *openHome) wantNothingLeft() {
	k := h.k
	k.Helper()
	inventory, err := h.store.Keys(k.Context(), killOwner)
	k.must(err)
	sealing, computing := map[uint32]bool{}, map[uint32]bool{}
	for _, d := range inventory {
		var old []envelope.KeyRef
		for _, key := range d.Keys {
			id, err := envelope.ParseKeyID(key.KeyID)
			k.must(err)
			ref := envelope.KeyRef{Generation: key.Generation, KeyID: id}
			for _, p := range []envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex, envelope.PurposeSystem, envelope.PurposeSystemMAC} {
				if p.String() == key.Purpose {
					ref.Purpose = p
				}
			}
			switch {
			case key.State == "primary":
				sealing[id], computing[key.Generation] = true, true
			case key.State != store.KeyDestroyed || key.Values > 0:
				k.Errorf("%s: the %s key of generation %d is %s and has %d values", d.KeyDomain, key.Purpose, key.Generation, key.State, key.Values)
			default:
				old = append(old, ref)
			}
		}
		if len(old) == 0 {
			k.Errorf("%s: no key was replaced", d.KeyDomain)
		}
		if _, err := h.store.VerifyKeysets(k.Context(), store.Internal("test"), d.KeyDomain, old, nil); err != nil {
			k.Errorf("%s: %v", d.KeyDomain, err)
		}
	}
	h.wantUnder(sealing)
}

// wantUnder reads the key id off every sealed value.
func (h *openHome) wantUnder(sealing map[uint32]bool) {
	found := map[kv.Table]int{}
	h.k.must(h.engine.View(h.k.Context(), func(tx kv.ReadTx) error {
		for table, header := range map[kv.Table]int{kv.DEKs: 0, kv.Control: 9} {
			tx.Scan(table, nil, nil, func(key, value []byte) bool {
				found[table]++
				if id, err := envelope.KeyIDOf(value[header:]); err != nil || !sealing[id] {
					h.k.Errorf("a value of the table %s is under the key %08x, %v", table, id, err)
				}
				return true
			})
		}
		return nil
	}))
	if found[kv.DEKs] == 0 || found[kv.Control] == 0 {
		h.k.Errorf("values were looked at: %v", found)
	}
}

// wantNoCopies compacts the data file, and looks in it for every wrapped keyset
// that there ever was: only those in force are there.
func (h *openHome) wantNoCopies() {
	k := h.k
	k.Helper()
	_, err := h.engine.Compact(k.Context())
	k.must(err)
	present := map[string]string{}
	k.must(h.engine.View(k.Context(), func(tx kv.ReadTx) error {
		clear(present)
		tx.Scan(kv.Keysets, nil, nil, func(key, value []byte) bool { present[string(key)] = string(value); return true })
		return nil
	}))
	if n := len(present); n != 4 {
		k.Errorf("%d keysets are left, want one for each purpose", n)
	}
	raw, err := os.ReadFile(filepath.Join(h.conf.DataDir, "strongroom.db"))
	k.must(err)
	file, gone := string(raw), 0
	for key, blobs := range k.seen {
		for blob := range maps.Keys(blobs) {
			inForce := present[key] == blob
			if strings.Contains(file, blob) != inForce {
				k.Errorf("a wrapped keyset is in the file, or is not, against expectation; in force: %v", inForce)
			}
			if !inForce {
				gone++
			}
		}
	}
	if gone < 4 {
		k.Errorf("only %d wrapped keysets were seen to go", gone)
	}
}
