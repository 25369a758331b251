package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/store"
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
