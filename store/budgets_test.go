package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"strongroom/internal/access"
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

// Beyond a budget that masks, a client is shown redacted values: written back
// with the rest of the record they must not take the place of the true ones.
func TestARedactedRecordWrittenBackDestroysNothing(t *testing.T) {
	ctx := context.Background()
	w, _ := counted(t)
	w.limit("reads", `{"per":"client","clients":["clerk"],"exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"mask"}}`)
	clerk := w.client("clerk", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read","update","create"],
		"read":{"email":"clear","amount":"clear"},"write":["email","amount"]}]}`)
	first, second := w.create(fullRecord), w.create(fullRecord2)
	w.read(clerk, first)
	shown := w.read(clerk, second)
	if shown != `{"email":"****","amount":"****"}` {
		t.Fatalf("beyond the budget it shows %s", shown)
	}
	for name, write := range map[string]func(fields string) error{
		"PUT":   func(fields string) error { return w.put(clerk, second, fields) },
		"PATCH": func(fields string) error { return w.patch(clerk, second, fields) },
		"create": func(fields string) error {
			_, err := w.CreateRecord(ctx, clerk, customers, input(fields), store.WriteOptions{})
			return err
		},
	} {
		if err := write(`{"email":"****"}`); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s of what it read: %v", name, err)
		}
	}
	w.must(w.patch(clerk, second, `{"email":"new@example.com"}`))
	if got := w.emailOf(second); got != `"new@example.com"` {
		t.Errorf("the email is %s", got)
	}
	unbounded := w.may("unbounded", []access.Action{access.ActionRead, access.ActionUpdate})
	w.must(w.patch(unbounded, second, `{"email":"****"}`)) // stars are a value like any other
}

const fullRecord2 = `{"email":"bob@example.com","amount":2}`
