package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/store"
	"strongroom/store/bolt"
	"strongroom/store/storetest"
)

// smallDisk mounts a file system of size bytes. It needs root; only CI insists.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small file system: %v", err)
		}
		t.Skipf("mounting a small file system is not permitted here (%v); CI plays the full disk", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// occupy takes room on a disk, and gives it back when called.
func occupy(t *testing.T, dir string, size int) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	need(t, os.WriteFile(path, make([]byte, size), 0o600))
	return func() { need(t, os.Remove(path)) }
}

// TestTheDataDiskIsFull writes records until the disk is full, and on. What is
// refused is not there, what was stored is, and is read; once there is room
// again writes go on.
func TestTheDataDiskIsFull(t *testing.T) {
	dir := smallDisk(t, 12<<20)
	free := occupy(t, dir, 6<<20)
	engine, err := bolt.Create(filepath.Join(dir, "store.db"), bolt.Options{})
	need(t, err)
	t.Cleanup(func() { need(t, engine.Close()) })
	w := newWorld(t, storetest.Options{Engine: engine})
	f := filler{w: w, want: store.ErrNotPersisted, stored: map[string]bool{}}
	f.fill()
	f.check()
	_, _, err = w.PutCollection(always, w.root, hiding, bigSchema(), store.Precondition{})
	wantErr(t, err, store.ErrNotPersisted)
	_, err = w.GetCollection(always, w.root, hiding)
	wantErr(t, err, store.ErrNotFound)
	f.check()
	free()
	f.resume()
	w.collection(hiding, bigSchema())
	w.Reopen()
	f.check()
	sound(t, w.Store)
}

// bigSchema is a definition that needs pages of its own.
func bigSchema() store.CollectionSpec {
	return store.CollectionSpec{Schema: fmt.Appendf(nil, `{"type":"object","description":%q,"properties":{"a":{"type":"string"}}}`, strings.Repeat("a", 200_000))}
}

// TestTheAuditDiskIsFull fills the disk of the audit log: what cannot be
// audited is not done, reads neither, until there is room again.
func TestTheAuditDiskIsFull(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	free := occupy(t, dir, 900<<10)
	w := newWorld(t, storetest.Options{AuditDir: dir})
	f := filler{w: w, want: store.ErrAuditUnavailable, stored: map[string]bool{}}
	f.fill()
	for id, stored := range f.stored {
		_, err := w.GetRecord(always, w.root, store.RecordRef{CollectionRef: customers, Record: id}, store.ReadOptions{})
		if stored {
			wantErr(t, err, store.ErrAuditUnavailable)
		}
	}
	free()
	f.resume()
	f.check()
	w.Reopen()
	f.check()
}

// filler writes records and remembers what it was told of each.
type filler struct {
	w      *world
	n      int
	want   error // of a write that is refused
	stored map[string]bool
}

func (f *filler) write() error {
	f.n++
	in := input(fmt.Sprintf(`{"email":"%d@b.c","external_id":"%d","card":"%s"}`, f.n, f.n, strings.Repeat("4", 20_000)))
	in.ID = fmt.Sprint("rec-", f.n)
	_, err := f.w.CreateRecord(always, f.w.root, customers, in, store.WriteOptions{})
	f.stored[in.ID] = err == nil
	return err
}

// fill writes until the disk has refused twenty times.
func (f *filler) fill() {
	f.w.t.Helper()
	for refused := 0; refused < 20; {
		if err := f.write(); err != nil {
			wantErr(f.w.t, err, f.want)
			wantErr(f.w.t, err, unix.ENOSPC)
			refused++
		}
	}
}

// check reads every record: it is there when the writer was told so.
func (f *filler) check() {
	f.w.t.Helper()
	n := 0
	for id, stored := range f.stored {
		_, err := f.w.GetRecord(always, f.w.root, store.RecordRef{CollectionRef: customers, Record: id}, store.ReadOptions{})
		if stored {
			n++
			f.w.must(err)
		} else {
			wantErr(f.w.t, err, store.ErrNotFound)
		}
	}
	if n == 0 {
		f.w.t.Error("nothing was stored: the test has tested nothing")
	}
}

// resume writes once more.
func (f *filler) resume() {
	f.w.t.Helper()
	f.w.must(f.write())
}
