package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
)

// A 202 of a change that waits is no success; the secret that came with it is
// handed on.
func TestAChangeThatWaitsIsAnError(t *testing.T) {
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"change":{"id":"change-1","state":"pending","affects":[]},"secret_id":"sec-1","client_secret":"srs_x"}`)
	})
	_, err := c.CreateSecret(context.Background(), "reader", 0, WriteOptions{})
	var pending *Pending
	if !errors.As(err, &pending) || !errors.Is(err, ErrPending) || pending.Change.ID != "change-1" || pending.Secret.Reveal() != "srs_x" {
		t.Errorf("the error is %v", err)
	}
	if err := c.DeleteRole(context.Background(), "r"); !errors.Is(err, ErrPending) {
		t.Errorf("a delete that waits answers %v", err)
	}
}

// A collection whose index is being filled answers 202 too, and is one.
func TestABackfillIsNoChangeThatWaits(t *testing.T) {
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"name":"customers","backfill":{"fields":["email"],"done":0,"state":"running"}}`)
	})
	coll, err := c.PutCollection(context.Background(), CollectionRef{"acme", "customers"}, CollectionSpec{}, WriteOptions{})
	if err != nil || coll.Name != "customers" {
		t.Errorf("it is %v, %v", coll, err)
	}
}

// A read says what it is for, and one under an approval is sent once.
func TestPurposeAndApprovalTravelWithTheContext(t *testing.T) {
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { problem(w, 503, "not_persisted") })
	ctx := WithApproval(WithPurpose(context.Background(), "refund"), "approval-1")
	if _, err := c.GetRecord(ctx, RecordRef{"acme", "cards", "card-1"}, ReadOptions{}); err == nil {
		t.Error("a failed read has no error")
	}
	calls := f.seen()
	if len(calls) != 1 || calls[0].header.Get("Strongroom-Purpose") != "refund" || calls[0].header.Get("Strongroom-Approval") != "approval-1" {
		t.Errorf("the calls are %v", calls)
	}
	if _, err := c.GetRecord(WithPurpose(context.Background(), "refund"), RecordRef{"acme", "cards", "card-1"}, ReadOptions{}); err == nil || len(f.seen()) < 3 {
		t.Errorf("without an approval a read is sent again; there are %d calls", len(f.seen()))
	}
}
