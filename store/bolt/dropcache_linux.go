package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes the next reads of the file at path come from the disk. After
// a failed fsync Linux marks pages clean that it could not write, so that the
// cache shows what the disk has not. Pages that are still dirty are written
// first; nothing may map the file meanwhile, for mapped pages stay.
func dropCache(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if err == nil {
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return errors.Join(err, f.Close())
}
