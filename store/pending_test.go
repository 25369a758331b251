package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/store"
)

// What a change was asked for on top of must be what it is carried out on.
func TestAChangeIsApprovedOnlyOnWhatItWasAskedFor(t *testing.T) {
	ctx := context.Background()
	for what, meanwhile := range map[string]func(w *court) error{
		"the role changed": func(w *court) error { return w.putRole("alice", "readers", emptyRole) },
		"the role was made anew": func(w *court) error {
			wantErr(w.t, w.DeleteRole(ctx, w.as("alice"), "readers"), store.ErrConflict) // somebody holds it
			w.must(w.roles("alice", "reader"))
			w.must(w.DeleteRole(ctx, w.as("alice"), "readers"))
			return w.putRole("alice", "readers", emptyRole)
		},
		"it was given to somebody": func(w *court) error {
			w.agreed(w.roles("alice", "puppet", "readers"))
			return nil
		},
		"its holder changed hands": func(w *court) error { w.agreed(w.secret("alice", "reader")); return nil },
		"its holder was made anew": func(w *court) error {
			w.must(w.DeleteClient(ctx, w.as("alice"), "reader"))
			w.agreed(w.roles("alice", "reader", "readers"))
			return nil
		},
	} {
		t.Run("role: "+what, func(t *testing.T) {
			w := newCourt(t)
			id := w.waits(w.putRole("alice", "readers", readsSSN))
			w.must(meanwhile(w))
			wantErr(t, w.approve("bob", id), store.ErrPrecondition)
		})
	}
	for what, meanwhile := range map[string]func(w *court) error{
		"the client changed": func(w *court) error {
			return w.putClient("alice", "plain", store.ClientSpec{Labels: map[string]string{"a": "b"}})
		},
		"the client was made anew": func(w *court) error {
			w.must(w.DeleteClient(ctx, w.as("alice"), "plain"))
			return w.roles("alice", "plain")
		},
		"somebody got a secret of it": func(w *court) error { return w.secret("alice", "plain") },
		"its role changed":            func(w *court) error { w.agreed(w.putRole("alice", "readers", readsSSN)); return nil },
	} {
		t.Run("client: "+what, func(t *testing.T) {
			w := newCourt(t)
			w.founded("plain")
			id := w.waits(w.roles("alice", "plain", "readers"))
			w.must(meanwhile(w))
			wantErr(t, w.approve("bob", id), store.ErrPrecondition)
		})
	}
	t.Run("a role that was empty when it was given", func(t *testing.T) {
		w := newCourt(t)
		id := w.waits(w.putRole("alice", "nothing", readsSSN))
		w.must(w.roles("alice", "puppet", "nothing"))
		wantErr(t, w.approve("bob", id), store.ErrPrecondition)
	})
	t.Run("a collection of the same name", func(t *testing.T) {
		w := newCourt(t)
		weak := store.CollectionSpec{Schema: []byte(strings.Replace(customersSchema, `,"x-sensitivity":"high"`, ``, 1))}
		_, _, err := w.PutCollection(ctx, w.as("alice"), customers, weak, store.Precondition{})
		id := w.waits(err)
		w.must(w.DeleteCollection(ctx, w.as("alice"), customers))
		w.collection(customers, store.CollectionSpec{Schema: []byte(customersSchema)})
		wantErr(t, w.approve("bob", id), store.ErrPrecondition)
	})
	t.Run("who asked is gone, or may not ask any more", func(t *testing.T) {
		w := newCourt(t)
		w.founded("carol", "administrator")
		id := w.waits(w.putRole("carol", "readers", readsSSN))
		w.must(w.roles("alice", "carol"))
		wantErr(t, w.approve("bob", id), store.ErrConflict)
		w.must(w.DeleteClient(ctx, w.as("alice"), "carol"))
		w.founded("carol", "administrator")
		wantErr(t, w.approve("bob", id), store.ErrConflict)
	})
}

func TestAChangeEnds(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	id := w.waits(w.putRole("alice", "readers", readsSSN))
	for _, c := range []string{"reader"} {
		wantErr(t, w.approve(c, id), store.ErrForbidden)
		_, err := w.GetChange(ctx, w.as(c), id)
		wantErr(t, err, store.ErrForbidden)
	}
	_, err := w.WithdrawChange(ctx, w.as("bob"), id)
	wantErr(t, err, store.ErrForbidden)
	_, err = w.RejectChange(ctx, w.as("bob"), id)
	w.must(err)
	wantErr(t, w.approve("bob", id), store.ErrConflict)

	w.now = w.now.Add(time.Minute)
	id = w.waits(w.putRole("alice", "readers", readsSSN))
	w.now = w.now.Add(72 * time.Hour)
	wantErr(t, w.approve("bob", id), store.ErrConflict)
	list, err := w.ListChanges(ctx, w.as("bob"))
	w.must(err)
	if len(list) != 2 || list[0].State != "expired" || list[1].State != "rejected" {
		t.Errorf("the changes are %+v", list)
	}
	wantErr(t, w.approve("bob", "absent"), store.ErrNotFound)
	w.now = w.now.Add(31 * 24 * time.Hour)
	w.waits(w.putRole("alice", "readers", readsSSN))
	if list, _ = w.ListChanges(ctx, w.as("bob")); len(list) != 1 {
		t.Errorf("%d changes are kept", len(list))
	}
}

// A secret that waits is shown to who asked, and does not count before.
func TestASecretThatWaits(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	_, err := w.CreateSecret(ctx, w.as("alice"), "reader", 0, store.WriteOptions{})
	var pending *store.ChangePending
	if !errors.As(err, &pending) || pending.Secret == nil {
		t.Fatalf("it does not wait: %v", err)
	}
	try := func() error {
		_, err := w.VerifySecret(ctx, store.Attempt{Client: "reader"}, pending.Secret.Secret)
		return err
	}
	wantErr(t, try(), store.ErrUnauthenticated)
	shown, err := w.GetChange(ctx, w.as("bob"), pending.Change.ID)
	w.must(err)
	if strings.Contains(string(shown.Document)+string(shown.Current), "hash") || shown.SecretID != pending.Secret.ID {
		t.Errorf("the change is shown as %+v", shown)
	}
	w.must(w.approve("bob", pending.Change.ID))
	w.must(try())
	w.Reopen()
	w.must(try())
}

// A creation of a secret that waits is not made twice by its repetition.
func TestARepeatedRequestForASecretThatWaits(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	o := store.WriteOptions{IdempotencyKey: "k", Route: "secrets", Request: []byte("{}")}
	_, err := w.CreateSecret(ctx, w.as("alice"), "reader", 0, o)
	w.waits(err)
	var again *store.SecretReplayed
	if _, err := w.CreateSecret(ctx, w.as("alice"), "reader", 0, o); !errors.As(err, &again) {
		t.Errorf("the repetition answers %v", err)
	}
	list, err := w.ListChanges(ctx, w.as("bob"))
	w.must(err)
	if len(list) != 1 || list[0].SecretID != again.SecretID {
		t.Errorf("what waits is %+v", list)
	}
}

// What was decided about does not pile up: one administrator could fill the
// store with it.
func TestDecidedChangesDoNotPileUp(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	alice := w.as("alice")
	for range 1010 {
		_, _, err := w.PutRole(ctx, alice, "readers", []byte(readsSSN), store.Precondition{})
		_, err = w.WithdrawChange(ctx, alice, w.waits(err))
		w.must(err)
	}
	list, err := w.ListChanges(ctx, w.as("bob"))
	w.must(err)
	if len(list) > 1000 {
		t.Errorf("%d changes are kept", len(list))
	}
	for range 200 {
		_, _, err := w.PutRole(ctx, alice, "readers", []byte(readsSSN), store.Precondition{})
		w.waits(err)
	}
	wantErr(t, w.putRole("alice", "readers", readsSSN), store.ErrConflict)
}
