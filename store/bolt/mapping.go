package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
)

// smallestMmapSize is where the search for a mapping that the system grants
// ends; below it bbolt maps what the file needs and grows by itself.
const smallestMmapSize = 1 << 30

// mappedDB is a bbolt handle that remembers which file it opened.
type mappedDB struct {
	*bbolt.DB
	path string
	file *os.File
	info fs.FileInfo
}

// mapDB opens the file at path, which must exist, with as much address space
// as the system grants: a process under `ulimit -v`, or a machine with a
// small address space, gets less.
func mapDB(path string, o Options) (*mappedDB, error) {
	for size := o.MmapSize; ; size /= 4 {
		if size < smallestMmapSize && size < o.MmapSize {
			size = 0
		}
		db, err := tryMapDB(path, size, o)
		if size > 0 && errors.Is(err, syscall.ENOMEM) {
			continue
		}
		return db, err
	}
}

// tryMapDB opens the file with a mapping of mmapSize bytes. Where a broken
// file makes bbolt panic, or read beyond its end, that becomes an error.
func tryMapDB(path string, mmapSize int, o Options) (_ *mappedDB, err error) {
	m := &mappedDB{path: path}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(fmt.Errorf("%w: %v", ErrDamaged, p), m.file.Close())
		}
	}()
	m.DB, err = bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout:         o.LockTimeout,
		InitialMmapSize: mmapSize,
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true,
		OpenFile:        m.open,
	})
	return m, err
}

// open opens without creating: what is missing stays missing.
func (m *mappedDB) open(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if m.info, err = f.Stat(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m.file = f
	return f, nil
}

// current reports whether the file still has the name by which it was opened.
func (m *mappedDB) current() bool {
	now, err := os.Stat(m.path)
	return err == nil && os.SameFile(now, m.info)
}
