package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"

	"strongroom/internal/access"
	"strongroom/store"
	"strongroom/store/bolt/bolttest"
	"strongroom/store/storetest"
)

// backedUp returns a backup of the store, and what was said of it.
func backedUp(t testing.TB, r *rich, o store.BackupOptions) ([]byte, store.BackupInfo) {
	t.Helper()
	var file bytes.Buffer
	info, err := r.Backup(always, anyone(), &file, o)
	need(t, err)
	return file.Bytes(), info
}

// restored reads a backup into a new engine in memory.
func (r *rich) restored(file []byte, identities ...age.Identity) (*memory, store.BackupInfo, error) {
	d := r.deps
	engine := newMemory()
	d.Engine = engine
	info, err := store.Restore(always, d, bytes.NewReader(file), identities, store.RestoreOptions{})
	return engine, info, err
}

func TestBackupRoundTrip(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, info := backedUp(t, r, store.BackupOptions{})
	if want := fmt.Sprintf("%x", sha256.Sum256(file)); info.SHA256 != want || info.Bytes != uint64(len(file)) {
		t.Errorf("the backup has %d bytes and SHA-256 %s, and %d and %s were told", len(file), want, info.Bytes, info.SHA256)
	}
	if info.Entries != uint64(len(r.engine.entries())) || info.StoreUID != r.UID() || info.Sequence == 0 {
		t.Errorf("told of the backup: %+v", info)
	}
	read, err := store.VerifyBackup(iotest.OneByteReader(bytes.NewReader(file)))
	need(t, err)
	engine, back, err := r.restored(file)
	need(t, err)
	if !reflect.DeepEqual(read, info) || !reflect.DeepEqual(back, info) {
		t.Errorf("written %+v, verified %+v, restored %+v", info, read, back)
	}
	if !same(engine, r.engine) {
		t.Error("what was restored is not what was backed up")
	}
	noDamage(t, r.check(t, engine))
}

// TestBackupFlips changes every byte of a backup: none is restored.
func TestBackupFlips(t *testing.T) {
	r := empty(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	for i := range file {
		broken := bytes.Clone(file)
		broken[i] ^= 1 << (i % 8)
		if _, err := store.VerifyBackup(bytes.NewReader(broken)); i < len(file)-sha256.Size && !errors.Is(err, store.ErrBackupDamaged) {
			t.Errorf("byte %d of %d: verified, and got %v", i, len(file), err)
		}
		engine, _, err := r.restored(broken)
		if err == nil {
			t.Errorf("byte %d of %d: it was restored", i, len(file))
		}
		noStore(t, r, engine)
	}
}

func TestBackupFlipsSampled(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	for i := 0; i < len(file); i += 97 {
		broken := bytes.Clone(file)
		broken[i] ^= 0x80
		if engine, _, err := r.restored(broken); err == nil {
			t.Errorf("byte %d of %d: it was restored", i, len(file))
		} else {
			noStore(t, r, engine)
		}
	}
}

// noStore proves that what a refused restore left is no store.
func noStore(t *testing.T, r *rich, engine *memory) {
	t.Helper()
	d := r.deps
	d.Engine = engine
	if s, err := store.Open(always, d); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what a refused restore left was opened: %v", err)
		s.Close()
	}
}

func TestBackupCut(t *testing.T) {
	r := empty(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	for n := range file {
		if _, err := store.VerifyBackup(bytes.NewReader(file[:n])); !errors.Is(err, store.ErrBackupDamaged) {
			t.Errorf("%d of %d bytes: %v", n, len(file), err)
		}
		if _, _, err := r.restored(file[:n]); err == nil {
			t.Errorf("%d of %d bytes: it was restored", n, len(file))
		}
	}
	if _, err := store.VerifyBackup(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.Is(err, store.ErrBackupDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestBackupForged makes a backup anew as somebody would who knows the layout
// and not the keys: it is whole, and refused.
func TestBackupForged(t *testing.T) {
	r := empty(t)
	r.fill(t)
	file, _ := backedUp(t, r, store.BackupOptions{})
	forged := bytes.Replace(file, []byte("region\x00eu"), []byte("region\x00us"), 1)
	end := len(forged) - 2*sha256.Size
	sum := sha256.Sum256(forged[:end])
	copy(forged[end:], sum[:])
	if _, err := store.VerifyBackup(bytes.NewReader(forged)); err != nil {
		t.Errorf("without keys nobody can tell: %v", err)
	}
	engine, _, err := r.restored(forged)
	if !errors.Is(err, store.ErrBackupDamaged) {
		t.Errorf("restored, and got %v", err)
	}
	noStore(t, r, engine)
	d := r.deps
	d.Engine = engine
	if _, err := store.Restore(always, d, bytes.NewReader(file), nil, store.RestoreOptions{}); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("restored over what a refused restore left: %v", err)
	}
}

func TestBackupSealed(t *testing.T) {
	r := empty(t)
	r.fill(t)
	identity, err := age.GenerateX25519Identity()
	need(t, err)
	other, err := age.GenerateX25519Identity()
	need(t, err)
	file, info := backedUp(t, r, store.BackupOptions{Recipient: identity.Recipient().String()})
	if bytes.Contains(file, []byte("rec-0")) || bytes.Contains(file, []byte("owner")) {
		t.Error("an id or a label can be read in it")
	}
	read, err := store.VerifyBackup(bytes.NewReader(file), other, identity)
	need(t, err)
	if !reflect.DeepEqual(read, info) {
		t.Errorf("written %+v, verified %+v", info, read)
	}
	engine, _, err := r.restored(file, identity)
	need(t, err)
	noDamage(t, r.check(t, engine))
	for _, identities := range [][]age.Identity{nil, {other}} {
		if _, _, err := r.restored(file, identities...); err == nil || errors.Is(err, store.ErrBackupDamaged) || !strings.Contains(err.Error(), "age") {
			t.Errorf("with %d identities that are not the recipient's: %v", len(identities), err)
		}
	}
	for _, n := range []int{20, 200, len(file) / 2, len(file) - 1} {
		if _, err := store.VerifyBackup(bytes.NewReader(file[:n]), identity); !errors.Is(err, store.ErrBackupDamaged) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
	var bad *store.Invalid
	_, err = r.Backup(always, anyone(), io.Discard, store.BackupOptions{Recipient: "age1nobody"})
	if !errors.As(err, &bad) || bad.Issues[0].Pointer != "/recipient" {
		t.Errorf("a recipient that is none: %v", err)
	}
}

func TestBackupIsForOperators(t *testing.T) {
	r := empty(t)
	c := anyone()
	c.Policy = access.NewPolicy(nil, []string{"auditor"}, false)
	var file bytes.Buffer
	if _, err := r.Backup(always, c, &file, store.BackupOptions{}); !errors.Is(err, store.ErrForbidden) || file.Len() != 0 {
		t.Errorf("an auditor got %d bytes of a backup, and %v", file.Len(), err)
	}
	c.Policy = access.NewPolicy(nil, []string{"operator"}, false)
	_, err := r.Backup(always, c, &file, store.BackupOptions{})
	need(t, err)
	need(t, r.deps.Audit.Close())
	file.Reset()
	if _, err := r.Backup(always, c, &file, store.BackupOptions{}); !errors.Is(err, store.ErrAuditUnavailable) || file.Len() != 0 {
		t.Errorf("without an audit log %d bytes left, and %v", file.Len(), err)
	}
}

func TestBackupToABrokenDisk(t *testing.T) {
	r := empty(t)
	r.fill(t)
	full := errors.New("the disk is full")
	if _, err := r.Backup(always, anyone(), failing{full}, store.BackupOptions{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

var errStopped = errors.New("the machine stopped")

// TestBackupUnderWrites backs up a store on a disk while it is written to: what
// was acknowledged before it began is there, and all of it fits together.
func TestBackupUnderWrites(t *testing.T) {
	f := storetest.Open(t)
	c, coll := f.Root(), in("acme", "customers")
	_, _, err := f.PutIntegration(always, c, "acme", store.IntegrationSpec{}, store.Precondition{})
	need(t, err)
	_, _, err = f.PutCollection(always, c, coll, store.CollectionSpec{Schema: []byte(shoppers), UndeleteFor: "1h"}, store.Precondition{})
	need(t, err)
	var before []string
	for i := range 50 {
		before = append(before, newShopper(t, f, fmt.Sprint("before-", i)))
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	var written atomic.Int64
	for w := range 4 {
		writers.Go(func() { disturb(f, coll, w, before, stop, &written) })
	}
	var file bytes.Buffer
	out := slow{&file, &written}
	out.await()
	info, err := f.Backup(always, c, out, store.BackupOptions{})
	need(t, err)
	clean := fsckUnderWrites(t, f)
	close(stop)
	writers.Wait()
	noDamage(t, clean)

	d := f.Deps
	d.Engine = bolttest.Open(t)
	_, err = store.Restore(always, d, bytes.NewReader(file.Bytes()), nil, store.RestoreOptions{})
	need(t, err)
	s, err := store.Open(always, d)
	need(t, err)
	defer s.Close()
	report, err := s.Fsck(always, store.FsckOptions{Deep: true})
	need(t, err)
	noDamage(t, report.Damages)
	for _, id := range before {
		if _, err := s.GetRecord(always, c, store.RecordRef{CollectionRef: coll, Record: id}, store.ReadOptions{}); err != nil {
			t.Errorf("record %s was there before the backup began: %v", id, err)
		}
	}
	if report.Records <= uint64(len(before)) || info.Sequence <= uint64(len(before)) {
		t.Errorf("no write came in between: %d records, commit %d", report.Records, info.Sequence)
	}
}

// slow lets the writers come in between.
type slow struct {
	w       io.Writer
	written *atomic.Int64
}

func (s slow) Write(p []byte) (int, error) {
	s.await()
	return s.w.Write(p)
}

// await waits until every writer has had a turn, near enough.
func (s slow) await() {
	for from := s.written.Load(); s.written.Load() < from+4; {
		time.Sleep(time.Millisecond)
	}
}

func fsckUnderWrites(t *testing.T, f *storetest.Fixture) []store.Damage {
	report, err := f.Fsck(always, store.FsckOptions{Deep: true})
	need(t, err)
	return report.Damages
}

func newShopper(t testing.TB, s interface {
	CreateRecord(context.Context, store.Caller, store.CollectionRef, store.RecordInput, store.WriteOptions) (store.WriteResult, error)
}, name string) string {
	t.Helper()
	fields := fmt.Appendf(nil, `{"email":"%s@b.c","external_id":"%s","customer":{"phone":"1"}}`, name, name)
	res, err := s.CreateRecord(always, anyone(), in("acme", "customers"), store.RecordInput{ID: name, Fields: fields, Labels: map[string]string{"owner": name}, SetLabels: true}, store.WriteOptions{})
	need(t, err)
	return res.ID
}

// disturb makes, changes, deletes and expunges records, and changes those that
// were there, until stop.
func disturb(f *storetest.Fixture, coll store.CollectionRef, w int, before []string, stop chan struct{}, written *atomic.Int64) {
	c := f.Root()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		ref := store.RecordRef{CollectionRef: coll, Record: fmt.Sprintf("new-%d-%d", w, i)}
		fields := fmt.Appendf(nil, `{"email":"%d@b.c","external_id":"%s"}`, i, ref.Record)
		f.CreateRecord(always, c, coll, store.RecordInput{ID: ref.Record, Fields: fields, Labels: map[string]string{"n": fmt.Sprint(i)}, SetLabels: true}, store.WriteOptions{})
		old := store.RecordRef{CollectionRef: coll, Record: before[i%len(before)]}
		f.PatchRecord(always, c, old, store.RecordInput{Fields: fmt.Appendf(nil, `{"email":"%d-%d@b.c"}`, w, i)}, store.WriteOptions{})
		switch i % 3 {
		case 0:
			f.DeleteRecord(always, c, ref, store.WriteOptions{})
		case 1:
			f.ExpungeRecord(always, c, ref)
		}
		written.Add(1)
	}
}

func FuzzVerifyBackup(f *testing.F) {
	r := empty(f)
	file, _ := backedUp(f, r, store.BackupOptions{})
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("age-encryption.org/v1\n-> X25519"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := store.VerifyBackup(bytes.NewReader(data)); err == nil && !bytes.Equal(data[:len(data)-sha256.Size], file[:len(file)-sha256.Size]) {
			sum := sha256.Sum256(data[:len(data)-2*sha256.Size])
			if !bytes.Equal(sum[:], data[len(data)-2*sha256.Size:len(data)-sha256.Size]) {
				t.Error("a backup without its SHA-256 was taken")
			}
		}
	})
}
