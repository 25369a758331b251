package store_test

import (
	"context"
	"fmt"
	"testing"

	"strongroom/internal/limits"
	"strongroom/store"
)

// A record that was written before a field became one of its own costs as much
// as one that was written since: an old revision is no way past a budget.
func TestABudgetCountsFieldsThatWereSplitSince(t *testing.T) {
	ctx := context.Background()
	const whole = `{"type":"object","properties":{"customer":{"type":"object","properties":{"name":{"type":"string"},"phone":{"type":"string"}}}}}`
	const split = `{"type":"object","properties":{"customer":{"type":"object","properties":{"name":{"type":"string"},"phone":{"type":"string","x-field":true}}}}}`
	const readsPhone = `{"rules":[{"integrations":["acme"],"collections":["people"],"actions":["read","list","history"],"read":{"customer/phone":"clear"}}]}`
	people := store.CollectionRef{Integration: "acme", Collection: "people"}
	for _, exhausted := range []string{"refuse", "mask"} {
		t.Run(exhausted, func(t *testing.T) {
			w, _ := counted(t)
			w.collection(people, store.CollectionSpec{Schema: []byte(whole)})
			var refs []store.RecordRef
			for i := range 4 {
				res, err := w.CreateRecord(ctx, w.root, people, input(fmt.Sprintf(`{"customer":{"name":"Ann","phone":"555%d"}}`, i)), store.WriteOptions{})
				w.must(err)
				refs = append(refs, store.RecordRef{CollectionRef: people, Record: res.ID})
			}
			w.collection(people, store.CollectionSpec{Schema: []byte(split)})
			w.limit("reads", `{"per":"client","clients":["thief"],"exposure":{"records":[{"limit":2,"window":"1h"}],"when_exhausted":"`+exhausted+`"}}`)
			thief := w.client("thief", readsPhone)
			shown := 0
			for _, ref := range refs {
				f, err := w.GetField(ctx, thief, ref, "customer/phone", store.ReadOptions{})
				if exhausted == "refuse" && shown >= 2 {
					wantErr(t, err, limits.ErrExposure)
					continue
				}
				w.must(err)
				if !f.Masked {
					shown++
				}
			}
			if shown != 2 {
				t.Errorf("%d phones were shown, the budget is 2", shown)
			}
		})
	}
}
