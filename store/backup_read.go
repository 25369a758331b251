package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// backupReader reads the layout of a backup.
type backupReader struct {
	outer *measuredReader
	file  *bufio.Reader // what outer gives
	in    *bufio.Reader // what age gives, or the file itself
	sum   hash.Hash     // of what came from in
	buf   bytes.Buffer

	store      uid.UID
	created    time.Time
	oldest     uint16
	tables     []kv.Table
	keysets    []envelope.WrappedKeyset
	first      *kv.Entry // read with the keysets, not yet handed out
	entries    uint64
	sequence   uint64
	digest     [sha256.Size]byte
	mac        [sha256.Size]byte
	keysetsEnd bool
}

const ageIntro = "age-encryption.org/v1\n"

// openBackup reads the beginning: up to the keysets.
func openBackup(r io.Reader, identities []age.Identity) (*backupReader, error) {
	b := &backupReader{outer: &measuredReader{r: r, sum: sha256.New()}, sum: sha256.New()}
	b.file = bufio.NewReaderSize(b.outer, backupBuffer)
	b.in = b.file
	if intro, _ := b.file.Peek(len(ageIntro)); string(intro) == ageIntro {
		if err := b.unseal(identities); err != nil {
			return nil, err
		}
	}
	if magic, err := b.take(len(backupMagic)); err != nil || string(magic) != backupMagic {
		return nil, badBackup("it does not begin as one", err)
	}
	kind, err := b.frame()
	if err != nil {
		return nil, err
	}
	if kind != frameHeader || !b.header() {
		return nil, badBackup("its header cannot be read", nil)
	}
	return b, b.preamble()
}

func (b *backupReader) unseal(identities []age.Identity) error {
	if len(identities) == 0 {
		return errors.New("this backup is sealed with age, and needs the identity of its recipient to be opened")
	}
	in, err := age.Decrypt(b.file, identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return errors.New("this backup is sealed with age, and none of the identities given opens it")
	}
	if err != nil {
		return badBackup("the seal around it does not open", err)
	}
	b.in = bufio.NewReaderSize(in, backupBuffer)
	return nil
}

// badBackup makes an ErrBackupDamaged that says what is wrong.
func badBackup(what string, cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: %s", ErrBackupDamaged, what)
	}
	if errors.Is(cause, io.EOF) || errors.Is(cause, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrBackupDamaged)
	}
	return fmt.Errorf("%w: %s: %w", ErrBackupDamaged, what, cause)
}

// take reads n bytes, which are valid until the next call.
func (b *backupReader) take(n int) ([]byte, error) {
	b.buf.Reset()
	if _, err := io.CopyN(&b.buf, b.in, int64(n)); err != nil {
		return nil, badBackup("it cannot be read", err)
	}
	b.sum.Write(b.buf.Bytes())
	return b.buf.Bytes(), nil
}

// frame reads a frame into buf and returns its kind. Of the last one it hashes
// what the SHA-256 covers.
func (b *backupReader) frame() (kind byte, err error) {
	head, err := b.take(5)
	if err != nil {
		return 0, err
	}
	r := reader{b: head}
	kind, size := r.u8(), r.u32()
	if size > maxFrame {
		return 0, badBackup("it has a frame that is too long", nil)
	}
	if kind == frameEnd {
		return kind, b.end(int(size))
	}
	_, err = b.take(int(size))
	return kind, err
}

func (b *backupReader) header() bool {
	r := reader{b: b.buf.Bytes()}
	copy(b.store[:], r.take(len(b.store)))
	b.created = r.time()
	r.u16()
	b.oldest = r.u16()
	b.tables = make([]kv.Table, r.u8())
	for i := range b.tables {
		name := string(r.take(int(r.u8())))
		b.tables[i] = tableNamed(name)
		if b.tables[i].String() != name {
			return false
		}
	}
	return r.done()
}

func tableNamed(name string) kv.Table {
	for _, t := range kv.Tables() {
		if t.String() == name {
			return t
		}
	}
	return kv.Meta
}

// preamble reads the keysets, and the first entry after them.
func (b *backupReader) preamble() error {
	e, err := b.next()
	if err == io.EOF {
		return badBackup("it holds nothing", nil)
	}
	b.first = &e
	return err
}

// next returns the next entry, whose slices are valid until the call after
// that; io.EOF once the end was read and fits.
func (b *backupReader) next() (kv.Entry, error) {
	if e := b.first; e != nil {
		b.first = nil
		return *e, nil
	}
	for {
		kind, err := b.frame()
		if err != nil {
			return kv.Entry{}, err
		}
		r := reader{b: b.buf.Bytes()}
		switch {
		case kind == frameEnd:
			return kv.Entry{}, io.EOF
		case kind == frameKeyset && !b.keysetsEnd:
			k := envelope.WrappedKeyset{Purpose: envelope.Purpose(r.u8()), Generation: r.u32(), Blob: bytes.Clone(r.b)}
			if r.bad {
				return kv.Entry{}, badBackup("it has a keyset that cannot be read", nil)
			}
			b.keysets = append(b.keysets, k)
		case kind == framePut || kind == frameDelete:
			b.keysetsEnd = true
			return b.entry(&r, kind)
		default:
			return kv.Entry{}, badBackup("it has a frame that does not belong there", nil)
		}
	}
}

func (b *backupReader) entry(r *reader, kind byte) (kv.Entry, error) {
	table := int(r.u8())
	e := kv.Entry{Deleted: kind == frameDelete}
	if !e.Deleted {
		e.Key = r.take(int(r.u16()))
		e.Value = r.b
	} else {
		e.Key = r.b
	}
	if r.bad || table >= len(b.tables) || len(e.Key) == 0 {
		return kv.Entry{}, badBackup("it has an entry that cannot be read", nil)
	}
	e.Table = b.tables[table]
	b.entries++
	return e, nil
}

// end reads the last frame and holds it against what came before.
func (b *backupReader) end(size int) error {
	if size != 16+2*sha256.Size {
		return badBackup("its end cannot be read", nil)
	}
	counts, err := b.take(16)
	if err != nil {
		return err
	}
	r := reader{b: counts}
	entries := r.u64()
	b.sequence = r.u64()
	b.digest = [sha256.Size]byte(b.sum.Sum(nil))
	seal, err := b.take(2 * sha256.Size)
	if err != nil {
		return err
	}
	copy(b.mac[:], seal[sha256.Size:])
	if entries != b.entries || !bytes.Equal(seal[:sha256.Size], b.digest[:]) {
		return badBackup("its SHA-256 or its count is not that of what it holds", nil)
	}
	return b.over()
}

// over makes sure that nothing follows.
func (b *backupReader) over() error {
	for _, r := range []*bufio.Reader{b.in, b.file} {
		if _, err := r.ReadByte(); err == nil {
			return badBackup("something follows its end", nil)
		} else if err != io.EOF {
			return badBackup("it cannot be read", err)
		}
	}
	return nil
}

func (b *backupReader) info() BackupInfo {
	return BackupInfo{
		StoreUID: b.store, CreatedAt: b.created, Sequence: b.sequence, Entries: b.entries,
		Bytes: b.outer.n, SHA256: hex.EncodeToString(b.outer.sum.Sum(nil)),
	}
}

// measuredReader counts and hashes what is read from r.
type measuredReader struct {
	r   io.Reader
	sum hash.Hash
	n   uint64
}

func (m *measuredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.sum.Write(p[:n])
	m.n += uint64(n)
	return n, err
}
