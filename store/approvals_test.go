package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/schema"
	"strongroom/store"
	"strongroom/store/storetest"
)

// vault is a world with a collection whose key and pin need an approval, and
// whose note needs a purpose. Reader may read all of it; approver and root-made
// others decide.
type vault struct {
	*court
	ref store.RecordRef
}

var cards = store.CollectionRef{Integration: "acme", Collection: "cards"}

const (
	cardsSchema = `{"type":"object","properties":{"name":{"type":"string"},
		"number":{"type":"string","x-mask":"last4","x-approval":"required","x-sensitivity":"high"},
		"pin":{"type":"string","x-approval":"required","x-sensitivity":"high"},
		"note":{"type":"string","x-purpose":"required","x-index":"exact"}}}`
	cardsRole = `{"rules":[{"integrations":["acme"],"collections":["cards"],
		"actions":["read","list","search","history","rollback","export","create","update","import"],
		"read":{"number":"clear","pin":"clear","*":"clear"},"write":["*"],"search":["note"]}]}`
	cardFields = `{"name":"Ann","number":"4242424242424242","pin":"9371","note":"vip"}`
	allOfIt    = `{"name":"Ann","number":"4242424242424242","pin":"9371","note":"vip"}`
	notNumber  = `{"name":"Ann","number":"****4242","note":"vip"}`
	pinOfAll   = "9371"
)

func newVault(t *testing.T) *vault {
	t.Helper()
	w := &vault{court: &court{world: newWorld(t, storetest.Options{}), secrets: map[string]string{}}}
	w.collection(cards, store.CollectionSpec{Schema: []byte(cardsSchema)})
	w.role("cards", cardsRole)
	for name, roles := range map[string][]string{"reader": {"cards"}, "other": {"cards"}, "approver": {"approver"}, "alice": {"administrator"}} {
		w.founded(name, roles...)
	}
	w.ref = w.card("card-1")
	return w
}

func (w *vault) card(id string) store.RecordRef {
	w.t.Helper()
	_, err := w.CreateRecord(context.Background(), w.root, cards, store.RecordInput{ID: id, Fields: []byte(cardFields)}, store.WriteOptions{})
	w.must(err)
	return store.RecordRef{CollectionRef: cards, Record: id}
}

func spec(change ...func(*store.ApprovalSpec)) store.ApprovalSpec {
	s := store.ApprovalSpec{Purpose: "refund", Integration: "acme", Collection: "cards", Records: []string{"card-1"}, Fields: []string{"number", "pin"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// approval asks for one and has it approved.
func (w *vault) approval(as string, s store.ApprovalSpec) string {
	w.t.Helper()
	a, err := w.RequestApproval(context.Background(), w.as(as), s)
	w.must(err)
	_, err = w.ApproveRead(context.Background(), w.as("approver"), a.ID)
	w.must(err)
	return a.ID
}

// with returns a client whose request names a purpose and an approval.
func (w *vault) with(name, purpose, approval string) store.Caller {
	p := *w.as(name)
	p.Purpose, p.Approval = purpose, approval
	return &p
}

func (w *vault) left(id string) int {
	w.t.Helper()
	a, err := w.GetApproval(context.Background(), w.as("approver"), id)
	w.must(err)
	return a.UsesLeft
}

func (w *vault) shows(c store.Caller, ref store.RecordRef, want string) {
	w.t.Helper()
	if got := w.read(c, ref); got != want {
		w.t.Errorf("it shows %s, want %s", got, want)
	}
}

func TestAnApprovedReadAndNoMore(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.shows(w.as("reader"), w.ref, `{"name":"Ann","number":"****4242"}`)
	w.shows(w.with("reader", "refund", ""), w.ref, notNumber)
	rec := w.get(w.as("reader"), w.ref)
	if !slices.Equal(rec.Withheld, []string{"pin", "note"}) || !slices.Equal(rec.Masked, []string{"number"}) {
		t.Errorf("masked %v, withheld %v", rec.Masked, rec.Withheld)
	}
	id := w.approval("reader", spec(func(s *store.ApprovalSpec) { s.Uses = 2 }))
	w.shows(w.with("reader", "refund", id), w.ref, allOfIt)
	pin, err := w.GetField(ctx, w.with("reader", "refund", id), w.ref, "pin", store.ReadOptions{})
	w.must(err)
	if string(pin.JSON) != `"`+pinOfAll+`"` || w.left(id) != 0 {
		t.Errorf("the pin is shown as %q, %d uses are left", pin.JSON, w.left(id))
	}
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	_, err = w.GetField(ctx, w.with("reader", "refund", id), w.ref, "pin", store.ReadOptions{})
	wantErr(t, err, store.ErrApprovalRequired)
	w.Reopen()
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	got, err := w.GetApproval(ctx, w.as("reader"), id)
	w.must(err)
	if got.State != "used" || got.Decider != "approver" {
		t.Errorf("the approval is %+v", got)
	}
}

// An approval is good for what it says and for nothing else.
func TestAnApprovalIsGoodForNothingElse(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	second := w.card("card-2")
	onlyNumber := spec(func(s *store.ApprovalSpec) { s.Fields, s.Uses = []string{"number"}, 5 })
	id := w.approval("reader", onlyNumber)
	for what, c := range map[string]store.Caller{
		"another client":  w.with("other", "refund", id),
		"another purpose": w.with("reader", "audit", id),
		"no purpose":      w.with("reader", "", id),
		"a wild purpose":  w.with("reader", "re fund", id),
		"another id":      w.with("reader", "refund", "x"),
	} {
		if text := w.read(c, w.ref); strings.Contains(text, cardOfAll) {
			t.Errorf("%s: %s", what, text)
		}
	}
	w.shows(w.with("reader", "refund", id), second, notNumber)
	w.shows(w.with("reader", "refund", id), w.ref, `{"name":"Ann","number":"4242424242424242","note":"vip"}`)
	if left := w.left(id); left != 4 {
		t.Errorf("%d uses are left: one was spent for nothing", left)
	}
	for _, o := range []store.ReadOptions{{Metadata: true}, {Fields: []string{"name"}}, {Fields: []string{"pin"}}} {
		_, err := w.GetRecord(ctx, w.with("reader", "refund", id), w.ref, o)
		w.must(err)
	}
	if left := w.left(id); left != 4 {
		t.Errorf("%d uses are left: a read that shows nothing of it spent one", left)
	}

	// A namesake of the client, of the collection, and an approval that ended.
	w.must(w.DeleteClient(ctx, w.as("alice"), "reader"))
	w.founded("reader", "cards")
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	id = w.approval("reader", onlyNumber)
	w.now = w.now.Add(15 * time.Minute)
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	id = w.approval("reader", onlyNumber)
	_, err := w.RevokeRead(ctx, w.as("reader"), id)
	w.must(err)
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	id = w.approval("reader", onlyNumber)
	w.must(w.DeleteCollection(ctx, w.root, cards))
	w.collection(cards, store.CollectionSpec{Schema: []byte(cardsSchema)})
	w.card("card-1")
	w.shows(w.with("reader", "refund", id), w.ref, notNumber)
	a, err := w.RequestApproval(ctx, w.as("reader"), spec())
	w.must(err)
	w.shows(w.with("reader", "refund", a.ID), w.ref, notNumber) // nobody approved it
}

// No other way shows what an approval is needed for, even with a good one.
func TestNoOtherWayToAGuardedValue(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	w.must(w.patch(w.root, w.ref, `{"name":"Bob"}`))
	id := w.approval("reader", spec(func(s *store.ApprovalSpec) { s.Uses = 100 }))
	c := w.with("reader", "refund", id)
	var shown []string
	show := func(rec *store.Record) error {
		shown = append(shown, string(schema.Join(rec.Fields)))
		return nil
	}
	for _, o := range []store.ReadOptions{{Revision: 1}, {Revision: 2}, {Previous: true}} {
		rec, err := w.GetRecord(ctx, c, w.ref, o)
		w.must(err)
		_ = show(&rec)
	}
	page, err := w.ListRecords(ctx, c, cards, store.ListOptions{AllFields: true})
	w.must(err)
	_ = show(&page.Records[0])
	page, err = w.SearchRecords(ctx, c, cards, store.SearchOptions{Where: where("note", `"vip"`)})
	w.must(err)
	_ = show(&page.Records[0])
	rec, err := w.LookupRecord(ctx, c, cards, where("note", `"vip"`), store.ReadOptions{})
	w.must(err)
	_ = show(&rec)
	_, err = w.ExportRecords(ctx, c, cards, store.ListOptions{}, show)
	w.must(err)
	if len(shown) != 7 {
		t.Errorf("%d ways were tried", len(shown))
	}
	for _, text := range shown {
		if strings.Contains(text, cardOfAll) || strings.Contains(text, pinOfAll) || !strings.Contains(text, `"note":"vip"`) {
			t.Errorf("shown: %s", text)
		}
	}
	if left := w.left(id); left != 100 {
		t.Errorf("%d uses are left", left)
	}
	bare := w.as("reader")
	for what, do := range map[string]func() error{
		"search without a purpose": func() error {
			_, err := w.SearchRecords(ctx, bare, cards, store.SearchOptions{Where: where("note", `"vip"`)})
			return err
		},
		"an old pin": func() error {
			_, err := w.GetField(ctx, c, w.ref, "pin", store.ReadOptions{Revision: 1})
			return err
		},
	} {
		if err := do(); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What was rolled back and imported stays guarded, and what is read masked
	// does not find its way back.
	_, err = w.RollbackRecord(ctx, bare, w.ref, 1, store.WriteOptions{})
	w.must(err)
	w.shows(bare, w.ref, `{"name":"Ann","number":"****4242"}`)
	wantErr(t, w.patch(bare, w.ref, `{"number":"****4242"}`), store.ErrForbidden)
	for _, s := range []string{
		`{"type":"object","properties":{"pin":{"type":"string","x-approval":"required","x-index":"exact"}}}`,
		`{"type":"object","properties":{"pin":{"type":"string","x-approval":"maybe"}}}`,
	} {
		_, _, err := w.PutCollection(ctx, w.root, store.CollectionRef{Integration: "acme", Collection: "bad"}, store.CollectionSpec{Schema: []byte(s)}, store.Precondition{})
		if store.Code(err) != "invalid" {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// A field that the schema does not declare any more stays guarded, by its own
// name and inside the parent that it went back into.
func TestARetiredFieldStaysGuarded(t *testing.T) {
	w := newVault(t)
	ref := store.CollectionRef{Integration: "acme", Collection: "people"}
	put := func(inner string) {
		w.collection(ref, store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{"top":{"type":"string"},"person":{"type":"object","properties":{` + inner + `}}}}`)})
	}
	put(`"pin":{"type":"string","x-field":true,"x-approval":"required"}`)
	res, err := w.CreateRecord(context.Background(), w.root, ref, input(`{"person":{"pin":"9371"}}`), store.WriteOptions{})
	w.must(err)
	put(`"name":{"type":"string"}`)
	w.role("people", `{"rules":[{"integrations":["acme"],"collections":["people"],"actions":["read"],"read":{"*":"clear","person":"clear","person/pin":"clear"}}]}`)
	w.founded("hr", "people")
	if text := w.read(w.as("hr"), store.RecordRef{CollectionRef: ref, Record: res.ID}); strings.Contains(text, pinOfAll) {
		t.Errorf("it shows %s", text)
	}
}

func TestWhoDecidesAboutReads(t *testing.T) {
	ctx, w := context.Background(), newVault(t)
	for _, name := range []string{"helper", "second"} {
		w.must(w.roles("alice", name, "approver", "cards"))
		w.must(w.secret("alice", name))
	}
	ask := func(as, reader string) string {
		a, err := w.RequestApproval(ctx, w.as(as), spec(func(s *store.ApprovalSpec) { s.Client = reader }))
		w.must(err)
		return a.ID
	}
	try := func(as, id string) func() error {
		return func() error { _, err := w.ApproveRead(ctx, w.as(as), id); return err }
	}
	_, err := w.RequestApproval(ctx, w.as("reader"), spec(func(s *store.ApprovalSpec) { s.Client = "other" }))
	wantErr(t, err, store.ErrForbidden)
	own, forReader, forHelper, bySecond := ask("helper", ""), ask("alice", "reader"), ask("alice", "helper"), ask("second", "")
	tell(t, []story{
		{"reader", "approve as a mere reader", try("reader", own), store.ErrNotFound},
		{"alice", "approve as an administrator", try("alice", forReader), store.ErrForbidden},
		{"helper", "approve what it asked for", try("helper", own), store.ErrSameHand},
		{"helper", "approve what its maker asked for", try("helper", forReader), store.ErrSameHand},
		{"helper", "approve what its maker asked for it", try("helper", forHelper), store.ErrSameHand},
		{"approver", "approve", try("approver", forReader), nil},
		{"approver", "approve again", try("approver", forReader), store.ErrConflict},
		{"helper", "approve for a sibling", try("helper", bySecond), nil},
	})
	w.must(w.RequireTwoPersons(ctx))
	tell(t, []story{{"helper", "approve for a sibling where two persons are wanted", try("helper", ask("second", "")), store.ErrSameHand}})
	_, err = w.RejectRead(ctx, w.as("alice"), own)
	wantErr(t, err, store.ErrNotFound)
	_, err = w.RejectRead(ctx, w.as("approver"), own)
	w.must(err)
	wantErr(t, try("approver", own)(), store.ErrConflict)
	late := ask("reader", "")
	w.now = w.now.Add(24 * time.Hour)
	wantErr(t, try("approver", late)(), store.ErrConflict)
	list, err := w.ListApprovals(ctx, w.as("reader"))
	w.must(err)
	if len(list) != 2 || list[0].State != "expired" {
		t.Errorf("reader is told of %+v", list)
	}
	_, err = w.GetApproval(ctx, w.as("other"), late)
	wantErr(t, err, store.ErrNotFound)
}

func TestWhatCanBeAskedFor(t *testing.T) {
	w := newVault(t)
	for what, change := range map[string]func(*store.ApprovalSpec){
		"no purpose":              func(s *store.ApprovalSpec) { s.Purpose = "" },
		"a purpose of words":      func(s *store.ApprovalSpec) { s.Purpose = "Two Words" },
		"hours":                   func(s *store.ApprovalSpec) { s.TTL = "2h" },
		"nothing of time":         func(s *store.ApprovalSpec) { s.TTL = "1s" },
		"no records":              func(s *store.ApprovalSpec) { s.Records = nil },
		"a record that is no id":  func(s *store.ApprovalSpec) { s.Records = []string{"*"} },
		"no fields":               func(s *store.ApprovalSpec) { s.Fields = nil },
		"a field that needs none": func(s *store.ApprovalSpec) { s.Fields = []string{"name"} },
		"all fields":              func(s *store.ApprovalSpec) { s.Fields = []string{"*"} },
		"a field that is not":     func(s *store.ApprovalSpec) { s.Fields = []string{"absent"} },
		"too many uses":           func(s *store.ApprovalSpec) { s.Uses = 1001 },
		"fewer than no uses":      func(s *store.ApprovalSpec) { s.Uses = -1 },
		"a reason without end":    func(s *store.ApprovalSpec) { s.Reason = strings.Repeat("x", 501) },
		"a reason with an escape": func(s *store.ApprovalSpec) { s.Reason = "\x1b[2J" },
	} {
		if _, err := w.RequestApproval(context.Background(), w.as("reader"), spec(change)); store.Code(err) != "invalid" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := w.RequestApproval(context.Background(), w.as("approver"), spec())
	wantErr(t, err, store.ErrForbidden)
}

// The log names the purpose, the approval and both principals.
func TestApprovalsAndChangesAreAudited(t *testing.T) {
	w := newVault(t)
	w.founded("bob", "administrator")
	w.must(w.RequireTwoPersons(context.Background()))
	change := w.waits(w.putRole("alice", "extra", sweepingRole))
	w.must(w.approve("bob", change))
	id := w.approval("reader", spec())
	w.read(w.with("reader", "refund", id), w.ref)
	files, err := filepath.Glob(filepath.Join(w.AuditDir, "*"))
	w.must(err)
	var log strings.Builder
	for _, f := range files {
		text, _ := os.ReadFile(f)
		log.Write(text)
	}
	for _, want := range [][]string{
		{`"client":"reader"`, `"action":"read"`, `"purpose":"refund"`, `"approval":"` + id + `"`, `"phase":"access"`},
		{`"client":"approver"`, `"action":"approve"`, `"requester":"reader"`, `"approval":"` + id + `"`, `"phase":"outcome"`},
		{`"client":"bob"`, `"action":"approve"`, `"requester":"alice"`, `"change":"` + change + `"`, `"phase":"outcome"`},
		{`"client":"alice"`, `"action":"put"`, `"change":"` + change + `"`, `"code":"change_pending"`},
	} {
		found := slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
			return !slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(line, part) })
		})
		if !found {
			t.Errorf("no entry has all of %v", want)
		}
	}
}
