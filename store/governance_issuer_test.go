package store_test

import (
	"context"
	"testing"

	"strongroom/store"
)

// vouch has an issuer stand for clients.
func (w *court) vouch(as, issuer string, clients ...string) error {
	spec := store.IssuerSpec{URL: "https://" + issuer + ".example", Audiences: []string{"strongroom"}}
	for _, name := range clients {
		spec.Rules = append(spec.Rules, store.IssuerRule{Claims: map[string]string{"sub": name}, Client: name})
	}
	_, _, err := w.PutIssuer(context.Background(), w.as(as), issuer, spec, store.Precondition{})
	return err
}

// An issuer's word is a way to act as a client: it waits where a secret does.
func TestAnIssuersWordWaitsAndMakesKin(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	w.must(w.roles("alice", "plain"))
	w.must(w.vouch("alice", "github", "plain"))
	id := w.waits(w.vouch("alice", "github", "plain", "reader"))
	wantErr(t, w.approve("alice", id), store.ErrSameHand)
	w.must(w.approve("bob", id))
	got, err := w.GetIssuer(ctx, w.as("bob"), "github")
	w.must(err)
	if len(got.Rules) != 2 {
		t.Errorf("the issuer has %d rules after the approval", len(got.Rules))
	}
	w.must(w.vouch("alice", "github", "plain")) // it takes away

	// Nobody has somebody vouch for itself, nor decides about who acts as it.
	wantErr(t, w.vouch("alice", "cluster", "alice"), store.ErrSelfEdit)
	w.founded("carol", "administrator", "approver")
	id = w.waits(w.vouch("alice", "cluster", "carol"))
	wantErr(t, w.approve("carol", id), store.ErrSelfEdit)
	w.must(w.approve("bob", id))

	// Alice can act as carol now, who is no second person any more.
	id = w.waits(w.putRole("alice", "readers", readsSSN))
	wantErr(t, w.approve("carol", id), store.ErrSameHand)
	w.must(w.DeleteIssuer(ctx, w.as("bob"), "cluster"))
	w.must(w.approve("carol", id))
}

// What a change to an issuer was asked for on top of must still be there.
func TestAnIssuersChangeIsApprovedOnlyOnWhatItWasAskedFor(t *testing.T) {
	w := newCourt(t)
	w.must(w.roles("alice", "plain"))
	w.must(w.vouch("alice", "github", "plain"))
	id := w.waits(w.vouch("alice", "github", "plain", "reader"))
	w.agreed(w.putRole("alice", "readers", readsSSN))
	wantErr(t, w.approve("bob", id), store.ErrPrecondition)
}
