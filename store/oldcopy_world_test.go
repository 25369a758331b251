package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt"
	"strongroom/store/kv"
	"strongroom/store/storetest"
	"strongroom/vaultkeys/transit"
)

// office is a store in a file, with a ledger, whose keys are in a real Vault
// under the two identities that the shipped policies are for, and what carries
// erasures on.
type office struct {
	*storetest.Fixture
	t        *testing.T
	vault    *vaulttest.Server
	file     string
	erasures *rotate.Erasures
	acme     uid.UID
	people   uid.UID // the collection
}

// people of acme: two with the label subject=x, who are to be erased, and two
// who stay.
var (
	acmePeople   = store.CollectionRef{Integration: "acme", Collection: "people"}
	globexPeople = store.CollectionRef{Integration: "globex", Collection: "people"}
	victims      = []string{"ada", "bob"}
	keptOnes     = []string{"cyn", "dan"}
)

const peopleSchema = `{"type":"object","properties":{
	"email":{"type":"string","x-index":"exact"},"passport":{"type":"string","x-index":"unique"},"card":{"type":"string"}}}`

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, vault: vaulttest.Shared(t), file: filepath.Join(t.TempDir(), "store.db")}
	engine, err := bolt.Create(o.file, bolt.Options{})
	need(t, err)
	t.Cleanup(func() { engine.Close() })
	l, err := ledger.Open(t.TempDir())
	need(t, err)
	t.Cleanup(func() { l.Close() })
	o.Fixture = storetest.OpenWith(t, storetest.Options{Engine: engine, Ledger: l, Provider: vaultOf(t, o.vault)})
	for _, ref := range []store.CollectionRef{acmePeople, globexPeople} {
		_, _, err := o.PutIntegration(always, o.Root(), ref.Integration, store.IntegrationSpec{}, store.Precondition{})
		need(t, err)
		coll, _, err := o.PutCollection(always, o.Root(), ref, store.CollectionSpec{Schema: []byte(peopleSchema), ExpectedRecords: 1 << 40}, store.Precondition{})
		need(t, err)
		if ref == acmePeople {
			o.people = coll.UID
		}
	}
	in, err := o.GetIntegration(always, o.Root(), "acme")
	need(t, err)
	o.acme = in.UID
	o.employ()
	o.carryOn()
	return o
}

// vaultOf opens the keys at Vault as a store does.
func vaultOf(t *testing.T, v *vaulttest.Server) *transit.Provider {
	t.Helper()
	v.Mount(t, "transit")
	role := func(name, policy string) transit.Auth {
		name += uid.New().String()
		v.Policy(t, name, policy)
		roleID, secretID := v.AppRole(t, name, "1h", "2h", name)
		return transit.Auth{Method: transit.MethodAppRole, RoleIDFile: roleID, SecretIDFile: secretID}
	}
	lifecycle := role("lifecycle-", transit.LifecyclePolicy)
	keys, err := transit.Open(t.Context(), transit.Config{
		Address: v.Address, CACertFile: v.CAFile(t), Timeout: patient, Auth: role("everyday-", transit.EverydayPolicy), LifecycleAuth: &lifecycle,
	})
	need(t, err)
	t.Cleanup(func() { keys.Close() })
	return keys
}

// carryOn runs what carries rotations and erasures on, until the test ends.
func (o *office) carryOn() {
	ctx, cancel := context.WithCancel(always)
	o.erasures = rotate.NewErasures(rotate.ErasureOptions{Store: o.Store, Compact: o.compact, Poll: 10 * time.Millisecond})
	m := rotate.New(rotate.Options{Store: rotate.Of(o.Store), Logger: slog.New(slog.DiscardHandler), Compact: o.compact, Kinds: []rotate.Kind{o.erasures}})
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	o.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			o.t.Errorf("what carries erasures on ended: %v", err)
		}
	})
}

func (o *office) compact(ctx context.Context) error {
	_, err := o.Engine.Compact(ctx)
	return err
}

// fields are those of a person.
func fields(id string) map[string]string {
	return map[string]string{"email": id + "@x.example", "passport": "P-" + id + "-1815", "card": "4242-" + id}
}

func (o *office) employ() {
	for _, id := range append(append([]string{}, victims...), keptOnes...) {
		subject := "x"
		if id == "cyn" || id == "dan" {
			subject = "y"
		}
		o.create(acmePeople, id, subject)
		o.create(acmePeople, id, subject) // a second revision
	}
	o.create(globexPeople, "gone", "x")
	o.create(globexPeople, "stays", "y")
}

func (o *office) create(ref store.CollectionRef, id, subject string) {
	o.t.Helper()
	f := fields(id)
	in := store.RecordInput{ID: id, Fields: fmt.Appendf(nil, `{"email":%q,"passport":%q,"card":%q}`, f["email"], f["passport"], f["card"]),
		Labels: map[string]string{"subject": subject}, SetLabels: true}
	_, err := o.PutRecord(always, o.Root(), store.RecordRef{CollectionRef: ref, Record: id}, in, store.WriteOptions{})
	need(o.t, err)
}

// dictionary are the right values of everybody, and as many wrong ones.
func dictionary() map[string][]string {
	out := map[string][]string{}
	for _, id := range append(append([]string{"eve", "fay"}, victims...), keptOnes...) {
		for path, value := range fields(id) {
			if path != "card" {
				out[path] = append(out[path], value)
			}
		}
	}
	return out
}

// copied copies the data file, while nothing writes, and opens the copy.
func (o *office) copied() (engine *bolt.Engine, raw []byte) {
	o.t.Helper()
	raw, err := os.ReadFile(o.file)
	need(o.t, err)
	return o.engineOf(raw), raw
}

func (o *office) engineOf(raw []byte) *bolt.Engine {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "copy.db")
	need(o.t, os.WriteFile(path, raw, 0o600))
	engine, err := bolt.Open(path, bolt.Options{})
	need(o.t, err)
	o.t.Cleanup(func() { engine.Close() })
	return engine
}

func (o *office) haul(engine kv.Engine) store.Haul {
	o.t.Helper()
	h, err := store.HaulForTest(always, engine, o.acme, o.people)
	need(o.t, err)
	return h
}

func (o *office) backup() []byte {
	o.t.Helper()
	var file bytes.Buffer
	info, err := o.Backup(always, o.Root(), &file, store.BackupOptions{})
	need(o.t, err)
	_, err = o.ConfirmBackup(always, o.Root(), info.Sequence, info.SHA256)
	need(o.t, err)
	return file.Bytes()
}

func (o *office) erase(target store.EraseTarget, level rotate.Level) string {
	o.t.Helper()
	made, err := o.erasures.Create(always, o.Root(), rotate.ErasureRequest{EraseTarget: target, Level: level})
	need(o.t, err)
	return made.ID
}

// until waits for what an erasure comes to; a test that waits in vain is ended
// by its deadline.
func (o *office) until(id string, ok func(rotate.Erasure) bool) rotate.Erasure {
	o.t.Helper()
	changes, err := o.erasures.Subscribe(o.t.Context(), o.Root(), id)
	need(o.t, err)
	var last rotate.Erasure
	for last = range changes {
		if ok(last) {
			return last
		}
	}
	o.t.Fatalf("the erasure ended as %+v", last)
	return last
}

func erased(e rotate.Erasure) bool { return e.Done }

func awaitsBackup(e rotate.Erasure) bool {
	return strings.Contains(e.Detail, store.ErrNoBackup.Error())
}
