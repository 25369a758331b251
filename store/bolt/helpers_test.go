package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/store/kv"
)

var background = context.Background()

// patience is how long something that must happen is waited for.
const patience = 10 * time.Second

// create makes an engine that is checked and closed when the test ends.
func create(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Create(filepath.Join(t.TempDir(), "store.db"), o)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() { checkAndClose(t, e) })
	return e
}

func checkAndClose(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Check(background, nil); err != nil && !errors.Is(err, kv.ErrClosed) {
		t.Errorf("check: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func put(e *Engine, table kv.Table, key, value string) error {
	return e.Update(background, kv.Interactive, len(key)+len(value), func(tx kv.Tx) error {
		tx.Put(table, []byte(key), []byte(value))
		return nil
	})
}

func mustPut(t testing.TB, e *Engine, table kv.Table, key, value string) {
	t.Helper()
	if err := put(e, table, key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

// fill writes n keys of 1 KB in large transactions.
func fill(t testing.TB, e *Engine, table kv.Table, n int) {
	t.Helper()
	value := make([]byte, 1<<10)
	for i := 0; i < n; i += 500 {
		err := e.Update(background, kv.Bulk, 500<<10, func(tx kv.Tx) error {
			for j := i; j < min(i+500, n); j++ {
				tx.Put(table, fmt.Appendf(nil, "key-%06d", j), value)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("fill: %v", err)
		}
	}
}

// get returns the value of key, and "-" when there is none.
func get(t testing.TB, e *Engine, table kv.Table, key string) string {
	t.Helper()
	value := "-"
	err := e.View(background, func(tx kv.ReadTx) error {
		if v := tx.Get(table, []byte(key)); v != nil {
			value = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return value
}

// contents returns all that an engine holds.
func contents(t testing.TB, e *Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := e.copyTables(background, func(entries []kv.Entry) error {
		for _, entry := range entries {
			all[entry.Table.String()+" "+string(entry.Key)] = string(entry.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read everything: %v", err)
	}
	return all
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantError(t testing.TB, got, target error) {
	t.Helper()
	if !errors.Is(got, target) {
		t.Errorf("got error %v, want %v", got, target)
	}
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// unable skips a test that needs a real part which this machine lacks. Where
// CI=true it must not lack it.
func unable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must be able to run this: %s", why)
	}
	t.Skipf("left to CI: %s", why)
}
