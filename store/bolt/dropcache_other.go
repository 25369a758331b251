//go:build !linux

package bolt

import (
	"errors"
	"os"
)

// dropCache writes what is still dirty. Systems other than Linux offer no
// portable way to drop what is cached.
func dropCache(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
