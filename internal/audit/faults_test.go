package audit

import (
	"errors"
	"sync"
	"syscall"
)

// faultDisk is the real disk with faults played on demand. Each hook may be
// nil; it is called before the operation, which a returned error replaces.
type faultDisk struct {
	mu sync.Mutex
	// write returns how many bytes still get written, when its error is not nil.
	write    func(number int, p []byte) (int, error)
	truncate func() error
	create   func() error
	sync     func() error
	files    int
}

func (d *faultDisk) set(change func(d *faultDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *faultDisk) ask(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func (d *faultDisk) createHook() func() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.create
}

type faultDiskFS struct{ *faultDisk }

func (d faultDiskFS) create(path string) (file, error) {
	if err := d.ask(d.createHook()); err != nil {
		return nil, err
	}
	return d.wrap(osDisk{}.create(path))
}

func (d faultDiskFS) append(path string) (file, error) { return d.wrap(osDisk{}.append(path)) }

func (d faultDiskFS) syncDir(dir string) error { return osDisk{}.syncDir(dir) }

func (d faultDiskFS) wrap(f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files++
	return &faultFile{f, d.faultDisk, d.files}, nil
}

// faultFile is the number-th file that was opened.
type faultFile struct {
	file
	d      *faultDisk
	number int
}

func (f *faultFile) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	hook := f.d.write
	f.d.mu.Unlock()
	if hook == nil {
		return f.file.Write(p)
	}
	n, fault := hook(f.number, p)
	if fault == nil {
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:min(n, len(p))])
	if errors.Is(fault, errShort) {
		return n, err
	}
	return n, errors.Join(err, fault)
}

func (f *faultFile) Truncate(size int64) error {
	f.d.mu.Lock()
	hook := f.d.truncate
	f.d.mu.Unlock()
	if err := f.d.ask(hook); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultFile) Sync() error {
	f.d.mu.Lock()
	hook := f.d.sync
	f.d.mu.Unlock()
	if err := f.d.ask(hook); err != nil {
		return err
	}
	return f.file.Sync()
}

// errShort makes a write short without an error, which no real file does.
var errShort = errors.New("short")

var (
	errFull = syscall.ENOSPC
	errIO   = syscall.EIO
)

func failWith(err error) func() error { return func() error { return err } }
