package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

// court is a world in which two persons are wanted. Alice and Bob are
// administrators whom the machine's owner made; reader has a role that reads
// nothing yet.
type court struct {
	*world
	secrets map[string]string // secret ids, by client
}

const (
	emptyRole  = `{"rules":[]}`
	readsEmail = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"email":"clear"}}]}`
	readsSSN   = `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"email":"clear","ssn":"clear"}}]}`
)

func newCourt(t *testing.T) *court {
	t.Helper()
	w := &court{world: newWorld(t, storetest.Options{}), secrets: map[string]string{}}
	w.role("readers", readsEmail)
	w.role("nothing", emptyRole)
	for _, name := range []string{"alice", "bob"} {
		w.founded(name, "administrator", "approver")
	}
	w.founded("reader", "readers")
	w.must(w.RequireTwoPersons(context.Background()))
	return w
}

func (w *court) role(name, raw string) {
	w.t.Helper()
	_, _, err := w.PutRole(context.Background(), w.root, name, []byte(raw), store.Precondition{})
	w.must(err)
}

// founded makes a client on the machine.
func (w *court) founded(name string, roles ...string) {
	w.t.Helper()
	made, err := w.InitialClient(context.Background(), name, roles)
	w.must(err)
	w.secrets[name] = made.ID
}

// as returns a client as its next request would come.
func (w *court) as(name string) store.Caller {
	w.t.Helper()
	c, err := w.GetClient(context.Background(), w.root, name)
	w.must(err)
	p, err := w.Principal(&store.TokenRef{Client: name, ClientUID: c.UID, SecretID: w.secrets[name]})
	w.must(err)
	return p
}

func (w *court) putRole(as, name, raw string) error {
	_, _, err := w.PutRole(context.Background(), w.as(as), name, []byte(raw), store.Precondition{})
	return err
}

func (w *court) putClient(as, name string, spec store.ClientSpec) error {
	_, _, err := w.PutClient(context.Background(), w.as(as), name, spec, store.Precondition{})
	return err
}

func (w *court) roles(as, name string, roles ...string) error {
	return w.putClient(as, name, store.ClientSpec{Roles: roles})
}

// secret mints a secret and remembers it, also one that waits.
func (w *court) secret(as, name string) error {
	made, err := w.CreateSecret(context.Background(), w.as(as), name, 0, store.WriteOptions{})
	var pending *store.ChangePending
	if errors.As(err, &pending) {
		made = *pending.Secret
	}
	if made.ID != "" {
		w.secrets[name] = made.ID
	}
	return err
}

func (w *court) approve(as, change string) error {
	_, err := w.ApproveChange(context.Background(), w.as(as), change)
	return err
}

// waits demands that a change waits, and returns its id.
func (w *court) waits(err error) string {
	w.t.Helper()
	var pending *store.ChangePending
	if !errors.As(err, &pending) {
		w.t.Fatalf("the change does not wait: %v", err)
	}
	return pending.Change.ID
}

// agreed has bob approve what waits.
func (w *court) agreed(err error) {
	w.t.Helper()
	w.must(w.approve("bob", w.waits(err)))
}

// reads says whether a client reads a field in clear.
func (w *court) reads(name string, ref store.RecordRef, field string) bool {
	w.t.Helper()
	rec, err := w.GetRecord(context.Background(), w.as(name), ref, store.ReadOptions{})
	if err != nil {
		return false
	}
	for _, v := range rec.Fields {
		if v.Path == field {
			return !slices.Contains(rec.Masked, field)
		}
	}
	return false
}

func TestAWideningWaitsAndNarrowingDoesNot(t *testing.T) {
	w := newCourt(t)
	ref := w.create(fullRecord)
	id := w.waits(w.putRole("alice", "readers", readsSSN))
	if w.reads("reader", ref, "ssn") {
		t.Error("the reader has what waits")
	}
	shown, err := w.GetChange(context.Background(), w.as("bob"), id)
	w.must(err)
	if shown.Requester != "alice" || shown.State != "pending" || !strings.Contains(string(shown.Document), "ssn") ||
		strings.Contains(string(shown.Current), "ssn") || !slices.Equal(shown.Affects, []string{"client/reader@1"}) {
		t.Errorf("the change is shown as %+v", shown)
	}
	w.Reopen()
	w.must(w.approve("bob", id))
	if !w.reads("reader", ref, "ssn") {
		t.Error("the reader does not have what was approved")
	}
	wantErr(t, w.approve("bob", id), store.ErrConflict)
	w.must(w.putRole("alice", "readers", readsEmail))
	if w.reads("reader", ref, "ssn") {
		t.Error("the reader keeps what was taken")
	}
	w.must(w.putClient("alice", "reader", store.ClientSpec{Roles: []string{"readers"}, Disabled: true}))
	w.must(w.putRole("alice", "unused", emptyRole))
	_, err = w.CreateSecret(context.Background(), w.as("alice"), "alice", 0, store.WriteOptions{})
	w.must(err)
}

// What waits: everything by which somebody could come by a value.
func TestWhatWaitsForASecondPerson(t *testing.T) {
	w := newCourt(t)
	ctx := context.Background()
	w.must(w.roles("alice", "plain"))
	w.must(w.secret("alice", "plain"))
	w.role("holdsback", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["read"],"read":{"email":"none"}}]}`)
	w.must(w.roles("alice", "held"))
	w.agreed(w.roles("alice", "held", "readers", "holdsback"))
	w.must(w.putClient("alice", "reader", store.ClientSpec{Roles: []string{"readers"}, Disabled: true}))
	readers := w.secrets["reader"]
	schemas := func(from, to string) func() error {
		return func() error {
			spec := store.CollectionSpec{Schema: []byte(strings.Replace(customersSchema, from, to, 1))}
			_, _, err := w.PutCollection(ctx, w.as("alice"), customers, spec, store.Precondition{})
			return err
		}
	}
	for what, do := range map[string]func() error{
		"a role that grants":   func() error { return w.putRole("alice", "new", readsEmail) },
		"a wider role":         func() error { return w.putRole("alice", "readers", readsSSN) },
		"a role for a client":  func() error { return w.roles("alice", "plain", "readers") },
		"a client with a role": func() error { return w.roles("alice", "fresh", "readers") },
		"labels of a client that reads": func() error {
			return w.putClient("alice", "held", store.ClientSpec{Roles: []string{"readers", "holdsback"}, Labels: map[string]string{"owner": "x"}})
		},
		"enabling a client that reads":  func() error { return w.roles("alice", "reader", "readers") },
		"a secret for one that reads":   func() error { return w.secret("alice", "reader") },
		"a secret for an administrator": func() error { return w.secret("alice", "bob") },
		"one more administrator":        func() error { return w.roles("alice", "plain", "administrator") },
		"one more approver":             func() error { return w.roles("alice", "plain", "approver") },
		"taking such a role away":       func() error { return w.roles("alice", "held", "readers") },
		"emptying such a role":          func() error { return w.putRole("alice", "holdsback", emptyRole) },
		"lower sensitivity":             schemas(`,"x-sensitivity":"high"`, ``),
		"no mask":                       schemas(`,"x-mask":"last4"`, ``),
		"another mask":                  schemas(`"x-mask":"email"`, `"x-mask":"last4"`),
		"two persons off": func() error {
			_, err := w.PutGovernance(ctx, w.as("alice"), false)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			w.t = t
			id := w.waits(do())
			wantErr(t, w.approve("alice", id), store.ErrSameHand)
			_, err := w.WithdrawChange(ctx, w.as("alice"), id)
			w.must(err)
		})
	}
	w.t = t
	tell(t, []story{
		{"alice", "make a mask the strictest", schemas(`"x-mask":"email"`, `"x-mask":"redact"`), nil},
		{"alice", "guard a field more", schemas(`"x-mask":"email"},
	"card":{"type":"string","x-mask":"last4"`, `"x-mask":"redact"},
	"card":{"type":"string","x-mask":"last4","x-sensitivity":"high"`), nil},
		{"alice", "make a client without roles", func() error { return w.roles("alice", "fresh") }, nil},
		{"alice", "take a role away", func() error { return w.roles("alice", "held", "holdsback") }, nil},
		{"alice", "label one that reads nothing", func() error {
			return w.putClient("alice", "plain", store.ClientSpec{Labels: map[string]string{"a": "b"}})
		}, nil},
		{"alice", "delete a secret", func() error { return w.DeleteSecret(ctx, w.as("alice"), "reader", readers) }, nil},
		{"alice", "take the last role away", func() error { return w.roles("alice", "held") }, nil},
		{"alice", "delete a role that nobody has", func() error { return w.DeleteRole(ctx, w.as("alice"), "holdsback") }, nil},
		{"alice", "delete a client", func() error { return w.DeleteClient(ctx, w.as("alice"), "held") }, nil},
	})
}

// A property of high sensitivity must not come out from under its guard by
// being put into, or taken out of, another one.
func TestASchemaThatMovesAGuardedValueWaits(t *testing.T) {
	w := newCourt(t)
	put := func(properties string) error {
		spec := store.CollectionSpec{Schema: []byte(`{"type":"object","properties":{` + properties + `}}`)}
		_, _, err := w.PutCollection(context.Background(), w.as("alice"), store.CollectionRef{Integration: "acme", Collection: "moves"}, spec, store.Precondition{})
		return err
	}
	w.must(put(`"person":{"type":"object","x-sensitivity":"high","properties":{"name":{"type":"string"}}}`))
	w.waits(put(`"person":{"type":"object","x-sensitivity":"high","properties":{"name":{"type":"string","x-field":true}}}`))
	w.must(put(`"person":{"type":"object","x-sensitivity":"high","properties":{"name":{"type":"string","x-field":true,"x-sensitivity":"high"}}}`))
	w.agreed(put(`"person":{"type":"object","properties":{"name":{"type":"string","x-field":true,"x-sensitivity":"high"}}}`))
	w.waits(put(`"person":{"type":"object","properties":{"name":{"type":"string"}}}`))
	w.must(put(`"person":{"type":"object","properties":{"name":{"type":"string","x-field":true,"x-sensitivity":"high","x-approval":"required"}}}`))
	w.waits(put(`"person":{"type":"object","properties":{"name":{"type":"string","x-field":true,"x-sensitivity":"high","x-purpose":"required"}}}`))
}

// Alice tries to be two persons.
func TestNobodyIsTwoPersons(t *testing.T) {
	w := newCourt(t)
	ctx := context.Background()
	w.agreed(w.roles("alice", "puppet", "administrator"))
	w.agreed(w.secret("alice", "puppet"))
	w.agreed(w.roles("alice", "second", "administrator"))
	w.agreed(w.secret("alice", "second"))
	w.agreed(w.roles("puppet", "grandchild", "administrator"))
	w.agreed(w.secret("puppet", "grandchild"))
	widen := func(as string) string { return w.waits(w.putRole(as, "readers", readsSSN)) }
	for asker, approvers := range map[string][]string{
		"alice":  {"alice", "puppet", "second", "grandchild"},
		"puppet": {"alice", "puppet", "second", "grandchild"}, "second": {"puppet", "grandchild", "alice"}, "grandchild": {"alice", "second"},
	} {
		id := widen(asker)
		for _, approver := range approvers {
			if err := w.approve(approver, id); !errors.Is(err, store.ErrSameHand) {
				t.Errorf("%s asks, %s approves: %v", asker, approver, err)
			}
		}
	}
	// The line is not cut by deleting somebody in it.
	w.must(w.DeleteClient(ctx, w.as("alice"), "puppet"))
	wantErr(t, w.approve("grandchild", widen("alice")), store.ErrSameHand)
	// Nor does Alice become Bob by a secret of his that she has seen.
	w.secrets["bob's own"] = w.secrets["bob"]
	id := w.waits(w.secret("alice", "bob"))
	w.secrets["alice's bob"], w.secrets["bob"] = w.secrets["bob"], w.secrets["bob's own"]
	wantErr(t, w.approve("bob", id), store.ErrSelfEdit)
	w.founded("carol", "administrator")
	w.must(w.approve("carol", id))
	wantErr(t, w.approve("bob", widen("alice")), store.ErrSameHand)
	w.must(w.DeleteSecret(ctx, w.as("carol"), "bob", w.secrets["alice's bob"]))
	w.must(w.approve("bob", widen("alice")))
}

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

func TestSwitchingTwoPersonsOff(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	_, err := w.PutGovernance(ctx, w.as("reader"), false)
	wantErr(t, err, store.ErrForbidden)
	_, err = w.PutGovernance(ctx, w.as("alice"), false)
	id := w.waits(err)
	w.Reopen()
	if !w.TwoPersons() {
		t.Error("it is off before it was approved")
	}
	w.must(w.approve("bob", id))
	w.must(w.putRole("alice", "readers", readsSSN))
	w.Reopen()
	if w.TwoPersons() {
		t.Error("it is on again")
	}
	_, err = w.PutGovernance(ctx, w.as("alice"), true)
	w.must(err)
	w.waits(w.putRole("alice", "nothing", readsSSN))
}

// Whoever one is, and whether or not two persons are wanted.
func TestNobodyChangesItself(t *testing.T) {
	w := newCourt(t)
	ctx := context.Background()
	w.founded("carol", "administrator", "readers")
	for _, two := range []bool{true, false} {
		if !two {
			_, err := w.PutGovernance(ctx, w.as("alice"), false)
			w.agreed(err)
		}
		tell(t, []story{
			{"carol", "give itself a role", func() error { return w.roles("carol", "carol", "administrator", "readers", "nothing") }, store.ErrSelfEdit},
			{"carol", "take a role from itself", func() error { return w.roles("carol", "carol", "administrator") }, store.ErrSelfEdit},
			{"carol", "label itself", func() error {
				return w.putClient("carol", "carol", store.ClientSpec{Roles: []string{"administrator", "readers"}, Labels: map[string]string{"a": "b"}})
			}, store.ErrSelfEdit},
			{"carol", "delete itself", func() error { return w.DeleteClient(ctx, w.as("carol"), "carol") }, store.ErrSelfEdit},
			{"carol", "widen its role", func() error { return w.putRole("carol", "readers", readsSSN) }, store.ErrSelfEdit},
			{"carol", "narrow its role", func() error { return w.putRole("carol", "readers", emptyRole) }, store.ErrSelfEdit},
			{"carol", "delete its role", func() error { return w.DeleteRole(ctx, w.as("carol"), "readers") }, store.ErrSelfEdit},
			{"carol", "renew its secret", func() error {
				old := w.secrets["carol"]
				w.must(w.secret("carol", "carol"))
				return w.DeleteSecret(ctx, w.as("carol"), "carol", old)
			}, nil},
		})
	}
	wantErr(t, store.ErrSelfEdit, store.ErrForbidden)
	if got := store.Code(store.ErrSelfEdit); got != "self_edit" {
		t.Errorf("its code is %s", got)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	w.must(w.roles("alice", "bob", "approver"))
	only := func(stories ...story) { t.Helper(); tell(t, stories) }
	stripped := store.ClientSpec{Roles: []string{"approver"}}
	root := func(do func(c store.Caller) error) func() error { return func() error { return do(w.root) } }
	last := []story{
		{"root", "delete alice", root(func(c store.Caller) error { return w.DeleteClient(ctx, c, "alice") }), store.ErrLastAdministrator},
		{"root", "strip alice", root(func(c store.Caller) error {
			_, _, err := w.PutClient(ctx, c, "alice", stripped, store.Precondition{})
			return err
		}), store.ErrLastAdministrator},
		{"root", "disable alice", root(func(c store.Caller) error {
			_, _, err := w.PutClient(ctx, c, "alice", store.ClientSpec{Roles: []string{"administrator"}, Disabled: true}, store.Precondition{})
			return err
		}), store.ErrLastAdministrator},
		{"root", "end alice's last secret", root(func(c store.Caller) error { return w.DeleteSecret(ctx, c, "alice", w.secrets["alice"]) }), store.ErrLastAdministrator},
		{"alice", "end her own last secret", func() error { return w.DeleteSecret(ctx, w.as("alice"), "alice", w.secrets["alice"]) }, store.ErrLastAdministrator},
	}
	only(last...)
	// Somebody who has the role and cannot sign in is no other administrator.
	w.must(w.roles("alice", "idle"))
	_, _, err := w.PutClient(ctx, w.root, "idle", store.ClientSpec{Roles: []string{"administrator"}}, store.Precondition{})
	w.must(err)
	only(last...)
	_, err = w.CreateSecret(ctx, w.root, "idle", time.Hour, store.WriteOptions{})
	w.must(err)
	w.now = w.now.Add(2 * time.Hour)
	only(last...)
	_, err = w.CreateSecret(ctx, w.root, "idle", time.Hour, store.WriteOptions{})
	w.must(err)
	only(story{"root", "delete alice", root(func(c store.Caller) error { return w.DeleteClient(ctx, c, "alice") }), nil})
}

func TestBreakGlass(t *testing.T) {
	ctx, w := context.Background(), newCourt(t)
	w.agreed(w.roles("alice", "carol", "administrator", "readers"))
	w.agreed(w.secret("alice", "carol"))
	before := w.as("carol")
	made, err := w.BreakGlass(ctx, "carol")
	w.must(err)
	_, err = w.Principal(&store.TokenRef{Client: "carol", ClientUID: before.ClientUID, SecretID: w.secrets["carol"]})
	wantErr(t, err, store.ErrUnauthenticated)
	who, err := w.VerifySecret(ctx, store.Attempt{Client: "carol"}, made.Secret)
	w.must(err)
	w.Reopen()
	w.secrets["carol"] = made.ID
	if got := w.as("carol"); got.ClientUID != who.ClientUID || !slices.Equal(got.Roles, []string{"administrator"}) {
		t.Errorf("carol is %+v", got)
	}
	has := func() bool {
		return slices.ContainsFunc(w.Ready(), func(r store.Reason) bool { return r.Code == "break_glass" && r.Notice })
	}
	if !has() {
		t.Errorf("nothing is told of it: %v", w.Ready())
	}
	w.must(w.approve("carol", w.waits(w.putRole("alice", "readers", readsSSN)))) // nobody made this carol
	w.now = w.now.Add(25 * time.Hour)
	if has() {
		t.Error("it is told of for ever")
	}
	_, err = w.BreakGlass(ctx, "Not a name")
	if err == nil {
		t.Error("a name that is none was taken")
	}
	_, err = w.BreakGlass(ctx, "dora")
	w.must(err)
}

func TestReasonsOfGovernance(t *testing.T) {
	codes := func(f *storetest.Fixture) (list []string) {
		for _, r := range f.Ready() {
			list = append(list, r.Code)
		}
		return list
	}
	f := storetest.OpenWith(t, storetest.Options{Production: true})
	if got := codes(f); !slices.Equal(got, []string{"two_person_off"}) {
		t.Errorf("reasons without two persons: %v", got)
	}
	ctx := context.Background()
	if err := f.RequireTwoPersons(ctx); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"second_person_missing"}, nil} {
		if _, err := f.InitialClient(ctx, []string{"alice", "bob"}[i], []string{"administrator"}); err != nil {
			t.Fatal(err)
		}
		if got := codes(f); !slices.Equal(got, want) {
			t.Errorf("reasons with %d administrators: %v", i+1, got)
		}
	}
}

// Whoever can write the disk does not switch two persons off by damaging what
// says that they are wanted, nor by deleting it.
func TestDamageDoesNotSwitchTwoPersonsOff(t *testing.T) {
	for what, damage := range map[string]func(tx kv.Tx, key, value []byte){
		"deleted": func(tx kv.Tx, key, _ []byte) { tx.Delete(kv.Control, key) },
		"cut":     func(tx kv.Tx, key, value []byte) { tx.Put(kv.Control, key, value[:len(value)-1]) },
	} {
		t.Run(what, func(t *testing.T) {
			f := storetest.OpenWith(t, storetest.Options{Production: true, Unchecked: true})
			key := []byte("governance\x00two-person")
			err := f.Engine.Update(context.Background(), kv.Interactive, 64, func(tx kv.Tx) error {
				value := slices.Clone(tx.Get(kv.Control, key))
				if len(value) == 0 {
					t.Error("there is no such value")
				}
				damage(tx, key, value)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			f.Reopen()
			if !f.TwoPersons() {
				t.Error("two persons are not wanted any more")
			}
			if !slices.ContainsFunc(f.Ready(), func(r store.Reason) bool { return r.Code == "integrity" }) {
				t.Errorf("nothing is told of it: %v", f.Ready())
			}
		})
	}
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
