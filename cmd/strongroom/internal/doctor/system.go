package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/cmd/strongroom/internal/app"
)

// clock looks whether the time can be right: tokens, certificates and retention
// all hang on it.
func (r *Report) clock(in Input) {
	if info, err := os.Stat(app.DataFile(in.Config)); err == nil && info.ModTime().After(in.Now.Add(time.Minute)) {
		r.add("clock", Fail, "the data file was written in the future: the clock is behind")
		return
	}
	switch yes, known := synchronised(); {
	case !known:
		r.add("clock", Warn, "it cannot be told whether the clock is synchronised")
	case !yes:
		r.add("clock", Warn, "the clock is not synchronised, as far as the kernel knows")
	default:
		r.add("clock", OK, "is synchronised")
	}
}

// The room that a disk must have, in bytes.
const (
	roomNeeded = 128 << 20
	roomWanted = 1 << 30
)

// disks looks at the room for data and audit log. Without room for the audit
// log nothing is answered; compaction needs as much as the data file is large.
func (r *Report) disks(in Input) {
	var size uint64
	if info, err := os.Stat(app.DataFile(in.Config)); err == nil {
		size = uint64(info.Size())
	}
	r.room("disk of data_dir", in.Config.DataDir, size)
	r.room("disk of audit_dir", in.Config.AuditDir, 0)
}

func (r *Report) room(check, dir string, more uint64) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		r.add(check, Warn, "there is no such folder yet")
		return
	}
	free := uint64(s.Bavail) * uint64(s.Bsize)
	detail := fmt.Sprintf("%d MiB are free", free>>20)
	switch {
	case free < roomNeeded:
		r.add(check, Fail, detail)
	case free < roomWanted+more:
		r.add(check, Warn, fmt.Sprintf("%s; %d MiB are wanted", detail, (roomWanted+more)>>20))
	default:
		r.add(check, OK, detail)
	}
}

// modes looks at who may read what nobody else should.
func (r *Report) modes(in Input) {
	before := len(r.Findings)
	c := in.Config
	for _, path := range []string{
		c.DataDir, app.DataFile(c), c.AuditDir, c.Keys.Keyring.Path, c.Keys.Keyring.PassphraseFile, c.Keys.Keyring.KeyFile,
		c.TLS.KeyFile, c.TLS.ACME.CacheDir, c.Keys.Vault.Auth.TokenFile, c.Keys.Vault.Auth.SecretIDFile, c.Keys.Vault.Auth.KeyFile,
		c.Keys.Vault.LifecycleAuth.TokenFile, c.Keys.Vault.LifecycleAuth.SecretIDFile, c.Keys.Vault.LifecycleAuth.KeyFile,
	} {
		r.mode(path)
	}
	logs, _ := filepath.Glob(filepath.Join(c.AuditDir, "*"))
	for _, path := range logs {
		r.mode(path)
	}
	if len(r.Findings) == before {
		r.add("file modes", OK, "data, keys and audit log are their owner's alone")
	}
}

func (r *Report) mode(path string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.add("file modes", Warn, filepath.Base(path)+" cannot be looked at")
	case info.Mode().Perm()&0o007 != 0:
		r.add("file modes", Fail, fmt.Sprintf("%s has mode %04o: everybody on the machine can reach it", path, info.Mode().Perm()))
	case info.Mode().Perm()&0o070 != 0:
		r.add("file modes", Warn, fmt.Sprintf("%s has mode %04o: its group can reach it", path, info.Mode().Perm()))
	}
}

// memory looks at how opened keys could get from memory to a disk.
func (r *Report) memory() {
	if err := app.NoCoreDumps(); err != nil {
		r.add("core dumps", Fail, err.Error())
	} else {
		r.add("core dumps", OK, "the server turns them off for itself")
	}
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i > 0 && !strings.HasPrefix(line, "/dev/zram") {
			r.add("swap", Warn, "memory may be swapped to a disk, and opened keys with it: encrypt the swap or turn it off")
			return
		}
	}
	r.add("swap", OK, "nothing is swapped to a disk")
}
