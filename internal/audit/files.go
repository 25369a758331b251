package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	filePrefix = "strongroom-audit-"
	fileSuffix = ".jsonl"
	lockName   = "strongroom-audit.lock"
)

// file is what the log asks of an open file; Write appends.
type file interface {
	Write([]byte) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// disk opens files. It is an interface so that tests can play faults.
type disk interface {
	create(path string) (file, error)
	append(path string) (file, error)
	syncDir(dir string) error
}

type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	return openFile(path, os.O_CREATE|os.O_EXCL)
}

func (osDisk) append(path string) (file, error) { return openFile(path, 0) }

func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openFile sees to mode 0600 also for a file that exists.
func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (l *Log) path(number int) string { return filepath.Join(l.dir, fileName(number)) }

func fileName(number int) string { return fmt.Sprintf("%s%06d%s", filePrefix, number, fileSuffix) }

// fileNumber reads what fileName wrote, also beyond six digits.
func fileNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, filePrefix)
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, fileSuffix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n > 0 && name == fileName(n)
}

// numbers returns the numbers of the files in dir, ascending, without a hole
// where a file is: a directory that changes while it is read can show a new
// file and hide one that is older. Whatever is older than a file of the first
// look was there before the second began, which therefore shows it.
func numbers(dir string) ([]int, error) {
	first, err := scan(dir)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	list, err := scan(dir)
	if err != nil {
		return nil, err
	}
	newest := slices.Max(first)
	list = slices.DeleteFunc(list, func(n int) bool { return n > newest })
	slices.Sort(list)
	return list, nil
}

func scan(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, e := range entries {
		if n, ok := fileNumber(e.Name()); ok {
			list = append(list, n)
		}
	}
	return list, nil
}

// openLast opens the newest file, or makes the first.
func (l *Log) openLast() error {
	list, err := numbers(l.dir)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		f, err := l.opts.disk.create(l.path(1))
		if err != nil {
			return err
		}
		l.use(f, 1, 0)
		return nil
	}
	return l.reopen(list[len(list)-1])
}

// reopen goes on behind the last whole line of a file. What stands after it was
// being written when the process died, so nobody was told that it is there.
func (l *Log) reopen(number int) error {
	whole, size, err := wholeLines(l.path(number))
	if err != nil {
		return err
	}
	f, err := l.opts.disk.append(l.path(number))
	if err != nil {
		return err
	}
	if size > whole {
		if err := f.Truncate(whole); err != nil {
			f.Close()
			return err
		}
	}
	l.use(f, number, whole)
	if size > whole {
		l.noteTorn(number, size-whole)
	}
	return nil
}

// noteTorn writes the event at once if it can, else before the next entry.
func (l *Log) noteTorn(number int, dropped int64) {
	l.writer.notes = appendLine(l.writer.notes, &Entry{Phase: Event, Event: EventTornTail, Outcome: Allowed,
		Detail: fmt.Sprintf("%d bytes of an unfinished line were cut off the end of %s.", dropped, fileName(number))}, l.opts.Now())
	_ = l.flush(nil, 0)
}

// wholeLines returns where the last whole line of a file ends, and its size.
func wholeLines(path string) (whole, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	chunk := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(chunk)))
		part := chunk[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0, 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return start + int64(i) + 1, size, nil
		}
		end = start
	}
	return 0, size, nil
}

// rotate goes on in a new file. When none can be made the log stays where it
// is, and tries again a second later.
func (l *Log) rotate() {
	w, now := &l.writer, l.opts.Now()
	if now.Before(w.nextNew) {
		return
	}
	f, number, err := l.createAfter(w.number)
	if err != nil {
		w.nextNew = now.Add(time.Second)
		return
	}
	if w.failed != nil { // don't leave one file a failed write
		w.nextNew = now.Add(time.Second)
	}
	l.use(f, number, 0)
	l.n.rotations.Add(1)
}

func (l *Log) createAfter(number int) (file, int, error) {
	for {
		number++
		f, err := l.opts.disk.create(l.path(number))
		if !errors.Is(err, fs.ErrExist) {
			return f, number, err
		}
	}
}

// use makes f the file that is written, and retires the one before.
func (l *Log) use(f file, number int, size int64) {
	w := &l.writer
	old := w.f
	w.f, w.number, w.size, w.torn = f, number, size, false
	l.n.size.Store(size)
	l.n.number.Store(int64(number))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.newFile = f, true
	if old != nil {
		l.retired = append(l.retired, old)
	}
}
