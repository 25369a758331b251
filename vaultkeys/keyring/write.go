package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errUnsure comes when the new file has taken the old one's place, but may lose
// it again if the machine stops: the folder could not be synced.
var errUnsure = errors.New("the keyring was written, but it is not sure to last")

// writer puts a sealed document in the place of the file.
type writer struct {
	path   string
	unlock Unlock
	sync   func(folder string) error
}

func newWriter(path string, unlock Unlock) writer { return writer{path, unlock, syncFolder} }

// write seals the document and puts it in the place of the old file: at every
// instant, a crash included, the path names a whole keyring. An errUnsure
// leaves open which; with any other error it is the old one.
func (w writer) write(doc *document) error {
	plain, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer clear(plain)
	sealed, err := w.unlock.seal(plain)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if err := w.replace(sealed); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if err := w.sync(filepath.Dir(w.path)); err != nil {
		return fmt.Errorf("keyring: %w: %w", errUnsure, err)
	}
	return nil
}

func (w writer) replace(content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(w.path), w.temporary())
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), w.path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// temporary is the pattern of files that are being written.
func (w writer) temporary() string { return "." + filepath.Base(w.path) + "-*.new" }

// clean removes what a crash left half written: it may hold keys that were
// destroyed since. The caller has the lock.
func (w writer) clean() error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(w.path), w.temporary()))
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("keyring: remove what was left half written: %w", err)
		}
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
