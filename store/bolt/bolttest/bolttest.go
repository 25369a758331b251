// Package bolttest gives other packages' tests an engine of their own.
package bolttest

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"strongroom/store/bolt"
	"strongroom/store/kv"
)

// Open creates an engine in a directory of the test's. When the test ends the
// whole file is checked for consistency, and the engine closed.
func Open(t testing.TB) *bolt.Engine {
	t.Helper()
	return OpenWith(t, bolt.Options{})
}

// OpenWith is Open with options.
func OpenWith(t testing.TB, o bolt.Options) *bolt.Engine {
	t.Helper()
	e, err := bolt.Create(filepath.Join(t.TempDir(), "store.db"), o)
	if err != nil {
		t.Fatalf("create an engine: %v", err)
	}
	t.Cleanup(func() { checkAndClose(t, e) })
	return e
}

// checkAndClose leaves an engine alone that the test has closed itself.
func checkAndClose(t testing.TB, e *bolt.Engine) {
	t.Helper()
	err := e.Check(context.Background(), nil)
	if err != nil && !errors.Is(err, kv.ErrClosed) {
		t.Errorf("the engine's file is not consistent: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close the engine: %v", err)
	}
}
