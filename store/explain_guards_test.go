package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/internal/schema"
	"strongroom/store"
)

// What is explained of fields that ask for a purpose or an approval is what the
// client is shown, finds and may write.
func TestExplainKnowsWhatAFieldAsksFor(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.card("card-2")
	for _, purpose := range []string{"", "refund"} {
		reader := w.with("reader", purpose, "")
		q := store.ExplainQuery{Client: "reader", CollectionRef: cards, Record: "card-1", Purpose: purpose}
		e, err := w.ExplainAccess(ctx, w.root, q)
		w.must(err)
		rec := w.get(reader, w.ref)
		for _, path := range []string{"name", "number", "pin", "note"} {
			f := fieldOf(t, e, path)
			shown := "clear"
			switch {
			case slices.Contains(rec.Withheld, path):
				shown = "none"
			case slices.Contains(rec.Masked, path):
				shown = "mask:" + f.Mask
			}
			if f.Grant != shown || f.AtBest != "clear" {
				t.Errorf("for %q: %s is explained as %s, at best %s, and read as %s", purpose, path, f.Grant, f.AtBest, shown)
			}
			writes := w.patch(w.with("reader", purpose, ""), w.ref, `{"`+path+`":"Bob"}`) == nil
			if slices.Contains(f.Write, access.ActionUpdate) != writes {
				t.Errorf("for %q: %s may be written: %v, explained as %v", purpose, path, writes, f.Write)
			}
		}
		_, err = w.SearchRecords(ctx, reader, cards, store.SearchOptions{Where: []schema.Value{{Path: "note", JSON: []byte(`"vip"`)}}})
		if f := fieldOf(t, e, "note"); f.Search != (err == nil) || !f.SearchAtBest {
			t.Errorf("for %q: the search ends in %v, and is explained as %v", purpose, err, f.Search)
		}
	}
	needs := func(a access.Action, path string) access.FieldExplanation {
		e, err := w.ExplainAccess(ctx, w.root, store.ExplainQuery{Client: "reader", CollectionRef: cards, Action: a})
		w.must(err)
		return fieldOf(t, e, path)
	}
	number := needs(access.ActionHistory, "number") // an approval is for the record as it is
	if number.AtBest != "mask:last4" || !strings.Contains(number.Reason, "more than a role") {
		t.Errorf("of earlier revisions: %+v", number)
	}
	if diff := cmp.Diff([]string{"purpose", "approval"}, needs(access.ActionRead, "pin").Needs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"purpose"}, needs(access.ActionRead, "note").Needs); diff != "" {
		t.Error(diff)
	}
}
