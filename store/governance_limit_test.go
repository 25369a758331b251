package store_test

import (
	"context"
	"testing"

	"strongroom/store"
	"strongroom/store/storetest"
)

const (
	budgetOf2  = `{"per":"client","roles":["readers"],"exposure":{"records":[{"limit":2,"window":"1h"}],"when_exhausted":"refuse"}}`
	budgetOf1  = `{"per":"client","roles":["readers"],"exposure":{"records":[{"limit":1,"window":"1h"}],"when_exhausted":"refuse"}}`
	budgetOf99 = `{"per":"client","roles":["readers"],"exposure":{"records":[{"limit":99,"window":"1h"}],"when_exhausted":"refuse"}}`
	rateOf2    = `{"per":"client","requests":[{"limit":2,"window":"1h"}]}`
	rateOf99   = `{"per":"client","requests":[{"limit":99,"window":"1h"}]}`
)

func (w *court) putLimit(as, name, raw string) error {
	_, _, err := w.PutLimit(context.Background(), w.as(as), name, []byte(raw), store.Precondition{})
	return err
}

func (w *court) allows(name string, want uint64) {
	w.t.Helper()
	l, err := w.GetLimit(context.Background(), w.root, name)
	w.must(err)
	if got := l.Limit.Exposure.Records[0].Limit; got != want {
		w.t.Errorf("the budget is %d, want %d", got, want)
	}
}

func TestALooserBudgetWaitsAndATighterDoesNot(t *testing.T) {
	ctx := context.Background()
	w := newCourt(t)
	w.must(w.putLimit("alice", "reads", budgetOf2)) // a new one gives nobody anything
	id := w.waits(w.putLimit("alice", "reads", budgetOf99))
	w.allows("reads", 2)
	shown, err := w.GetChange(ctx, w.as("bob"), id)
	w.must(err)
	if shown.Kind != "put-limit" || shown.Target != "limit/reads" || string(shown.Document) != budgetOf99 || string(shown.Current) != budgetOf2 {
		t.Errorf("bob is shown %+v", shown)
	}
	wantErr(t, w.approve("alice", id), store.ErrSameHand)
	w.must(w.approve("bob", id))
	w.allows("reads", 99)

	id = w.waits(w.putLimit("alice", "reads", `{"disabled":true,`+budgetOf99[1:]))
	w.must(w.putLimit("bob", "reads", budgetOf1)) // what it was asked for is not what is
	wantErr(t, w.approve("bob", id), store.ErrPrecondition)
	w.allows("reads", 1)

	removal := w.waits(w.DeleteLimit(ctx, w.as("alice"), "reads"))
	w.allows("reads", 1)
	w.Reopen()
	w.allows("reads", 1)
	w.must(w.approve("bob", removal))
	_, err = w.GetLimit(ctx, w.root, "reads")
	wantErr(t, err, store.ErrNotFound)

	// Rates give nobody a value.
	w.must(w.putLimit("alice", "rate", rateOf2))
	w.must(w.putLimit("alice", "rate", rateOf99))
	w.must(w.DeleteLimit(ctx, w.as("alice"), "rate"))
}

// A budget that is for a role goes with it: to take the role from a client that
// goes on reading by another one widens what it can open.
func TestARoleTakenAwayWithItsBudgetWaits(t *testing.T) {
	w := newCourt(t)
	w.role("bounded", emptyRole)
	w.must(w.putLimit("alice", "reads", `{"per":"client","roles":["bounded"],"exposure":{"records":[{"limit":2,"window":"1h"}],"when_exhausted":"refuse"}}`))
	w.agreed(w.roles("alice", "teller", "readers", "bounded"))
	w.waits(w.roles("alice", "teller", "readers"))
	w.must(w.roles("alice", "teller", "bounded"))
}

// Two persons or not: who reads within a budget does not loosen it by itself.
func TestNobodyLoosensItsOwnBudget(t *testing.T) {
	ctx := context.Background()
	w := &court{world: newWorld(t, storetest.Options{}), secrets: map[string]string{}}
	w.role("readers", readsEmail)
	w.founded("mixed", "administrator", "readers")
	w.founded("alice", "administrator")
	w.limit("reads", budgetOf2)
	w.limit("all", `{"per":"client","exposure":{"records":[{"limit":9,"window":"1h"}],"when_exhausted":"refuse"}}`)
	tell(t, []story{
		{"mixed", "raise its budget", func() error { return w.putLimit("mixed", "reads", budgetOf99) }, store.ErrSelfEdit},
		{"mixed", "make it one for others", func() error {
			return w.putLimit("mixed", "reads", `{"per":"client","roles":["others"],"exposure":{"records":[{"limit":2,"window":"1h"}],"when_exhausted":"refuse"}}`)
		}, store.ErrSelfEdit},
		{"mixed", "delete it", func() error { return w.DeleteLimit(ctx, w.as("mixed"), "reads") }, store.ErrSelfEdit},
		{"mixed", "delete the one for everybody", func() error { return w.DeleteLimit(ctx, w.as("mixed"), "all") }, store.ErrSelfEdit},
		{"mixed", "tighten it", func() error { return w.putLimit("mixed", "reads", budgetOf1) }, nil},
		{"mixed", "take its own role away", func() error { return w.roles("mixed", "mixed", "administrator") }, store.ErrSelfEdit},
		{"alice, who reads nothing,", "raise it", func() error { return w.putLimit("alice", "reads", budgetOf99) }, nil},
		{"alice", "delete the one for everybody", func() error { return w.DeleteLimit(ctx, w.as("alice"), "all") }, nil},
	})
	w.must(w.RequireTwoPersons(ctx))
	id := w.waits(w.DeleteLimit(ctx, w.as("alice"), "reads"))
	wantErr(t, w.approve("mixed", id), store.ErrSelfEdit)
}
