package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"filippo.io/age"

	"strongroom/vaultkeys"
)

// keyBackup is a copy of a keyring, sealed with age for a recipient. A copy
// keeps keys that the keyring has destroyed since: after ExpiresAt no program
// restores it, and whoever keeps it destroys it.
//
//	{"keyring_backup": 1, "created_at": TIME, "expires_at": TIME, "keyring": the document}
type keyBackup struct {
	Format    int       `json:"keyring_backup"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Keyring   *document `json:"keyring"`
}

const backupFormat = 1

// maxBackup bounds what is read of a copy.
const maxBackup = 64 << 20

// ErrExpired comes when a copy of a keyring is older than what is promised of
// erasures allows.
var ErrExpired = errors.New("this copy of the keyring has expired")

// Backup writes a copy of the keyring at path, sealed for a recipient. The
// keyring may be in use.
func Backup(path string, unlock Unlock, to io.Writer, recipient age.Recipient, created, expires time.Time) error {
	doc, err := readFile(path, unlock)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(keyBackup{backupFormat, created.UTC(), expires.UTC(), doc})
	if err != nil {
		return errors.New("the keyring cannot be encoded") // the cause could repeat key bytes
	}
	defer clear(plain)
	sealed, err := encrypt(plain, recipient)
	if err != nil {
		return err
	}
	_, err = to.Write(sealed)
	return err
}

// Ended says which keys exist no more: a copy that is restored is kept from
// bringing them back.
type Ended struct {
	Destroyed map[vaultkeys.KeyName]bool
	Below     map[vaultkeys.KeyName]int // versions below were trimmed
}

// RestoredBackup tells what became of a copy.
type RestoredBackup struct {
	CreatedAt time.Time           `json:"created_at"`
	ExpiresAt time.Time           `json:"expires_at"`
	Keys      int                 `json:"keys"`
	Dropped   []vaultkeys.KeyName `json:"dropped,omitempty"` // keys of which nothing was restored
	Trimmed   []vaultkeys.KeyName `json:"trimmed,omitempty"` // keys whose older versions were not
}

// RestoreBackup makes a keyring at path, where there is none, of a copy. What
// has ended is left out. A copy that has expired is ErrExpired.
func RestoreBackup(path string, unlock Unlock, from io.Reader, identities []age.Identity, now time.Time, ended Ended) (out RestoredBackup, err error) {
	if _, err := os.Lstat(path); err == nil {
		return out, fmt.Errorf("keyring %s: it exists already and is not written over", path)
	}
	b, err := readBackup(from, identities)
	if err != nil {
		return out, err
	}
	out.CreatedAt, out.ExpiresAt = b.CreatedAt, b.ExpiresAt
	if !now.Before(b.ExpiresAt) {
		return out, fmt.Errorf("%w on %s: it may hold keys whose destruction was promised by then; destroy it", ErrExpired, b.ExpiresAt.Format(time.RFC3339))
	}
	b.Keyring.drop(ended, &out)
	out.Keys = len(b.Keyring.Keys)
	held, err := lock(path)
	if err != nil {
		return out, err
	}
	defer held.Close()
	return out, newWriter(path, unlock).write(b.Keyring)
}

func readBackup(from io.Reader, identities []age.Identity) (*keyBackup, error) {
	sealed, err := io.ReadAll(io.LimitReader(from, maxBackup))
	if err != nil {
		return nil, fmt.Errorf("read the copy of the keyring: %w", err)
	}
	if !isSealed(sealed) {
		return nil, errors.New("this is not a copy of a keyring")
	}
	plain, err := decrypt(sealed, "none of the identities given opens this copy of a keyring", identities...)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parseBackup(plain)
}

// parseBackup reads an unsealed copy, all of it or nothing.
func parseBackup(plain []byte) (*keyBackup, error) {
	var b keyBackup
	if json.Unmarshal(plain, &b) != nil || b.Format != backupFormat || b.Keyring == nil || b.ExpiresAt.IsZero() {
		return nil, errors.New("this is not a copy of a keyring")
	}
	if b.Keyring.Format != fileFormat {
		return nil, fmt.Errorf("the copy has a keyring of format %d; this program reads format %d", b.Keyring.Format, fileFormat)
	}
	if b.Keyring.Keys == nil {
		b.Keyring.Keys = map[vaultkeys.KeyName]*record{}
	}
	if err := b.Keyring.check(); err != nil {
		return nil, err
	}
	return &b, nil
}

// drop takes out what has ended. A key of which every version was trimmed has a
// newer one elsewhere, and is of no use.
func (d *document) drop(ended Ended, out *RestoredBackup) {
	for _, name := range slices.Sorted(maps.Keys(d.Keys)) {
		r, below := d.Keys[name], ended.Below[name]
		switch {
		case ended.Destroyed[name], below > r.Latest:
			delete(d.Keys, name)
			out.Dropped = append(out.Dropped, name)
		case below > r.available():
			maps.DeleteFunc(r.Versions, func(n int, _ *version) bool { return n < below })
			r.Minimum = max(r.Minimum, below)
			out.Trimmed = append(out.Trimmed, name)
		}
	}
}
