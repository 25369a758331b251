package rotate_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt/bolttest"
	"strongroom/store/storetest"
)

const people = `{"type":"object","properties":{"email":{"type":"string","x-index":"exact"},"card":{"type":"string"}}}`

// office is a real store with a ledger, and what carries erasures on.
type office struct {
	*storetest.Fixture
	t        *testing.T
	root     store.Caller
	m        *rotate.Manager
	erasures *rotate.Erasures
	stop     func()
	compacts int
	compact  func(ctx context.Context) error // nil: the data file is not compacted while it is used
}

func newOffice(t *testing.T) *office { return newOfficeWith(t, storetest.Options{}) }

func newOfficeWith(t *testing.T, options storetest.Options) *office {
	t.Helper()
	o := &office{Fixture: storetest.OpenWith(t, options), t: t}
	o.compact = o.compactNow
	l, err := ledger.Open(t.TempDir())
	o.must(err)
	t.Cleanup(func() { l.Close() })
	o.Deps.Ledger = l
	o.Reopen()
	o.root = o.Root()
	for _, name := range []string{"acme", "globex"} {
		_, _, err := o.PutIntegration(t.Context(), o.root, name, store.IntegrationSpec{}, store.Precondition{})
		o.must(err)
		for _, coll := range []string{"customers", "orders"} {
			_, _, err := o.PutCollection(t.Context(), o.root, store.CollectionRef{Integration: name, Collection: coll}, store.CollectionSpec{Schema: []byte(people)}, store.Precondition{})
			o.must(err)
		}
	}
	o.start()
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// start runs a Manager, as a new process does.
func (o *office) start() {
	ctx, cancel := context.WithCancel(context.Background())
	o.erasures = rotate.NewErasures(rotate.ErasureOptions{Store: o.Store, Compact: o.compact, Poll: 10 * time.Millisecond})
	o.m = rotate.New(rotate.Options{Store: rotate.Of(o.Store), Logger: slog.New(slog.DiscardHandler), Compact: o.compact, Kinds: []rotate.Kind{o.erasures}})
	var group sync.WaitGroup
	group.Go(func() {
		if err := o.m.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.t.Errorf("the manager ended: %v", err)
		}
	})
	o.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	o.t.Cleanup(o.stop)
}

func (o *office) compactNow(ctx context.Context) error {
	o.compacts++
	_, err := o.Engine.Compact(ctx)
	return err
}

func (o *office) create(integration, collection, id, subject string) {
	o.t.Helper()
	_, err := o.CreateRecord(o.t.Context(), o.root, store.CollectionRef{Integration: integration, Collection: collection},
		store.RecordInput{ID: id, Fields: []byte(`{"email":"` + id + `@x.y","card":"4242"}`), Labels: map[string]string{"subject": subject}, SetLabels: true}, store.WriteOptions{})
	o.must(err)
}

func (o *office) has(integration, collection, id string) bool {
	o.t.Helper()
	_, err := o.GetRecord(o.t.Context(), o.root, store.RecordRef{CollectionRef: store.CollectionRef{Integration: integration, Collection: collection}, Record: id}, store.ReadOptions{})
	return err == nil
}

func (o *office) erase(r rotate.ErasureRequest) rotate.Erasure {
	o.t.Helper()
	made, err := o.erasures.Create(o.t.Context(), o.root, r)
	o.must(err)
	return made
}

// until waits for what an erasure comes to; a test that waits in vain is ended
// by its deadline.
func (o *office) until(id string, ok func(rotate.Erasure) bool) rotate.Erasure {
	o.t.Helper()
	var last rotate.Erasure
	changes, err := o.erasures.Subscribe(o.t.Context(), o.root, id)
	o.must(err)
	for last = range changes {
		if ok(last) {
			return last
		}
	}
	o.t.Fatalf("the erasure ended as %+v", last)
	return last
}

func done(e rotate.Erasure) bool { return e.Done }

func (o *office) keys() (keys []string) {
	for _, k := range o.AttestKeys() {
		keys = append(keys, k.Key)
	}
	return keys
}

func (o *office) certificate(id string) rotate.Certificate {
	o.t.Helper()
	text, err := o.erasures.Certificate(o.t.Context(), o.root, id)
	o.must(err)
	cert, err := rotate.VerifyCertificate(text, o.keys())
	o.must(err)
	if _, err := rotate.VerifyCertificate(bytes.Replace(text, []byte(`"records": `), []byte(`"records": 1`), 1), o.keys()); err == nil {
		o.t.Error("a certificate that was changed is verified")
	}
	return cert
}

func (o *office) backup() []byte {
	o.t.Helper()
	var file bytes.Buffer
	info, err := o.Backup(o.t.Context(), o.root, &file, store.BackupOptions{})
	o.must(err)
	_, err = o.ConfirmBackup(o.t.Context(), o.root, info.Sequence, info.SHA256)
	o.must(err)
	return file.Bytes()
}

func TestErasureByLabelToE1(t *testing.T) {
	o := newOffice(t)
	for _, id := range []string{"a", "b", "c"} {
		o.create("acme", "customers", id, "x")
		o.create("acme", "orders", id, "x")
		o.create("globex", "customers", id, "x")
	}
	o.create("acme", "customers", "d", "y")
	e := o.until(o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}}).ID, done)
	if e.State != rotate.LevelLive || e.Records != 6 || e.E1At == nil || e.E2At != nil {
		t.Errorf("the erasure: %+v", e)
	}
	if o.has("acme", "customers", "a") || o.has("acme", "orders", "c") || !o.has("acme", "customers", "d") || !o.has("globex", "customers", "a") {
		t.Error("not what was named is gone, or not all of it")
	}
	cert := o.certificate(e.ID)
	if cert.Records != 6 || !strings.Contains(cert.Proof, "no key was destroyed") || len(cert.NotCovered) < 5 || cert.Level != rotate.LevelLive {
		t.Errorf("the certificate: %+v", cert)
	}
	n := uint64(0)
	o.must(o.Deps.Ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error { n += uint64(len(e.Records)); return nil }))
	if n != 6 {
		t.Errorf("the ledger tells of %d records", n)
	}
}

func TestErasureOfOneRecordToE2(t *testing.T) {
	o := newOffice(t)
	o.create("acme", "customers", "a", "x")
	e := o.until(o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Collection: "customers", Record: "a"}, Level: rotate.LevelFile}).ID, done)
	if e.State != rotate.LevelFile || e.Records != 1 || o.compacts != 1 || o.has("acme", "customers", "a") {
		t.Errorf("after %d compactions: %+v", o.compacts, e)
	}
}

// TestErasureToE3 erases what lies in an old backup too: first the keys wait for
// a backup that does without them, then the old one opens nothing any more.
func TestErasureToE3(t *testing.T) {
	o := newOffice(t)
	for _, id := range []string{"a", "b"} {
		o.create("acme", "customers", id, "x")
	}
	o.create("acme", "customers", "kept", "y")
	old := o.backup()
	first := o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}, Level: rotate.LevelKeys})
	second := o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Collection: "customers", Record: "a"}, Level: rotate.LevelFile})
	o.until(first.ID, func(e rotate.Erasure) bool { return strings.Contains(e.Detail, "backup") })
	o.backup()
	e := o.until(first.ID, done)
	o.until(second.ID, done)
	if e.State != rotate.LevelKeys || e.Rotation == "" || !o.has("acme", "customers", "kept") {
		t.Errorf("the erasure: %+v", e)
	}
	cert := o.certificate(e.ID)
	if cert.Proof != rotate.Unproven && !strings.HasPrefix(cert.Proof, "proven") || len(cert.Destroyed) != 1 || len(cert.Destroyed[0].Keys) != 2 || cert.Destroyed[0].Below < 2 {
		t.Errorf("the certificate: %+v", cert)
	}
	d := o.Deps
	d.Engine = bolttest.Open(t)
	_, err := store.Restore(t.Context(), d, bytes.NewReader(old), nil, store.RestoreOptions{})
	if !errors.Is(err, store.ErrRollback) {
		t.Errorf("the old backup: %v", err)
	}
	d.Engine = bolttest.Open(t)
	_, err = store.Restore(t.Context(), d, bytes.NewReader(old), nil, store.RestoreOptions{AcceptRollback: "to see what is in it"})
	o.must(err)
	s, err := store.Open(t.Context(), d)
	o.must(err)
	defer s.Close()
	told, err := s.Keyless(t.Context())
	o.must(err)
	if len(told) != 1 || told[0].Integration != "acme" || !strings.Contains(told[0].Reason, "were trimmed at") {
		t.Errorf("what cannot be opened: %+v", told)
	}
}

func TestErasureOfAnIntegration(t *testing.T) {
	o := newOffice(t)
	o.create("acme", "customers", "a", "x")
	e := o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme"}, Level: rotate.LevelKeys})
	o.until(e.ID, func(e rotate.Erasure) bool { return e.Detail != "" })
	_, err := o.Sweep(t.Context())
	o.must(err)
	e = o.until(e.ID, done)
	if _, err := o.GetIntegration(t.Context(), o.root, "acme"); !errors.Is(err, store.ErrNotFound) || e.State != rotate.LevelKeys {
		t.Errorf("%+v, %v", e, err)
	}
	if cert := o.certificate(e.ID); len(cert.Destroyed) != 1 {
		t.Errorf("the certificate: %+v", cert)
	}
}

// Erasures go on after a restart, wherever it came.
func TestErasureOutlivesAProcess(t *testing.T) {
	o := newOffice(t)
	o.create("acme", "customers", "a", "x")
	o.stop()
	e := o.erase(rotate.ErasureRequest{EraseTarget: store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}, Level: rotate.LevelKeys})
	o.Reopen()
	o.start()
	o.until(e.ID, func(e rotate.Erasure) bool { return e.Rotation != "" })
	o.stop()
	o.Reopen()
	o.start()
	o.until(e.ID, func(e rotate.Erasure) bool { return strings.Contains(e.Detail, "backup") })
	o.backup()
	o.until(e.ID, done)
}

func TestWhoMayErase(t *testing.T) {
	o := newOffice(t)
	o.create("acme", "customers", "a", "x")
	role := func(name, raw string) *access.Role {
		r, err := access.ParseRole([]byte(raw))
		o.must(err)
		return r
	}
	roles := map[string]*access.Role{
		"one":   role("one", `{"rules":[{"integrations":["acme"],"collections":["customers"],"actions":["erase"]}]}`),
		"all":   role("all", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["erase"]}]}`),
		"some":  role("some", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["erase"],"when":"record.labels.subject == 'x'"}]}`),
		"reads": role("reads", `{"rules":[{"integrations":["acme"],"collections":["*"],"actions":["read"]}]}`),
	}
	as := func(names ...string) store.Caller {
		return &access.Principal{Client: "officer", ClientUID: uid.New(), Policy: access.NewPolicy(roles, names, false)}
	}
	byLabel := store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "nobody"}}
	one := store.EraseTarget{Integration: "acme", Collection: "customers", Labels: map[string]string{"subject": "nobody"}}
	for _, c := range []struct {
		what   string
		who    store.Caller
		target store.EraseTarget
		level  rotate.Level
		ok     bool
	}{
		{"erase on the collection", as("one"), one, rotate.LevelFile, true},
		{"erase on one of two collections", as("one"), byLabel, rotate.LevelLive, false},
		{"erase on all collections", as("all"), byLabel, rotate.LevelLive, true},
		{"erase where a rule depends on the record", as("some"), byLabel, rotate.LevelLive, false},
		{"no erase", as("reads"), one, rotate.LevelLive, false},
		{"keys without the right to operate them", as("all"), byLabel, rotate.LevelKeys, false},
		{"keys with it", as("all", access.RoleOperator), byLabel, rotate.LevelKeys, true},
		{"the integration by erase alone", as("all"), store.EraseTarget{Integration: "acme"}, rotate.LevelLive, false},
	} {
		made, err := o.erasures.Create(t.Context(), c.who, rotate.ErasureRequest{EraseTarget: c.target, Level: c.level})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: %v", c.what, err)
		}
		if err != nil {
			continue
		}
		if _, err := o.erasures.Get(t.Context(), c.who, made.ID); err != nil {
			t.Errorf("%s: who asked for it cannot look: %v", c.what, err)
		}
		if _, err := o.erasures.Get(t.Context(), as("reads"), made.ID); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: anybody can look: %v", c.what, err)
		}
	}
	if !o.has("acme", "customers", "a") {
		t.Error("what nobody named is gone")
	}
}
