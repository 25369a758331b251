package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"strongroom/vaultkeys"
)

// document is what the file holds once it is unsealed.
//
//	{"format": 1, "keys": {NAME: {"latest": 2, "minimum": 2, "versions": {"1": {"key": BASE64, "created_at": TIME}, ...}}}}
//
// minimum is the lowest version that unwraps; without it every one does. The
// versions are all from the lowest that is not trimmed to the latest.
// A sealed file is that document in age's format (filippo.io/age).
type document struct {
	Format int                           `json:"format"`
	Keys   map[vaultkeys.KeyName]*record `json:"keys"`
}

type record struct {
	Latest   int              `json:"latest"`
	Minimum  int              `json:"minimum,omitempty"`
	Versions map[int]*version `json:"versions"`
}

// available is the lowest version that is not trimmed.
func (r *record) available() int { return r.Latest - len(r.Versions) + 1 }

// minimum is the lowest version that unwraps.
func (r *record) minimum() int { return max(r.Minimum, r.available()) }

type version struct {
	Key       []byte    `json:"key"` // 32 bytes
	CreatedAt time.Time `json:"created_at"`
}

const (
	fileFormat     = 1
	highestVersion = 1<<31 - 1
)

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
	doc, err := parse(plain)
	if err != nil {
		return nil, fmt.Errorf("keyring %s: %w", path, err)
	}
	return doc, nil
}

// parse reads an unsealed document, all of it or nothing.
func parse(plain []byte) (*document, error) {
	var doc document
	if err := json.Unmarshal(plain, &doc); err != nil {
		return nil, errors.New("this is not a keyring") // the cause could repeat key bytes
	}
	if doc.Format != fileFormat {
		return nil, fmt.Errorf("it has format %d; this program reads format %d", doc.Format, fileFormat)
	}
	if doc.Keys == nil {
		doc.Keys = map[vaultkeys.KeyName]*record{}
	}
	if err := doc.check(); err != nil {
		return nil, err
	}
	return &doc, nil
}

func (d *document) check() error {
	for name, r := range d.Keys {
		if r == nil || r.Latest > highestVersion || r.Versions[r.Latest] == nil {
			return fmt.Errorf("key %.80q has no newest version", name)
		}
		if r.Minimum < 0 || r.Minimum > r.Latest {
			return fmt.Errorf("the lowest version of key %.80q is damaged", name)
		}
		for n, v := range r.Versions {
			if n < r.available() || n < 1 || n > r.Latest || v == nil || len(v.Key) != keySize {
				return fmt.Errorf("version %d of key %.80q is damaged, or one above it is missing", n, name)
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
