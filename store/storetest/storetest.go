// Package storetest gives the tests of other packages a real store: bbolt in a
// temporary folder, keys in memory. After every test the whole store is
// checked.
package storetest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/envelope/envelopetest"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/ledger"
	"strongroom/store"
	"strongroom/store/bolt"
	"strongroom/store/bolt/bolttest"
	"strongroom/vaultkeys"
)

// Fixture is a store and the parts that it stands on.
type Fixture struct {
	*store.Store
	Engine *bolt.Engine
	Keys   *envelopetest.Provider // not what the store uses when Options name a Provider
	Audit  *audit.Log
	Deps   store.Deps
	// AuditDir is where the audit log lies.
	AuditDir string
	t        testing.TB
}

// Options change what Open makes.
type Options struct {
	Production bool // not marked for development
	Now        func() time.Time
	Leases     envelope.Options
	Limits     store.Limits
	Counting   store.Counting
	Unchecked  bool               // the test damages the store: it is not checked at the end
	Engine     *bolt.Engine       // instead of one of its own; the test closes it
	AuditDir   string             // instead of a folder of its own
	Provider   vaultkeys.Provider // instead of keys in memory
	Ledger     *ledger.Ledger     // nil: none
}

// Open makes a store in dev mode.
func Open(t testing.TB) *Fixture { return OpenWith(t, Options{}) }

// OpenWith makes a store. At cleanup fsck reads all of it, and must find
// nothing.
func OpenWith(t testing.TB, o Options) *Fixture {
	t.Helper()
	engine, keys, dir := o.Engine, envelopetest.New(), o.AuditDir
	if engine == nil {
		engine = bolttest.Open(t)
	}
	if dir == "" {
		dir = t.TempDir()
	}
	log, err := audit.Open(dir, audit.Options{})
	must(t, err)
	t.Cleanup(func() { log.Close() })
	deps := store.Deps{
		Engine: engine, Keys: keys, Audit: log, Now: o.Now, Leases: o.Leases, Limits: o.Limits, Counting: o.Counting,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Ledger: o.Ledger,
	}
	if o.Provider != nil {
		deps.Keys = o.Provider
	}
	must(t, store.Init(context.Background(), deps, store.InitOptions{Dev: !o.Production}))
	f := &Fixture{Engine: engine, Keys: keys, Audit: log, Deps: deps, AuditDir: dir, t: t}
	f.Reopen()
	t.Cleanup(func() { f.finish(o.Unchecked) })
	return f
}

// Reopen opens the store again on the same parts, as after a restart.
func (f *Fixture) Reopen() {
	f.t.Helper()
	if f.Store != nil {
		must(f.t, f.Store.Close())
	}
	s, err := store.Open(context.Background(), f.Deps)
	must(f.t, err)
	f.Store = s
}

func (f *Fixture) finish(unchecked bool) {
	if !unchecked {
		report, err := f.Fsck(context.Background(), store.FsckOptions{Deep: true})
		must(f.t, err)
		for _, d := range report.Damages {
			f.t.Errorf("fsck: %s at %s: %s", d.Kind, d.Where, d.Detail)
		}
	}
	must(f.t, f.Store.Close())
}

// Root is a caller that may do everything in a store in dev mode.
func (f *Fixture) Root() store.Caller {
	names := access.Builtins()
	return &access.Principal{Client: "root", Roles: names, Policy: access.NewPolicy(nil, names, true)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
