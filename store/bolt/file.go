package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"strongroom/store/kv"
)

// The neighbours of a data file. Whatever is found of them at opening is what
// a crash left behind, and is removed.
const (
	compactSuffix = ".compact" // the copy that a compaction writes
	createSuffix  = ".create"  // a file that is not complete yet
)

// fileMode keeps a data file to its owner: labels and ids in it are plaintext.
const fileMode fs.FileMode = 0o600

var (
	// ErrExists comes from Create when something stands at the path already.
	ErrExists = errors.New("a data file exists already")
	// ErrMissing comes from Open when nothing stands at the path.
	ErrMissing = errors.New("there is no data file")
	// ErrLocked comes from Open when another process holds the file.
	ErrLocked = errors.New("the data file is in use by another process")
	// ErrForeign comes from Open for a file that no engine of ours created.
	ErrForeign = errors.New("this is not a data file of Strongroom")
)

// createFile makes a complete, empty data file at path: all its tables are in
// it before the name exists, and an existing file is never written over.
func createFile(path string, o Options) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	temporary := path + createSuffix
	if err := removeIfThere(temporary); err != nil {
		return err
	}
	db, err := newDB(temporary, o)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer os.Remove(temporary)
	if err := db.Close(); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, path)
	} else if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return syncDir(path)
}

// newDB creates a bbolt file with every table at path, which must be free.
func newDB(path string, o Options) (*bbolt.DB, error) {
	if err := claim(path); err != nil {
		return nil, err
	}
	mapped, err := mapDB(path, o)
	if err != nil {
		return nil, err
	}
	if err := ensureTables(mapped.DB); err != nil {
		return nil, errors.Join(err, mapped.Close())
	}
	return mapped.DB, nil
}

// claim makes an empty file where none was.
func claim(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	return f.Close()
}

// openFile opens and locks the data file at path, which createFile has made.
func openFile(path string, o Options) (*bbolt.DB, error) {
	if err := looksOpenable(path); err != nil {
		return nil, err
	}
	db, err := openCurrent(path, o)
	if err != nil {
		return nil, err
	}
	if err := adopt(db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func looksOpenable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrMissing, path)
	case err != nil:
		return fmt.Errorf("open the data file: %w", err)
	case !info.Mode().IsRegular() || info.Size() == 0:
		return fmt.Errorf("%w: %s", ErrForeign, path)
	}
	return nil
}

// openCurrent opens path and makes sure that the file it locked is still the
// one of that name: a compaction in another process may have put a new file
// there while this one waited for the lock of the old.
func openCurrent(path string, o Options) (*bbolt.DB, error) {
	for {
		db, err := mapDB(path, o)
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, fmt.Errorf("%w: %s (waited %v)", ErrLocked, path, o.LockTimeout)
		}
		if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrVersionMismatch) {
			return nil, fmt.Errorf("%w: %s: %w", ErrForeign, path, err)
		}
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		if db.current() {
			return db.DB, nil
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
	}
}

// adopt refuses a file that is not ours, adds tables that this version knows
// and the file does not, and removes what a crash left next to it.
func adopt(db *bbolt.DB, path string) error {
	err := db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(tableName(kv.Meta)) == nil {
			return fmt.Errorf("%w: %s", ErrForeign, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := ensureTables(db); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return errors.Join(removeIfThere(path+compactSuffix), removeIfThere(path+createSuffix))
}

// ensureTables creates the tables that db has not.
func ensureTables(db *bbolt.DB) error {
	var missing []kv.Table
	err := db.View(func(tx *bbolt.Tx) error {
		for _, t := range kv.Tables() {
			if tx.Bucket(tableName(t)) == nil {
				missing = append(missing, t)
			}
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, t := range missing {
			if _, err := tx.CreateBucket(tableName(t)); err != nil {
				return err
			}
		}
		return nil
	})
}

var tableNames = func() (names [][]byte) {
	for _, t := range kv.Tables() {
		names = append(names, []byte(t.String()))
	}
	return names
}()

func tableName(t kv.Table) []byte { return tableNames[t] }

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what a crash left: %w", err)
	}
	return nil
}

// syncDir makes the names in path's directory durable.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}
