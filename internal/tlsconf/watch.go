package tlsconf

import (
	"context"
	"os"
	"time"
)

// Watch looks at the files now and then and takes them over when they changed,
// until ctx ends. Files are looked at
// rather than watched by the kernel: that also sees a link to a folder that is
// swapped, as Kubernetes does it, and works on every file system.
//
// A pair that is written in two steps does not fit together in between. It is
// not taken then, and looked at again the next time.
func (k *Keeper) Watch(ctx context.Context) error {
	if k.acme != nil {
		defer k.acme.stop()
		if err := k.acme.start(ctx); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(k.o.Poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if k.changed() {
				_ = k.Reload() // it notes what is wrong
			}
		}
	}
}

// changed reports whether the files must be read again: they are not those that
// were read, or what was read was not good.
func (k *Keeper) changed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem != "" || !same(k.seen, k.look())
}

// look returns how the files are now; nil in the place of one that is not there.
func (k *Keeper) look() []os.FileInfo {
	var all []os.FileInfo
	for _, path := range []string{k.o.CertFile, k.o.KeyFile, k.o.ClientCAFile} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		all = append(all, info)
	}
	return all
}

// same reports whether files are the same and were not written to.
func same(a, b []os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
			continue
		}
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}
