package bolt_test

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"strongroom/store/bolt/bolttest"
	"strongroom/store/kv"
)

// The writers of the group commit benchmarks, and what each writes: 1 KB under
// keys that are spread over the table.
const (
	benchWriters = 64
	benchValue   = 1 << 10
)

func benchKey(i uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, i*0x9E3779B97F4A7C15)
}

// BenchmarkGroupCommit is what 64 callers of Update share.
func BenchmarkGroupCommit(b *testing.B) {
	e := bolttest.Open(b)
	value := make([]byte, benchValue)
	var next atomic.Uint64
	b.SetParallelism(benchWriters / 2) // times GOMAXPROCS
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := benchKey(next.Add(1))
			err := e.Update(context.Background(), kv.Interactive, benchValue, func(tx kv.Tx) error {
				tx.Put(kv.Records, key, value)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	if s, err := e.Stats(); err == nil {
		b.ReportMetric(s.MeanBatch, "ops/commit")
	}
}

// BenchmarkRawCommit is the floor: bbolt's own transactions of 64 puts.
func BenchmarkRawCommit(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoStatistics: true, InitialMmapSize: 64 << 30,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	value := make([]byte, benchValue)
	b.ResetTimer()
	for i := 0; i < b.N; i += benchWriters {
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("records"))
			for j := 0; err == nil && j < benchWriters; j++ {
				err = bucket.Put(benchKey(uint64(i+j)), value)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}

// BenchmarkOneWriter is a lone caller: two fsyncs each.
func BenchmarkOneWriter(b *testing.B) {
	e := bolttest.Open(b)
	value := make([]byte, benchValue)
	for i := 0; b.Loop(); i++ {
		err := e.Update(context.Background(), kv.Interactive, benchValue, func(tx kv.Tx) error {
			tx.Put(kv.Records, benchKey(uint64(i)), value)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

const benchRecords = 100_000

func benchFilled(b *testing.B) kv.Engine {
	e := bolttest.Open(b)
	value := make([]byte, benchValue)
	for i := 0; i < benchRecords; i += 1000 {
		err := e.Update(context.Background(), kv.Bulk, 1000*benchValue, func(tx kv.Tx) error {
			for j := range 1000 {
				tx.Put(kv.Records, benchKey(uint64(i+j)), value)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return e
}

func benchGet(b *testing.B, e kv.Engine, i uint64) {
	key := benchKey(i * 7919 % benchRecords)
	err := e.View(context.Background(), func(tx kv.ReadTx) error {
		if tx.Get(kv.Records, key) == nil {
			b.Error("missing")
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkViewGet reads one value a transaction.
func BenchmarkViewGet(b *testing.B) {
	e := benchFilled(b)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		benchGet(b, e, i)
	}
}

// BenchmarkViewGetParallel does so in 64 goroutines.
func BenchmarkViewGetParallel(b *testing.B) {
	e := benchFilled(b)
	var next atomic.Uint64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchGet(b, e, next.Add(1))
		}
	})
}
