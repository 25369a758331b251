package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/envelope"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// TestAnOldKeyIsNotPutBack plays somebody who has an old key, and can write the
// disk: what is sealed from then on should be under the key that he has.
func TestAnOldKeyIsNotPutBack(t *testing.T) {
	for _, d := range []string{"acme", ""} {
		for _, put := range []envelope.KeyState{envelope.StatePrimary, envelope.StateEnabled} {
			w := newWorld(t, storetest.Options{Unchecked: true})
			w.stock(3)
			purposes, domain := bothKinds, store.KeyDomain{}
			if d != "" {
				domain = w.domain(d)
			} else {
				purposes = []envelope.Purpose{envelope.PurposeSystem}
			}
			old, refs := w.promoted(domain, purposes)
			w.sweepKeys(domain, store.SweepOptions{Reindex: d != ""}, store.Budget{})
			w.must(w.DisableKeysets(always, runner, domain, old))
			w.must(w.Engine.Update(always, kv.Interactive, 1024, func(tx kv.Tx) error {
				raw := bytes.Clone(tx.Get(kv.Generations, domain.UID[:]))
				for i := 10; i < len(raw); i += 6 {
					switch p, g := envelope.Purpose(raw[i]), binary.BigEndian.Uint32(raw[i+1:]); {
					case p == old[0].Purpose && g == old[0].Generation:
						raw[i+5] = byte(put)
					case p == refs[0].Purpose && g == refs[0].Generation && put == envelope.StatePrimary:
						raw[i+5] = byte(envelope.StateEnabled)
					}
				}
				tx.Put(kv.Generations, domain.UID[:], raw)
				return nil
			}))
			w.must(w.Close())
			s, err := store.Open(always, w.Deps)
			if d == "" {
				if !errors.Is(err, store.ErrIntegrity) {
					t.Errorf("the system's key %v: %v", put, err)
				}
				if err != nil {
					continue
				}
			}
			w.must(err)
			defer s.Close()
			_, err = s.CreateRecord(always, w.root, store.CollectionRef{Integration: "acme", Collection: "customers"}, store.RecordInput{ID: "after", Fields: []byte(`{}`)}, store.WriteOptions{})
			if d != "" && !errors.Is(err, store.ErrIntegrity) {
				t.Errorf("a record under the old key %v: %v", put, err)
			}
			report, err := s.Fsck(always, store.FsckOptions{})
			w.must(err)
			if !slices.ContainsFunc(report.Damages, func(d store.Damage) bool { return strings.Contains(d.Detail, "is said to be "+put.String()) }) {
				t.Errorf("fsck of %q, %v: %v", d, put, report.Damages)
			}
		}
	}
}
