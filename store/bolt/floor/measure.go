package floor

import (
	"errors"
	"sync"
	"time"
)

// Options say what to measure.
type Options struct {
	Path     string        // of the file, which must not exist; it is removed
	Writers  int           // goroutines, each of which waits for its put
	Duration time.Duration // of the measurement
	Value    []byte        // what each put stores
	// Observe hears how long each put took; it is called by Writers goroutines
	// at once, each with its own number.
	Observe func(writer int, took time.Duration)
}

// Result is what was measured.
type Result struct {
	Puts    uint64
	Commits uint64
	Elapsed time.Duration
}

// Writes measures.
func Writes(o Options) (Result, error) {
	s, err := Open(o.Path)
	if err != nil {
		return Result{}, err
	}
	errs := make([]error, o.Writers)
	start := time.Now()
	var writers sync.WaitGroup
	for w := range o.Writers {
		writers.Go(func() { errs[w] = s.write(w, start.Add(o.Duration), o) })
	}
	writers.Wait()
	r := Result{Puts: s.puts.Load(), Commits: s.commits.Load(), Elapsed: time.Since(start)}
	return r, errors.Join(append(errs, s.Close())...)
}

// write puts until the deadline, one after the other.
func (s *Store) write(w int, deadline time.Time, o Options) error {
	for began := time.Now(); began.Before(deadline); {
		if err := s.Put(o.Value); err != nil {
			return err
		}
		now := time.Now()
		if o.Observe != nil {
			o.Observe(w, now.Sub(began))
		}
		began = now
	}
	return nil
}
