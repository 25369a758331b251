package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"strongroom/envelope"
	"strongroom/internal/audit"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// A restore writes in transactions of about this much.
const (
	restoreBytes   = 4 << 20
	restoreEntries = 8192
)

// Restore reads a backup into the empty engine of d. Of d it needs the engine
// and the keys; an audit log, when there is one, is told. A store that is there
// is ErrExists and is left alone.
//
// Nothing is written before the keys of the backup were had. What makes the
// file a store is written last, after the whole backup was read and its MAC
// fits: a restore that was interrupted or refused leaves a file that no Open
// takes for a store, and that no second Restore goes on with. It has to be
// deleted.
//
// With a ledger of erasures, a backup that it shows to be behind is an
// ErrRollback unless the options accept that; Open then erases and revokes again
// what was erased and revoked since.
func Restore(ctx context.Context, d Deps, r io.Reader, identities []age.Identity, o RestoreOptions) (BackupInfo, error) {
	s := bare(d)
	if err := s.engine.View(ctx, refuseOccupied); err != nil {
		return BackupInfo{}, engineError(err)
	}
	b, err := openBackup(r, identities)
	if err != nil {
		return BackupInfo{}, err
	}
	if b.oldest > storeFormat {
		return BackupInfo{}, fmt.Errorf("the backup is of a store that needs a program that reads format %d; this one reads up to %d", b.oldest, storeFormat)
	}
	domains := envelope.NewDomains(b.store, d.Keys, fixedKeysets(b.keysets), envelope.Options{Deadline: fsckDeadline})
	defer domains.Close()
	s.id = b.store
	if s.ledger != nil {
		if err := s.verifyLedger(ctx); err != nil {
			return BackupInfo{}, fmt.Errorf("nothing was restored: %w", err)
		}
	}
	system, err := domains.System(ctx)
	if err != nil {
		why := s.keysGone(uid.Zero)
		if why != "" {
			why = ": " + why
		}
		return BackupInfo{}, fmt.Errorf("nothing was restored: the keys of this backup cannot be had from %s%s: %w", d.Keys.Name(), why, keyError(err))
	}
	l := &load{s: s, b: b}
	if err := l.run(ctx, system, o); err != nil {
		return BackupInfo{}, fmt.Errorf("the restore did not finish; what it wrote is no store and has to be deleted: %w", err)
	}
	s.auditRestore(b)
	return b.info(), nil
}

// refuseOccupied refuses an engine that holds anything.
func refuseOccupied(tx kv.ReadTx) error {
	if err := refuseExisting(tx); err != nil {
		return err
	}
	for _, t := range kv.Tables() {
		occupied := false
		tx.Scan(t, nil, nil, func(_, _ []byte) bool { occupied = true; return false })
		if occupied {
			return fmt.Errorf("%w: an interrupted restore left this file; delete it and restore again", ErrConflict)
		}
	}
	return nil
}

// load writes the entries of a backup, in transactions of a bounded size.
type load struct {
	s      *Store
	b      *backupReader
	batch  []kv.Entry
	size   int
	marker []byte // what makes the file a store; written last

	forgetMark bool // the ledger is not the one that the backup knows, and that was accepted
}

func (l *load) run(ctx context.Context, system *envelope.System, o RestoreOptions) error {
	for {
		e, err := l.b.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = l.add(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	if err := l.authentic(system); err != nil {
		return err
	}
	if err := l.checkLedger(ctx, system, o); err != nil {
		return err
	}
	return engineError(l.s.engine.Update(ctx, kv.Bulk, len(l.marker)+64, l.finish))
}

func (l *load) add(ctx context.Context, e kv.Entry) error {
	if e.Table == kv.Meta && bytes.Equal(e.Key, metaFormat) {
		l.marker = bytes.Clone(e.Value)
		return nil
	}
	e.Key, e.Value = bytes.Clone(e.Key), append([]byte{}, e.Value...)
	l.batch = append(l.batch, e)
	l.size += len(e.Key) + len(e.Value) + 32
	if l.size < restoreBytes && len(l.batch) < restoreEntries {
		return nil
	}
	return l.flush(ctx)
}

func (l *load) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	err := l.s.engine.Update(ctx, kv.Bulk, l.size, func(tx kv.Tx) error {
		for _, e := range l.batch {
			if e.Deleted {
				tx.Delete(e.Table, e.Key)
			} else {
				tx.Put(e.Table, e.Key, e.Value)
			}
		}
		return nil
	})
	l.batch, l.size = nil, 0
	return engineError(err)
}

// authentic refuses a backup that was not made by whoever has the keys.
func (l *load) authentic(system *envelope.System) error {
	want, err := system.MAC(backupMAC, l.b.digest[:])
	if err != nil {
		return keyError(err)
	}
	if !hmac.Equal(want[:], l.b.mac[:]) {
		return badBackup("it was changed, or made by somebody without the keys", nil)
	}
	return nil
}

// finish makes the file a store, when it is that of the header.
func (l *load) finish(tx kv.Tx) error {
	if l.marker == nil || !bytes.Equal(tx.Get(kv.Meta, metaStore), l.b.store[:]) {
		return badBackup("it holds no store, or another one than it says", nil)
	}
	if l.forgetMark {
		dropControl(tx, controlKey(kindLedger, markID))
	}
	tx.Put(kv.Meta, metaFormat, l.marker)
	return nil
}

func (s *Store) auditRestore(b *backupReader) {
	if s.audit == nil {
		return
	}
	e := audit.Entry{
		Phase: audit.Event, Time: s.now(), Event: "restored", Target: "store/" + uid.UID(b.store).String(), Count: b.entries,
		Detail: fmt.Sprintf("from the backup of %s, up to commit %d", b.created.Format(time.RFC3339), b.sequence),
	}
	if err := s.audit.Write(&e); err != nil {
		s.logger.Error("the audit log cannot be written", "error", err)
	}
}
