package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAFullDiskLosesNothingThatWasAccepted(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}})
	write(t, l, "r1")
	d.set(func(d *faultDisk) { d.write = func(_ int, p []byte) (int, error) { return len(p) / 2, errFull } })
	if err := refused(t, l, "lost"); !errors.Is(err, errFull) {
		t.Errorf("the cause is missing: %v", err)
	}
	refused(t, l, "lost")
	expect(t, dir, 0, "r1")
	if whole, size, err := wholeLines(l.path(1)); err != nil || whole != size {
		t.Errorf("%d bytes of a half line lie there while the disk is full: %v", size-whole, err)
	}
	if s := l.Stats(); s.Lost != 2 || s.Refused != 2 || !s.Unavailable || s.Rotations != 0 {
		t.Errorf("stats %+v", s)
	}
	d.set(func(d *faultDisk) { d.write = nil })
	write(t, l, "r2", "r3")
	expect(t, dir, 0, "r1", EventGap+" 2", "r2", "r3")
	if s := l.Stats(); s.Lost != 0 || s.Refused != 2 || s.Entries != 3 || s.Unavailable {
		t.Errorf("stats %+v", s)
	}
	gap := readAll(t, dir, 0)[1]
	if gap.Outcome != Failed || !strings.Contains(gap.Detail, "The first was lost at 20") {
		t.Errorf("gap %+v", gap)
	}
}

func TestAHalfLineThatCannotBeCutIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}})
	write(t, l, "r1")
	d.set(func(d *faultDisk) {
		d.write = func(_ int, p []byte) (int, error) { return len(p) / 2, errFull }
		d.truncate, d.create = failWith(errIO), failWith(errFull)
	})
	refused(t, l, "lost")
	refused(t, l, "lost")
	expect(t, dir, 0, "r1") // a line without an end is still being written, to a reader
	// The disk works again, but this file can't be cut: a new file is begun.
	d.set(func(d *faultDisk) { d.write, d.create = nil, nil })
	waitFor(t, func() bool { return l.Write(&Entry{Phase: Access, Record: "r2"}) == nil })
	write(t, l, "r3")
	all := told(readAll(t, dir, 1))
	if len(all) != 4 || all[0] != "r1" || !strings.HasPrefix(all[1], EventGap) || all[2] != "r2" || all[3] != "r3" {
		t.Errorf("got %v", all)
	}
	if s := l.Stats(); s.File != fileName(2) || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestAHalfLineThatCanBeCutLaterIsCutThen(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}})
	write(t, l, "r1")
	d.set(func(d *faultDisk) {
		d.write = func(_ int, p []byte) (int, error) { return len(p) - 1, errFull }
		d.truncate = failWith(errIO)
	})
	refused(t, l, "lost")
	d.set(func(d *faultDisk) { d.write, d.truncate = nil, nil })
	write(t, l, "r2")
	expect(t, dir, 0, "r1", EventGap+" 1", "r2")
	if s := l.Stats(); s.File != fileName(1) {
		t.Errorf("stats %+v", s)
	}
}

func TestAFileThatFailsForGoodIsLeft(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{write: func(number int, _ []byte) (int, error) {
		if number == 1 {
			return 0, errIO
		}
		return 0, nil
	}}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}})
	refused(t, l, "lost")
	write(t, l, "r1")
	expect(t, dir, 0, EventGap+" 1", "r1")
	if s := l.Stats(); s.File != fileName(2) {
		t.Errorf("stats %+v", s)
	}
}

func TestAFailingDiskIsNotLitteredWithFiles(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{write: func(int, []byte) (int, error) { return 0, errIO }}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}, Now: func() time.Time { return noon }})
	for range 100 {
		refused(t, l, "lost")
	}
	if list, _ := numbers(dir); len(list) > 2 {
		t.Errorf("%d files", len(list))
	}
}

func TestAShortWriteIsAFailure(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{write: func(_ int, p []byte) (int, error) { return len(p) - 1, errShort }}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}})
	refused(t, l, "lost")
	d.set(func(d *faultDisk) { d.write = nil })
	write(t, l, "r1")
	expect(t, dir, 0, EventGap+" 1", "r1")
}

func TestRotationThatFailsGoesOnInTheOldFile(t *testing.T) {
	dir := t.TempDir()
	var now atomic.Int64
	d := &faultDisk{}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}, MaxSize: 1, Now: func() time.Time { return noon.Add(time.Duration(now.Load())) }})
	d.set(func(d *faultDisk) { d.create = failWith(errFull) })
	write(t, l, "r1", "r2", "r3")
	d.set(func(d *faultDisk) { d.create = nil })
	write(t, l, "r4") // not tried again within the second
	if s := l.Stats(); s.File != fileName(1) || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
	now.Store(int64(time.Second))
	write(t, l, "r5")
	if s := l.Stats(); s.File != fileName(2) {
		t.Errorf("stats %+v", s)
	}
	expect(t, dir, 0, "r1", "r2", "r3", "r4", "r5")
}

func TestATornTailIsToldWhenTheDiskIsFullAtFirst(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{})
	write(t, l, "r1")
	l.Close()
	appendTo(t, dir, 1, `{"time":"2026`)
	d := &faultDisk{write: func(int, []byte) (int, error) { return 3, errFull }}
	l = openLog(t, dir, Options{disk: faultDiskFS{d}})
	refused(t, l, "lost")
	d.set(func(d *faultDisk) { d.write = nil })
	write(t, l, "r2")
	expect(t, dir, 0, "r1", EventTornTail, EventGap+" 1", "r2")
}

func TestAFailedSyncIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	var failed atomic.Int32
	d := &faultDisk{sync: func() error { failed.Add(1); return errIO }}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}, SyncEvery: 2 * time.Millisecond})
	waitFor(t, func() bool { return failed.Load() > 3 })
	d.set(func(d *faultDisk) { d.sync = nil })
	write(t, l, "r1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, dir, 0, EventSyncFailed, "r1")
	if s := l.Stats(); s.SyncFailures < 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestAHangingDiskHoldsUpOneRequestAlone(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{}
	l := openLog(t, dir, Options{disk: faultDiskFS{d}, Stall: 50 * time.Millisecond})
	write(t, l, "r1")
	release, hangs := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.set(func(d *faultDisk) {
		d.write = func(int, []byte) (int, error) {
			once.Do(func() { close(hangs) })
			<-release
			return 0, nil
		}
	})
	hung := make(chan error)
	go func() { hung <- l.Write(&Entry{Phase: Access, Record: "hung"}) }()
	<-hangs
	const waiting = 10
	var wg sync.WaitGroup
	for range waiting { // these wait behind it until the watch gives up
		wg.Go(func() { refused(t, l, "lost") })
	}
	wg.Wait()
	start := time.Now()
	refused(t, l, "lost") // and this one is refused at once
	if took := time.Since(start); took > 40*time.Millisecond {
		t.Errorf("a refusal took %v", took)
	}
	if s := l.Stats(); !s.Unavailable || s.Lost != waiting+1 {
		t.Errorf("stats %+v", s)
	}
	close(release)
	if err := <-hung; err != nil {
		t.Errorf("the write that hung was done in the end: %v", err)
	}
	write(t, l, "r2")
	expect(t, dir, 0, "r1", "hung", fmt.Sprintf("%s %d", EventGap, waiting+1), "r2")
}

func TestCloseDoesNotHangWithTheDisk(t *testing.T) {
	d := &faultDisk{}
	l, err := Open(t.TempDir(), Options{disk: faultDiskFS{d}, Stall: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	release, hangs := make(chan struct{}), make(chan struct{})
	defer close(release)
	d.set(func(d *faultDisk) {
		d.write = func(int, []byte) (int, error) { close(hangs); <-release; return 0, nil }
	})
	go l.Write(&Entry{Phase: Access, Record: "hung"})
	<-hangs
	if err := l.Close(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		d := &faultDisk{write: func(int, []byte) (int, error) { time.Sleep(100 * time.Microsecond); return 0, nil }}
		l := openLog(t, dir, Options{disk: faultDiskFS{d}})
		var accepted atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for l.Write(&Entry{Phase: Access, Record: "r"}) == nil {
					accepted.Add(1)
				}
			})
		}
		time.Sleep(time.Millisecond)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if got := len(readAll(t, dir, 0)); got != int(accepted.Load()) {
			t.Fatalf("%d entries, %d accepted", got, accepted.Load())
		}
	}
}

func TestCloseWritesForALeaderThatIsLate(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{})
	b, leads, err := l.join([]byte(lineOf("r1")))
	if err != nil || !leads {
		t.Fatal(leads, err)
	}
	if err := l.Close(); err != nil { // before the leader comes to take the pen
		t.Fatal(err)
	}
	if err := l.lead(b); err != nil {
		t.Error(err)
	}
	expect(t, dir, 0, "r1")
}

// Whatever the disk does, an accepted entry is there once, in order, and a
// refused one is counted in a gap event. As long as files can be cut back, the
// count is exact, no line is damaged and no refused entry is there.
func TestAcceptedEntriesSurviveAnyFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, clock := t.TempDir(), noon
		d := &faultDisk{}
		o := Options{disk: faultDiskFS{d}, MaxSize: 400, Now: func() time.Time { return clock }}
		l, err := Open(dir, o)
		if err != nil {
			rt.Fatal(err)
		}
		var accepted []string
		lost, cuts := uint64(0), rapid.Bool().Draw(rt, "cuts")
		for i := range rapid.IntRange(1, 40).Draw(rt, "writes") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 1500).Draw(rt, "ms")) * time.Millisecond)
			playFaults(rt, d, cuts)
			record := fmt.Sprintf("r%d", i)
			switch err := l.Write(&Entry{Phase: Access, Record: record}); {
			case err == nil:
				accepted = append(accepted, record)
			case errors.Is(err, ErrUnavailable):
				lost++
			default:
				rt.Fatal(err)
			}
		}
		d.set(func(d *faultDisk) { d.write, d.truncate, d.create = nil, nil, nil })
		clock = clock.Add(2 * time.Second)
		if err := l.Write(&Entry{Phase: Access, Record: "last"}); err != nil {
			rt.Fatalf("the log did not recover: %v", err)
		}
		if err := l.Close(); err != nil {
			rt.Fatal(err)
		}
		checkAccepted(rt, dir, append(accepted, "last"), lost, cuts)
	})
}

func playFaults(t *rapid.T, d *faultDisk, cuts bool) {
	fail := func(label string, err error) func() error {
		if rapid.IntRange(0, 2).Draw(t, label) > 0 {
			return nil
		}
		return failWith(err)
	}
	cut := rapid.IntRange(0, 250).Draw(t, "cut")
	fault := rapid.SampledFrom([]error{nil, nil, errFull, errIO}).Draw(t, "write")
	truncate, create := fail("truncate", errIO), fail("create", errFull)
	if cuts {
		truncate = nil
	}
	d.set(func(d *faultDisk) {
		d.write = func(int, []byte) (int, error) { return cut, fault }
		d.truncate, d.create = truncate, create
	})
}

func checkAccepted(t *rapid.T, dir string, accepted []string, lost uint64, cuts bool) {
	r := NewReader(dir, Filter{})
	defer r.Close()
	var found []string
	gaps, others := uint64(0), 0
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			others++
		case e.Event == EventGap:
			gaps += e.Lost
		case slices.Contains(accepted, e.Record):
			found = append(found, e.Record)
		default:
			others++
		}
	}
	if !slices.Equal(found, accepted) {
		t.Fatalf("found %v, accepted %v", found, accepted)
	}
	if gaps < lost || cuts && (gaps != lost || others > 0) {
		t.Fatalf("%d entries were lost, the gaps tell of %d, and %d lines should not be there", lost, gaps, others)
	}
}
