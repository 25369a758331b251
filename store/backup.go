package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// A backup is a stream of every entry of the store, of one moment.
//
// Layout, big-endian:
//
//	"strongroom-backup\n" | 01 | frame*
//	frame = u8 kind | u32 length of the rest | rest
//
// The frames, in this order:
//
//	1 header   16 store uid | u64 created, unix microseconds | u16 store format |
//	           u16 oldest reader | u8 tables (u8 len, name)*
//	2 keyset   u8 purpose | u32 generation | wrapped keyset        (one or more)
//	3 put      u8 table, as the header counts them | u16 len, key | value
//	4 delete   u8 table | key
//	5 end      u64 puts and deletes | u64 commit sequence number |
//	           32 SHA-256 of everything before it | 32 MAC of that
//
// Puts and deletes come in any order; a later one counts. Nothing follows the
// end. The keysets are those of the system domain: with them, and the key that
// wraps them, the MAC is computed ("backup" and the SHA-256), so that whoever
// has the keys notices a backup that was changed, and whoever has not cannot
// make one.
//
// Field values and the control plane are sealed in a backup as they are in the
// store. Names, ids, labels, times and sizes are not: a recipient seals all of
// it (age-encryption.org/v1 around the stream). Either way a backup is worth
// nothing without the keys, which have to be kept apart.
const (
	backupMagic  = "strongroom-backup\n\x01"
	frameHeader  = 1
	frameKeyset  = 2
	framePut     = 3
	frameDelete  = 4
	frameEnd     = 5
	maxFrame     = 64 << 20
	backupBuffer = 256 << 10
	backupMAC    = "backup"
)

// ErrBackupDamaged comes when a backup is not as it was written: it was cut
// off, damaged or changed, or is not a backup at all.
var ErrBackupDamaged = errors.New("this is not a whole and unchanged backup of Strongroom")

// Backup writes the whole store to w, as it is at one moment near the end of
// the call, while it goes on to serve. Nothing of what was written counts when
// it fails: the end is missing then. Bytes and SHA256 of the result are of what
// was written to w. A backup that runs next to another maintenance job is
// ErrBusy.
func (s *Store) Backup(ctx context.Context, c Caller, w io.Writer, o BackupOptions) (info BackupInfo, err error) {
	op := s.start(c, "backup", target{control: "backup"})
	op.entry.Detail = "not sealed for a recipient"
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.OperateBackup); err != nil {
		return info, err
	}
	recipient, err := parseRecipient(o.Recipient)
	if err != nil {
		return info, err
	}
	if recipient != nil {
		op.entry.Detail = "sealed for " + o.Recipient
	}
	b, err := s.newBackup(ctx)
	if err != nil {
		return info, err
	}
	if err := s.auditBackup(c, op.entry.Detail); err != nil {
		return info, err
	}
	info, err = b.run(ctx, w, recipient)
	op.entry.Count = info.Entries
	if err == nil {
		s.noteBackup(op, info, b.keks())
	}
	return info, err
}

// parseRecipient reads an age recipient; nil when there is none.
func parseRecipient(text string) (age.Recipient, error) {
	if text == "" {
		return nil, nil
	}
	r, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, invalid("/recipient", "want an age recipient, age1 and 58 more characters")
	}
	return r, nil
}

// auditBackup writes that a backup begins, before any of it leaves.
func (s *Store) auditBackup(c Caller, detail string) error {
	op := s.start(c, "backup", target{control: "backup"})
	op.entry.Detail = "begins; " + detail
	return op.end(nil)
}

// backup is a backup being written.
type backup struct {
	s        *Store
	from     kv.Snapshotter
	system   *envelope.System
	keysets  []envelope.WrappedKeyset
	versions map[string]int // keys of the Keysets table: versions of the KEK
	created  time.Time
	out      *bufio.Writer
	sum      hash.Hash // of what went into out
	entries  uint64
	sequence uint64
	scratch  []byte
}

// newBackup takes the system domain as it is, and the keysets that it was
// opened from: a newer one would give another MAC.
func (s *Store) newBackup(ctx context.Context) (*backup, error) {
	from, ok := s.engine.(kv.Snapshotter)
	if !ok {
		return nil, fmt.Errorf("%w: the engine of this store cannot be copied while it runs", ErrConflict)
	}
	system, err := s.domains.System(ctx)
	if err != nil {
		return nil, keyError(err)
	}
	b := &backup{s: s, from: from, system: system, created: s.now().UTC(), sum: sha256.New(), versions: map[string]int{}}
	all, err := s.Keysets(ctx, uid.Zero)
	if err != nil {
		return nil, err
	}
	sealing, mac := system.Generation()
	for _, k := range all {
		if k.Purpose == envelope.PurposeSystem && k.Generation <= sealing || k.Purpose == envelope.PurposeSystemMAC && k.Generation <= mac {
			b.keysets = append(b.keysets, k)
		}
	}
	return b, nil
}

// run writes the stream, through age when there is a recipient.
func (b *backup) run(ctx context.Context, w io.Writer, recipient age.Recipient) (BackupInfo, error) {
	outer := &measured{w: w, sum: sha256.New()}
	file := io.WriteCloser(outer)
	if recipient != nil {
		var err error
		if file, err = age.Encrypt(outer, recipient); err != nil {
			return BackupInfo{}, fmt.Errorf("seal the backup: %w", err)
		}
	}
	b.out = bufio.NewWriterSize(file, backupBuffer)
	if err := b.write(ctx); err != nil {
		return BackupInfo{}, err
	}
	if err := errors.Join(b.out.Flush(), file.Close()); err != nil {
		return BackupInfo{}, fmt.Errorf("write the backup: %w", err)
	}
	return BackupInfo{
		StoreUID: b.s.id, CreatedAt: fromMicros(micros(b.created)), Sequence: b.sequence, Entries: b.entries,
		Bytes: outer.n, SHA256: hex.EncodeToString(outer.sum.Sum(nil)),
	}, nil
}

func (b *backup) write(ctx context.Context) error {
	if err := b.put([]byte(backupMagic)); err != nil {
		return err
	}
	if err := b.frame(frameHeader, b.header()); err != nil {
		return err
	}
	for _, k := range b.keysets {
		head := binary.BigEndian.AppendUint32([]byte{byte(k.Purpose)}, k.Generation)
		if err := b.frame(frameKeyset, head, k.Blob); err != nil {
			return err
		}
	}
	if err := b.from.Snapshot(ctx, b.entry); err != nil {
		return snapshotError(err)
	}
	return b.end()
}

// snapshotError keeps apart what the engine and what the writer said.
func snapshotError(err error) error {
	if errors.Is(err, kv.ErrBusy) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return engineError(err)
}

func (b *backup) header() []byte {
	h := append([]byte(nil), b.s.id[:]...)
	h = binary.BigEndian.AppendUint64(h, micros(b.created))
	h = binary.BigEndian.AppendUint16(h, storeFormat)
	h = binary.BigEndian.AppendUint16(h, oldestReader)
	h = append(h, byte(len(kv.Tables())))
	for _, t := range kv.Tables() {
		h = append(h, byte(len(t.String())))
		h = append(h, t.String()...)
	}
	return h
}

// entry writes one entry of the snapshot.
func (b *backup) entry(e kv.Entry) error {
	b.entries++
	if e.Table == kv.Keysets {
		b.noteKeyset(e)
	}
	if e.Table == kv.Meta && string(e.Key) == string(metaSequence) && len(e.Value) == 8 {
		b.sequence = binary.BigEndian.Uint64(e.Value)
	}
	head := append(b.scratch[:0], byte(e.Table))
	if e.Deleted {
		b.scratch = head
		return b.frame(frameDelete, head, e.Key)
	}
	b.scratch = binary.BigEndian.AppendUint16(head, uint16(len(e.Key)))
	return b.frame(framePut, b.scratch, e.Key, e.Value)
}

func (b *backup) end() error {
	counts := binary.BigEndian.AppendUint64(nil, b.entries)
	counts = binary.BigEndian.AppendUint64(counts, b.sequence)
	if err := b.put(frameHead(frameEnd, len(counts)+2*sha256.Size), counts); err != nil {
		return err
	}
	digest := b.sum.Sum(nil)
	mac, err := b.system.MAC(backupMAC, digest)
	if err != nil {
		return keyError(err)
	}
	return b.put(digest, mac[:])
}

func (b *backup) frame(kind byte, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > maxFrame {
		return fmt.Errorf("write the backup: an entry of %d bytes is larger than a backup can hold", size)
	}
	if err := b.put(frameHead(kind, size)); err != nil {
		return err
	}
	return b.put(parts...)
}

func frameHead(kind byte, size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(size))
}

func (b *backup) put(parts ...[]byte) error {
	for _, p := range parts {
		b.sum.Write(p)
		if _, err := b.out.Write(p); err != nil {
			return fmt.Errorf("write the backup: %w", err)
		}
	}
	return nil
}

// measured counts and hashes what is written to w.
type measured struct {
	w   io.Writer
	sum hash.Hash
	n   uint64
}

func (m *measured) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.sum.Write(p[:n])
	m.n += uint64(n)
	return n, err
}

// Close leaves w open.
func (m *measured) Close() error { return nil }
