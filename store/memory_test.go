package store_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sort"
	"sync"

	"strongroom/store/kv"
)

// memory is an engine without a disk, for tests that make thousands of stores.
// It undoes nothing: a write that fails midway stays.
type memory struct {
	mu     sync.RWMutex
	tables map[kv.Table]*table
}

// table keeps its keys sorted.
type table struct {
	keys   []string
	values map[string][]byte
}

func newMemory() *memory {
	m := &memory{tables: map[kv.Table]*table{}}
	for _, t := range kv.Tables() {
		m.tables[t] = &table{values: map[string][]byte{}}
	}
	return m
}

func (m *memory) View(_ context.Context, fn func(kv.ReadTx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fn(m)
}

func (m *memory) Update(_ context.Context, _ kv.Class, _ int, fn func(kv.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(m)
}

func (m *memory) Close() error { return nil }

func (m *memory) Snapshot(_ context.Context, emit func(kv.Entry) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, t := range kv.Tables() {
		for _, key := range m.tables[t].keys {
			if err := emit(kv.Entry{Table: t, Key: []byte(key), Value: m.tables[t].values[key]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Get(t kv.Table, key []byte) []byte { return m.tables[t].values[string(key)] }

func (m *memory) Put(t kv.Table, key, value []byte) {
	in, k := m.tables[t], string(key)
	if _, ok := in.values[k]; !ok {
		i := sort.SearchStrings(in.keys, k)
		in.keys = slices.Insert(in.keys, i, k)
	}
	in.values[k] = append([]byte{}, value...)
}

func (m *memory) Delete(t kv.Table, key []byte) {
	in, k := m.tables[t], string(key)
	if _, ok := in.values[k]; ok {
		delete(in.values, k)
		i := sort.SearchStrings(in.keys, k)
		in.keys = slices.Delete(in.keys, i, i+1)
	}
}

func (m *memory) within(t kv.Table, from, to []byte) []string {
	keys := m.tables[t].keys
	low, high := sort.SearchStrings(keys, string(from)), len(keys)
	if to != nil {
		high = sort.SearchStrings(keys, string(to))
	}
	return slices.Clone(keys[low:max(low, high)])
}

func (m *memory) Scan(t kv.Table, from, to []byte, fn func(key, value []byte) bool) {
	for _, key := range m.within(t, from, to) {
		if !fn([]byte(key), m.tables[t].values[key]) {
			return
		}
	}
}

func (m *memory) ScanBack(t kv.Table, from, to []byte, fn func(key, value []byte) bool) {
	for _, key := range slices.Backward(m.within(t, from, to)) {
		if !fn([]byte(key), m.tables[t].values[key]) {
			return
		}
	}
}

// entries returns everything, in order.
func (m *memory) entries() (all []kv.Entry) {
	_ = m.Snapshot(context.Background(), func(e kv.Entry) error {
		all = append(all, kv.Entry{Table: e.Table, Key: bytes.Clone(e.Key), Value: e.Value})
		return nil
	})
	return all
}

// clone returns a copy that can be damaged.
func (m *memory) clone() *memory {
	c := newMemory()
	for t, in := range m.tables {
		c.tables[t] = &table{keys: slices.Clone(in.keys), values: maps.Clone(in.values)}
	}
	return c
}
