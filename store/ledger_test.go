package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/secret"
	"strongroom/store"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// kept is a store in memory with a ledger on a disk.
type kept struct {
	*rich
	dir    string
	ledger *ledger.Ledger
}

func newKept(t *testing.T) *kept {
	t.Helper()
	k := &kept{rich: empty(t), dir: t.TempDir()}
	k.start(t, k.engine)
	for _, name := range []string{"acme", "globex"} {
		_, _, err := k.PutIntegration(always, anyone(), name, store.IntegrationSpec{}, store.Precondition{})
		need(t, err)
		for _, coll := range []string{"customers", "cards"} {
			_, _, err = k.PutCollection(always, anyone(), in(name, coll), store.CollectionSpec{Schema: []byte(shoppers)}, store.Precondition{})
			need(t, err)
			k.fillCollection(t, in(name, coll))
		}
	}
	return k
}

// start opens the store on an engine, as after a restart.
func (k *kept) start(t *testing.T, engine *memory) {
	t.Helper()
	need(t, k.tryStart(t, engine))
}

func (k *kept) tryStart(t *testing.T, engine *memory) error {
	t.Helper()
	if k.ledger != nil {
		k.ledger.Close()
	}
	k.Close()
	l, err := ledger.Open(k.dir)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	k.ledger = l
	k.engine, k.deps.Engine, k.deps.Ledger = engine, engine, k.ledger
	s, err := store.Open(always, k.deps)
	if err != nil {
		return err
	}
	k.Store = s
	t.Cleanup(func() { s.Close() })
	return nil
}

func (k *kept) kinds(t *testing.T) (all []ledger.Kind) {
	t.Helper()
	need(t, k.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error { all = append(all, e.Kind); return nil }))
	return all
}

// doing lists everything that a restore could undo: what is done, and whether
// it is so still.
var doing = []struct {
	what   string
	do     func(t *testing.T, k *kept)
	undone func(t *testing.T, k *kept) bool
}{
	{"a record is expunged", func(t *testing.T, k *kept) {
		need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-0")))
	}, func(t *testing.T, k *kept) bool { return k.has(t, "acme", "customers", "rec-0") }},
	{"a record is deleted", func(t *testing.T, k *kept) {
		_, err := k.DeleteRecord(always, anyone(), ref("acme", "customers", "rec-2"), store.WriteOptions{})
		need(t, err)
	}, func(t *testing.T, k *kept) bool { return k.has(t, "acme", "customers", "rec-2") }},
	{"records with an erase_at are due", func(t *testing.T, k *kept) {
		k.now = k.now.Add(2 * time.Hour)
		_, err := k.Sweep(always)
		need(t, err)
		k.now = k.now.Add(-3 * time.Hour) // so that the sweep does not do it a second time
	}, func(t *testing.T, k *kept) bool { return k.has(t, "globex", "customers", "rec-2") }},
	{"a collection is deleted", func(t *testing.T, k *kept) {
		need(t, k.DeleteCollection(always, anyone(), in("acme", "cards")))
	}, func(t *testing.T, k *kept) bool { return k.has(t, "acme", "cards", "rec-0") }},
	{"an integration is destroyed", func(t *testing.T, k *kept) {
		_, err := k.DeleteIntegration(always, anyone(), "globex", true)
		need(t, err)
	}, func(t *testing.T, k *kept) bool {
		_, err := k.GetIntegration(always, anyone(), "globex")
		return err == nil
	}},
	{"a secret is deleted", func(t *testing.T, k *kept) {
		need(t, k.DeleteSecret(always, anyone(), "invoicing", k.secret.ID))
	}, func(t *testing.T, k *kept) bool { return k.knows(t, "invoicing", k.secret.Secret) }},
	{"a client is disabled", func(t *testing.T, k *kept) {
		_, _, err := k.PutClient(always, anyone(), "shipping", store.ClientSpec{Disabled: true}, store.Precondition{})
		need(t, err)
	}, func(t *testing.T, k *kept) bool {
		c, err := k.GetClient(always, anyone(), "shipping")
		return err == nil && !c.Disabled
	}},
	{"a client is deleted", func(t *testing.T, k *kept) {
		need(t, k.DeleteClient(always, anyone(), "billing"))
	}, func(t *testing.T, k *kept) bool {
		_, err := k.GetClient(always, anyone(), "billing")
		return err == nil
	}},
	{"a token is revoked", func(t *testing.T, k *kept) {
		v, token := k.token(t)
		need(t, k.RevokeToken(always, v, store.Attempt{}, token))
	}, func(t *testing.T, k *kept) bool {
		_, token := k.token(t)
		_, err := k.Principal(&token.TokenRef)
		return err == nil
	}},
}

func ref(integration, collection, record string) store.RecordRef {
	return store.RecordRef{CollectionRef: in(integration, collection), Record: record}
}

func (k *kept) has(t *testing.T, integration, collection, record string) bool {
	t.Helper()
	_, err := k.GetRecord(always, anyone(), ref(integration, collection, record), store.ReadOptions{})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read %s/%s/%s: %v", integration, collection, record, err)
	}
	return err == nil
}

func (k *kept) knows(t *testing.T, client string, value secret.Text) bool {
	t.Helper()
	_, err := k.VerifySecret(always, store.Attempt{Client: client}, value)
	return err == nil
}

// token is one of the client auditing.
func (k *kept) token(t *testing.T) (store.VerifiedClient, store.IssuedToken) {
	t.Helper()
	c, err := k.GetClient(always, anyone(), "auditing")
	need(t, err)
	secrets, err := k.ListSecrets(always, anyone(), "auditing")
	need(t, err)
	v := store.VerifiedClient{Client: c.Name, ClientUID: c.UID, SecretID: secrets[0].ID}
	return v, store.IssuedToken{TokenRef: store.TokenRef{Client: c.Name, ClientUID: c.UID, SecretID: secrets[0].ID, TokenID: "t9"}, Expires: k.now.Add(time.Hour)}
}

// fillClients makes the clients that doing works on.
func (k *kept) fillClients(t *testing.T) {
	t.Helper()
	for _, name := range []string{"invoicing", "shipping", "billing", "auditing"} {
		_, _, err := k.PutClient(always, anyone(), name, store.ClientSpec{}, store.Precondition{})
		need(t, err)
		made, err := k.CreateSecret(always, anyone(), name, 0, store.WriteOptions{})
		need(t, err)
		if name == "invoicing" {
			k.secret = made
		}
	}
}

// TestAnOldCopyIsPutRight puts the store's file back to what it was before
// everything that a restore could undo: when it opens, all of that is done
// again, once, and nothing else is lost.
func TestAnOldCopyIsPutRight(t *testing.T) {
	k := newKept(t)
	k.fillClients(t)
	old := k.engine.clone()
	for _, d := range doing {
		if !d.undone(t, k) {
			t.Fatalf("%s: it is so before", d.what)
		}
		d.do(t, k)
		if d.undone(t, k) {
			t.Fatalf("%s: it is not so", d.what)
		}
	}
	entries := len(k.kinds(t))
	k.start(t, old)
	for _, d := range doing {
		if d.undone(t, k) {
			t.Errorf("%s: an old copy undoes it", d.what)
		}
	}
	want := store.Reapplied{Records: 5, Collections: 1, Integrations: 1, Secrets: 1, Clients: 2, Tokens: 1}
	if diff := cmp.Diff(want, k.Reapplied()); diff != "" {
		t.Error(diff)
	}
	if _, err := k.GetCollection(always, anyone(), in("acme", "customers")); err != nil {
		t.Errorf("a collection that nobody deleted: %v", err)
	}
	if now := len(k.kinds(t)); now != entries {
		t.Errorf("%d entries became %d by doing them again", entries, now)
	}
	k.start(t, k.engine)
	if again := k.Reapplied(); again != (store.Reapplied{}) {
		t.Errorf("the second start does it once more: %v", again)
	}
	noDamage(t, k.check(t, k.engine))
}

// A record that was made anew under an erased id is not what was erased, and
// its revisions stay above those that were.
func TestANamesakeIsNotErasedAgain(t *testing.T) {
	k := newKept(t)
	who := ref("acme", "customers", "rec-0")
	old := k.engine.clone()
	need(t, k.ExpungeRecord(always, anyone(), who))
	make := func() uint64 {
		res, err := k.CreateRecord(always, anyone(), who.CollectionRef, store.RecordInput{ID: "rec-0", Fields: fieldsOf(who.CollectionRef, 0)}, store.WriteOptions{})
		need(t, err)
		return res.Revision
	}
	revision := make()
	later := k.engine.clone()
	k.start(t, later)
	if !k.has(t, "acme", "customers", "rec-0") || k.Reapplied() != (store.Reapplied{}) {
		t.Errorf("the namesake was erased: %v", k.Reapplied())
	}
	k.start(t, old)
	if k.has(t, "acme", "customers", "rec-0") {
		t.Error("the old copy brings the record back")
	}
	if again := make(); again < revision {
		t.Errorf("the namesake begins at revision %d, which was given to another before", again)
	}
}

// crashing is an engine whose process ends right after a commit: nothing that
// follows it reaches the ledger.
type crashing struct {
	kv.Engine
	ledger *ledger.Ledger // closed first, for what is deferred is run
	armed  bool
}

func (c *crashing) Update(ctx context.Context, class kv.Class, size int, fn func(kv.Tx) error) error {
	err := c.Engine.Update(ctx, class, size, fn)
	if c.armed && err == nil {
		c.ledger.Close()
		panic(crash{})
	}
	return err
}

type crash struct{}

// TestACrashBeforeTheLedger ends the process after the commit of everything
// that a restore could undo and before the ledger has it: the next start writes
// it down, and an old copy is put right.
func TestACrashBeforeTheLedger(t *testing.T) {
	for _, d := range doing {
		t.Run(strings.ReplaceAll(d.what, " ", "-"), func(t *testing.T) {
			k := newKept(t)
			k.fillClients(t)
			old := k.engine.clone()
			before := len(k.kinds(t))
			k.crashWithin(t, d.do)
			if now, _ := k.ledger.Head(); now != uint64(before) {
				t.Fatalf("%d entries were written before the crash", now-uint64(before))
			}
			k.start(t, k.engine)
			if len(k.kinds(t)) <= before && d.what != "an integration is destroyed" { // which takes two commits
				t.Errorf("the ledger does not get what it missed: %v", k.kinds(t))
			}
			_, err := k.Sweep(always) // an integration's keys are destroyed now
			need(t, err)
			k.start(t, old)
			if d.undone(t, k) {
				t.Error("an old copy undoes it")
			}
		})
	}
}

func (k *kept) crashWithin(t *testing.T, do func(*testing.T, *kept)) {
	t.Helper()
	sound := k.Store
	e := &crashing{Engine: k.engine, ledger: k.ledger}
	d := k.deps
	d.Engine = e
	s, err := store.Open(always, d)
	need(t, err)
	k.Store = s
	func() {
		defer func() {
			if _, ok := recover().(crash); !ok {
				t.Fatal("the process did not end")
			}
		}()
		e.armed = true
		do(t, k)
	}()
	k.Store = sound
}

func TestALedgerThatLacksEntriesIsRefused(t *testing.T) {
	k := newKept(t)
	need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-0")))
	first, err := os.ReadFile(filepath.Join(k.dir, ledger.FileName))
	need(t, err)
	need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-2")))
	_, err = k.Sweep(always) // which marks how far it is
	need(t, err)
	whole, err := os.ReadFile(filepath.Join(k.dir, ledger.FileName))
	need(t, err)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, content := range map[string][]byte{"cut": first, "gone": nil, "changed": flipped, "reordered": bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil)} {
		k.ledger.Close()
		need(t, os.WriteFile(filepath.Join(k.dir, ledger.FileName), content, 0o600))
		if err := k.tryStart(t, k.engine); !errors.Is(err, store.ErrLedger) && !errors.Is(err, ledger.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := newKept(t)
	other.ledger.Close()
	k.ledger.Close()
	k.dir = other.dir
	if err := k.tryStart(t, k.engine); !errors.Is(err, store.ErrLedger) || !strings.Contains(err.Error(), "is of store") {
		t.Errorf("that of another store: %v", err)
	}
	k.dir = t.TempDir()
	k.deps.RenewLedger = "the disk of the ledger is lost"
	k.start(t, k.engine)
	k.deps.RenewLedger = ""
	k.start(t, k.engine)
	if kinds := k.kinds(t); kinds[1] != ledger.Renewed {
		t.Errorf("the new ledger does not tell that it is one: %v", kinds)
	}
}

// TestARestoreIsHeldAgainstTheLedger restores a backup from before everything
// that a restore could undo.
func TestARestoreIsHeldAgainstTheLedger(t *testing.T) {
	k := newKept(t)
	k.fillClients(t)
	file, info := backedUp(t, k.rich, store.BackupOptions{})
	if _, _, err := k.restoredWith(t, file, ""); err != nil {
		t.Errorf("nothing happened since: %v", err)
	}
	k.now = k.now.Add(time.Minute)
	for _, d := range doing {
		d.do(t, k)
	}
	_, err := k.Sweep(always)
	need(t, err)
	_, _, err = k.restoredWith(t, file, "")
	if !errors.Is(err, store.ErrRollback) || !strings.Contains(err.Error(), "records that were erased") {
		t.Errorf("without a reason: %v", err)
	}
	engine, again, err := k.restoredWith(t, file, "the disk died")
	need(t, err)
	if again != info {
		t.Errorf("restored %+v, want %+v", again, info)
	}
	k.start(t, engine)
	for _, d := range doing {
		if d.undone(t, k) {
			t.Errorf("%s: the restore undoes it", d.what)
		}
	}
	last, reason := "", ""
	need(t, k.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if e.Kind == ledger.Restored {
			last, reason = string(e.Kind), e.Reason
		}
		return nil
	}))
	if last == "" || reason != "the disk died" {
		t.Errorf("the ledger tells of the restore: %q, %q", last, reason)
	}
	noDamage(t, k.check(t, k.engine))
}

func (k *kept) restoredWith(t *testing.T, file []byte, accept string) (*memory, store.BackupInfo, error) {
	t.Helper()
	d := k.deps
	engine := newMemory()
	d.Engine = engine
	info, err := store.Restore(always, d, bytes.NewReader(file), nil, store.RestoreOptions{AcceptRollback: accept})
	return engine, info, err
}

// A restore without the ledger that the backup knows cannot erase again what was
// erased since.
func TestARestoreWithoutItsLedger(t *testing.T) {
	k := newKept(t)
	need(t, k.ExpungeRecord(always, anyone(), ref("acme", "customers", "rec-0")))
	_, err := k.Sweep(always)
	need(t, err)
	file, _ := backedUp(t, k.rich, store.BackupOptions{})
	k.ledger.Close()
	k.dir = t.TempDir()
	fresh, err := ledger.Open(k.dir)
	need(t, err)
	k.deps.Ledger, k.ledger = fresh, fresh
	if _, _, err := k.restoredWith(t, file, ""); !errors.Is(err, store.ErrRollback) || !strings.Contains(err.Error(), "is not the one") {
		t.Errorf("without a reason: %v", err)
	}
	engine, _, err := k.restoredWith(t, file, "the other disk died too")
	need(t, err)
	k.start(t, engine)
	k.start(t, engine)
}

// TestAKeylessIntegrationIsTold destroys and trims keys after a backup.
func TestAKeylessIntegrationIsTold(t *testing.T) {
	k := newKept(t)
	globex, err := k.GetIntegration(always, anyone(), "globex")
	need(t, err)
	need(t, k.keys.Destroy(always, vaultkeys.IntegrationKey(k.UID(), globex.UID)))
	k.start(t, k.engine)
	told, err := k.Keyless(always)
	need(t, err)
	if len(told) != 1 || told[0].Integration != "globex" || told[0].Reason == "" {
		t.Errorf("told: %+v", told)
	}
}

func TestBackupsAreConfirmed(t *testing.T) {
	k := newKept(t)
	if known, err := k.VerifiedBackup(always); known != nil || err != nil {
		t.Errorf("none was made: %+v, %v", known, err)
	}
	_, info := backedUp(t, k.rich, store.BackupOptions{})
	for name, sum := range map[string]string{"another": strings.Repeat("0", 64), "no": "x"} {
		if _, err := k.ConfirmBackup(always, anyone(), info.Sequence, sum); err == nil {
			t.Errorf("%s hash was confirmed", name)
		}
	}
	_, err := k.ConfirmBackup(always, &access.Principal{Client: "nobody", Policy: access.NewPolicy(nil, nil, false)}, info.Sequence, info.SHA256)
	wantErr(t, err, store.ErrForbidden)
	_, err = k.ConfirmBackup(always, anyone(), info.Sequence, info.SHA256)
	need(t, err)
	k.start(t, k.engine)
	known, err := k.VerifiedBackup(always)
	need(t, err)
	if known.SHA256 != info.SHA256 || known.VerifiedAt == nil || !known.CreatedAt.Equal(info.CreatedAt) {
		t.Errorf("remembered: %+v", known)
	}
	kinds := k.kinds(t)
	if n := len(kinds); kinds[n-2] != ledger.BackupMade || kinds[n-1] != ledger.BackupVerified {
		t.Errorf("the ledger has %v", kinds)
	}
}
