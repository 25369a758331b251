// Package kvtest is the conformance suite of storage engines: what package kv
// promises, as tests that every engine must pass.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"strongroom/store/kv"
)

// Run tests the engines that open returns: each an empty one of its own, which
// open closes at the end of the test.
func Run(t *testing.T, open func(t testing.TB) kv.Engine) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, e kv.Engine)
	}{
		{"empty tables answer nothing", emptyTables},
		{"a value is read back", readBack},
		{"an empty value is a value", emptyValue},
		{"tables are apart", tablesApart},
		{"scans are ordered and half open", scans},
		{"a scan stops when told", scanStops},
		{"a write transaction reads its own writes", ownWrites},
		{"scans see the transaction's deletes", scansAfterDeletes},
		{"a view sees one moment", oneMoment},
		{"a view's error comes back", viewError},
		{"an error before a write fails only itself", errorBeforeWrite},
		{"an error after a write is undone", errorAfterWrite},
		{"failures among others are undone alone", failuresAmongOthers},
		{"a panic is raised in the caller", panics},
		{"a goroutine that ends is undone", goexit},
		{"a bad key fails the transaction", badKey},
		{"an ended context runs nothing", endedContext},
		{"a context that ends while waiting leaves the queue", contextWhileWaiting},
		{"a context that ends after the start waits", contextAfterStart},
		{"increments are not lost", increments},
		{"bulk is not starved", bulkNotStarved},
		{"writes and scans agree with a model", model},
		{"concurrent writers agree with a model", concurrentModel},
		{"a closed engine says so", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
	if _, ok := open(t).(kv.Snapshotter); ok {
		runSnapshots(t, open)
	}
}

var (
	background = context.Background()
	errRefused = errors.New("refused")
)

// patience is how long something that must happen is waited for.
const patience = 10 * time.Second

func update(t testing.TB, e kv.Engine, fn func(kv.Tx)) {
	t.Helper()
	err := e.Update(background, kv.Interactive, 64, func(tx kv.Tx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
}

func put(t testing.TB, e kv.Engine, table kv.Table, pairs ...string) {
	t.Helper()
	update(t, e, func(tx kv.Tx) {
		for i := 0; i < len(pairs); i += 2 {
			tx.Put(table, []byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

// get returns the value of key, and "-" when there is none.
func get(t testing.TB, e kv.Engine, table kv.Table, key string) (value string) {
	t.Helper()
	view(t, e, func(tx kv.ReadTx) { value = text(tx.Get(table, []byte(key))) })
	return value
}

func text(value []byte) string {
	if value == nil {
		return "-"
	}
	return string(value)
}

func view(t testing.TB, e kv.Engine, fn func(kv.ReadTx)) {
	t.Helper()
	err := e.View(background, func(tx kv.ReadTx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		t.Fatalf("view: %v", err)
	}
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// scan returns the keys of [from, to), "" standing for an open end.
func scan(tx kv.ReadTx, table kv.Table, from, to string) (keys []string) {
	tx.Scan(table, bytesOf(from), bytesOf(to), func(k, _ []byte) bool {
		keys = append(keys, string(k))
		return true
	})
	return keys
}

// scanBack is scan from the end, put in ascending order.
func scanBack(tx kv.ReadTx, table kv.Table, from, to string) (keys []string) {
	tx.ScanBack(table, bytesOf(from), bytesOf(to), func(k, _ []byte) bool {
		keys = append(keys, string(k))
		return true
	})
	slices.Reverse(keys)
	return keys
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantKeys(t testing.TB, what string, got []string, keys ...string) {
	t.Helper()
	if !slices.Equal(got, keys) {
		t.Errorf("%s: got %q, want %q", what, got, keys)
	}
}

func wantError(t testing.TB, got, target error) {
	t.Helper()
	if !errors.Is(got, target) {
		t.Errorf("got error %v, want %v", got, target)
	}
}

func key(i int) []byte { return fmt.Appendf(nil, "key-%06d", i) }
