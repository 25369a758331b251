package store_test

import (
	"io"
	"testing"
	"time"

	"strongroom/envelope/envelopetest"
	"strongroom/store"
	"strongroom/store/storetest"
	"strongroom/vaultkeys"
)

// TestABackupWithinARewrapDoesNotCount makes a backup while the key service
// wraps the keysets anew: it has those of before, which a trim makes useless.
func TestABackupWithinARewrapDoesNotCount(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	d := w.domain("acme")
	latest, err := w.RotateKEK(always, runner, d, 1)
	w.must(err)
	var within *store.BackupInfo
	w.Keys.OnCall(func(c envelopetest.Call, _ vaultkeys.KeyName) {
		if c != envelopetest.CallWrap || within != nil {
			return
		}
		if info, err := w.Backup(always, w.root, io.Discard, store.BackupOptions{}); err == nil {
			within = &info
		}
	})
	moved, err := w.RewrapKeysets(always, runner, d)
	w.Keys.OnCall(nil)
	w.must(err)
	if moved != 2 {
		t.Fatalf("%d keysets were moved", moved)
	}
	w.must(w.RetireKEK(always, runner, d, latest))
	if within == nil {
		t.Fatal("no backup could be made meanwhile")
	}
	w.must(second(w.ConfirmBackup(always, w.root, within.Sequence, within.SHA256)))
	wantErr(t, w.TrimKEK(always, runner, d, latest), store.ErrNoBackup)
	w.confirmed()
	w.must(w.TrimKEK(always, runner, d, latest))
}

// TestATrimAsksNoClock has a backup of before the rewrap count as later by the
// clock, and the one of after it as earlier: what they hold decides.
func TestATrimAsksNoClock(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	w.stock(3)
	for _, d := range []store.KeyDomain{w.domain("acme"), {}} {
		latest, err := w.RotateKEK(always, runner, d, 1)
		w.must(err)
		w.now = w.now.Add(48 * time.Hour)
		w.confirmed()
		w.now = w.now.Add(-24 * time.Hour)
		w.must(second(w.RewrapKeysets(always, runner, d)))
		w.must(w.RetireKEK(always, runner, d, latest))
		wantErr(t, w.TrimKEK(always, runner, d, latest), store.ErrNoBackup)
		w.now = w.now.Add(-12 * time.Hour)
		w.confirmed()
		w.must(w.TrimKEK(always, runner, d, latest))
		w.now = w.now.Add(24 * time.Hour)
	}
}

// confirmed makes a backup that counts as read back.
func (w *world) confirmed() {
	w.t.Helper()
	info, err := w.Backup(always, w.root, io.Discard, store.BackupOptions{})
	w.must(err)
	w.must(second(w.ConfirmBackup(always, w.root, info.Sequence, info.SHA256)))
}
