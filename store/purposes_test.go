package store_test

import (
	"context"
	"slices"
	"testing"

	"strongroom/store"
)

// A role can say by a condition for what, and of which records, a field is read
// with an approval. Purpose, condition and approval all have to agree.
func TestAnApprovalUnderACondition(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.role("refunds", `{"rules":[
		{"integrations":["acme"],"collections":["cards"],"actions":["read"],"read":{"name":"clear"}},
		{"integrations":["acme"],"collections":["cards"],"actions":["read"],"read":{"number":"clear","pin":"clear"},
		 "when":"request.purpose == 'refund' && record.labels['tenant'] == 'a'"}]}`)
	w.founded("refunder", "refunds")
	labelled := func(id, tenant string) store.RecordRef {
		in := store.RecordInput{ID: id, Fields: []byte(cardFields), SetLabels: true, Labels: map[string]string{"tenant": tenant}}
		_, err := w.CreateRecord(ctx, w.root, cards, in, store.WriteOptions{})
		w.must(err)
		return store.RecordRef{CollectionRef: cards, Record: id}
	}
	mine, theirs := labelled("mine", "a"), labelled("theirs", "b")
	both := func(purpose string) store.ApprovalSpec {
		return spec(func(s *store.ApprovalSpec) {
			s.Records, s.Fields, s.Uses, s.Purpose = []string{"mine", "theirs"}, []string{"number"}, 9, purpose
		})
	}
	// It asks without the header: what it will read for stands in the request.
	id := w.approval("refunder", both("refund"))
	const name, number = `{"name":"Ann"}`, `{"name":"Ann","number":"4242424242424242"}`
	w.shows(w.with("refunder", "refund", id), mine, number)
	w.shows(w.with("refunder", "refund", id), theirs, name)
	w.shows(w.with("refunder", "audit", id), mine, name)
	w.shows(w.with("refunder", "", id), mine, name)

	// Whoever manages clients asks for another.
	s := both("refund")
	s.Client = "refunder"
	a, err := w.RequestApproval(ctx, w.as("alice"), s)
	w.must(err)
	_, err = w.ApproveRead(ctx, w.as("approver"), a.ID)
	w.must(err)
	w.shows(w.with("refunder", "refund", a.ID), mine, number)

	// The tag of the approved read is not that of the one without.
	tag := func(approval string) string { return w.get(w.with("refunder", "refund", approval), mine).ETag }
	if plain, approved := tag(""), tag(id); plain == approved {
		t.Error("the approved read has the entity tag of the other")
	}
	rec, err := w.GetRecord(ctx, w.with("refunder", "refund", ""), mine, store.ReadOptions{IfNone: []string{tag(id)}})
	w.must(err)
	if rec.NotModified || !slices.Contains(rec.Masked, "number") {
		t.Errorf("without the approval: not modified %v, masked %v", rec.NotModified, rec.Masked)
	}
}

// The purpose that a condition sees is the one that will be read for, not that
// of the request that asks.
func TestAnApprovalIsAskedForWithItsOwnPurpose(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.role("refunds", `{"rules":[{"integrations":["acme"],"collections":["cards"],"actions":["read"],"read":{"number":"clear"},
		"when":"request.purpose == 'refund'"}]}`)
	w.founded("refunder", "refunds")
	number := spec(func(s *store.ApprovalSpec) { s.Fields = []string{"number"} })
	id := w.approval("refunder", number)
	w.shows(w.with("refunder", "refund", id), w.ref, `{"number":"4242424242424242"}`)
	number.Purpose = "audit"
	_, err := w.RequestApproval(ctx, w.with("refunder", "refund", ""), number)
	wantErr(t, err, store.ErrForbidden)
}

// Where the client is when it reads is not known when another asks for it: a
// condition on the address must not stand in the way of asking, and still
// decides about the read.
func TestAnApprovalForAClientElsewhere(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.role("office", `{"rules":[{"integrations":["acme"],"collections":["cards"],"actions":["read"],"read":{"number":"clear"},
		"when":"request.address == '10.0.0.7'"}]}`)
	w.founded("clerk", "office")
	s := spec(func(s *store.ApprovalSpec) { s.Client, s.Fields, s.Uses = "clerk", []string{"number"}, 5 })
	a, err := w.RequestApproval(ctx, w.as("alice"), s)
	w.must(err)
	_, err = w.ApproveRead(ctx, w.as("approver"), a.ID)
	w.must(err)
	from := func(address string) store.Caller {
		p := *w.with("clerk", "refund", a.ID)
		p.Address = address
		return &p
	}
	w.shows(from("10.0.0.7"), w.ref, `{"number":"4242424242424242"}`)
	_, err = w.GetRecord(ctx, from("203.0.113.5"), w.ref, store.ReadOptions{})
	wantErr(t, err, store.ErrForbidden)
}
