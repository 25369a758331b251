package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"strongroom/vaultkeys"
)

// document is what the file holds once it is unsealed.
//
//	{"format": 1, "keys": {NAME: {"latest": 2, "versions": {"1": {"key": BASE64, "created_at": TIME}, ...}}}}
//
// A sealed file is that document in age's format (filippo.io/age).
type document struct {
	Format int                           `json:"format"`
	Keys   map[vaultkeys.KeyName]*record `json:"keys"`
}

type record struct {
	Latest   int              `json:"latest"`
	Versions map[int]*version `json:"versions"`
}

type version struct {
	Key       []byte    `json:"key"` // 32 bytes
	CreatedAt time.Time `json:"created_at"`
}

const fileFormat = 1

// readFile reads and unseals the document.
func readFile(path string, unlock Unlock) (*document, error) {
	if err := checkMode(path); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	plain, err := unlock.open(raw)
	if err != nil {
		return nil, fmt.Errorf("keyring %s: %w", path, err)
	}
	defer clear(plain)
	var doc document
	if err := json.Unmarshal(plain, &doc); err != nil {
		return nil, fmt.Errorf("keyring %s: this is not a keyring", path) // the cause could repeat key bytes
	}
	if doc.Format != fileFormat {
		return nil, fmt.Errorf("keyring %s: it has format %d; this program reads format %d", path, doc.Format, fileFormat)
	}
	return &doc, doc.check()
}

func (d *document) check() error {
	for name, r := range d.Keys {
		if r == nil || r.Versions[r.Latest] == nil {
			return fmt.Errorf("keyring: key %s has no newest version", name)
		}
		for n, v := range r.Versions {
			if v == nil || len(v.Key) != keySize {
				return fmt.Errorf("keyring: version %d of key %s is damaged", n, name)
			}
		}
	}
	return nil
}

// checkMode refuses a file that others may read.
func checkMode(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keyring %s: it is missing; without it nothing that it sealed can ever be opened: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("keyring %s: its mode is %04o; it must be 0600, so that nobody else reads it", path, mode)
	}
	return nil
}

// writeFile seals the document and puts it in the place of the old file: at
// every instant, a crash included, the path names a whole keyring.
func writeFile(path string, unlock Unlock, doc *document) error {
	plain, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer clear(plain)
	sealed, err := unlock.seal(plain)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return replace(path, sealed)
}

func replace(path string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".keyring-*")
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(content); err == nil {
		err = temp.Sync()
	}
	if err == nil {
		err = temp.Close()
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// lock takes the lock that lets one process use a keyring at a time. It is a
// file of its own: the keyring's is replaced at every change.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("keyring %s: another process uses it", path)
	}
	return f, nil
}
