package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/store/storetest"
)

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
