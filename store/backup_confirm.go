package store

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// backupVerified is the only id of its kind: the last backup that was read back.
const backupVerified = "verified"

// KnownBackup is a backup that the store remembers.
type KnownBackup struct {
	Sequence   uint64     `json:"sequence"`
	SHA256     string     `json:"sha256"`
	CreatedAt  time.Time  `json:"created_at"` // when it was begun: everything of before is in it
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// backupDoc is what is stored of a backup. KEKs has, for each key domain of it,
// the oldest version of the KEK that one of its keysets is under: from that
// version on, whatever is trimmed, the backup can be opened.
type backupDoc struct {
	KnownBackup
	KEKs    map[uid.UID]int `json:"keks"`
	version uint64
}

// noteBackup remembers a backup that was written, until the next one or the end
// of the process, so that it can be confirmed.
func (s *Store) noteBackup(op *operation, info BackupInfo, keks map[uid.UID]int) {
	known := KnownBackup{Sequence: info.Sequence, SHA256: info.SHA256, CreatedAt: info.CreatedAt}
	s.lastBackup.Store(&backupDoc{KnownBackup: known, KEKs: keks})
	op.notes = []ledger.Note{{Kind: ledger.BackupMade, Sequence: info.Sequence, SHA256: info.SHA256, Created: &known.CreatedAt}}
}

// ConfirmBackup says that the last backup lies where it is kept, and that what
// was read back from there has the SHA-256 that Backup returned. Keys that a
// backup needs are destroyed only when there is a later one that was confirmed.
func (s *Store) ConfirmBackup(ctx context.Context, c Caller, sequence uint64, sha256 string) (out KnownBackup, err error) {
	op := s.start(c, "confirm-backup", target{control: "backup"})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.OperateBackup); err != nil {
		return out, err
	}
	if raw, err := hex.DecodeString(sha256); err != nil || len(raw) != 32 {
		return out, invalid("/sha256", "want 64 hexadecimal digits")
	}
	last := s.lastBackup.Load()
	if last == nil || last.Sequence != sequence || last.SHA256 != sha256 {
		return out, &Conflict{"this is not the last backup that this server made, or not what it wrote: make another one"}
	}
	before, err := s.knownBackup(ctx)
	if err != nil {
		return out, err
	}
	if err := op.intent(); err != nil {
		return out, err
	}
	doc := *last
	doc.VerifiedAt = new(s.now().UTC())
	op.notes = []ledger.Note{{Kind: ledger.BackupVerified, Sequence: sequence, SHA256: sha256, Created: &last.CreatedAt}}
	return doc.KnownBackup, s.writeBackup(ctx, op, []controlWrite{{kind: kindBackup, id: backupVerified, replaces: before.version, doc: doc}})
}

func (s *Store) writeBackup(ctx context.Context, op *operation, writes []controlWrite) error {
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	err := s.updateSealed(ctx, kv.Interactive, writes, nil, func(tx kv.Tx) error {
		if err := standsBefore(tx, writes); err != nil {
			return err
		}
		if err := applyControl(tx, writes); err != nil {
			return err
		}
		op.put(tx, op.entry.Target)
		return nil
	})
	return engineError(err)
}

// knownBackup reads which backup was verified last; zero when none was.
func (s *Store) knownBackup(ctx context.Context) (known backupDoc, err error) {
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, final bool) error {
		value := tx.Get(kv.Control, controlKey(kindBackup, backupVerified))
		if value == nil {
			known = backupDoc{}
			return nil
		}
		doc, v, err := openControlValue[backupDoc](system, kindBackup, backupVerified, value)
		if errors.Is(err, envelope.ErrUnknownKey) && !final {
			return errUnknownKey
		}
		if err != nil {
			return keyError(err)
		}
		known = doc
		known.version = v
		return nil
	})
	return known, err
}

// VerifiedBackup returns the last backup that was confirmed; nil when none was.
func (s *Store) VerifiedBackup(ctx context.Context) (*KnownBackup, error) {
	known, err := s.knownBackup(ctx)
	if err != nil || known.version == 0 {
		return nil, err
	}
	return &known.KnownBackup, nil
}
