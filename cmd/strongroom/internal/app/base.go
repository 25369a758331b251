package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/config"
	"strongroom/internal/ledger"
	"strongroom/internal/limits"
	"strongroom/store"
	"strongroom/store/bolt"
	"strongroom/vaultkeys"
)

// dataFile is the name of the store's file in the data folder.
const dataFile = "strongroom.db"

// DataFile returns the path of the store's file.
func DataFile(c config.Config) string { return filepath.Join(c.DataDir, dataFile) }

// Base is an open store and what it stands on, without a server: what works on
// a store that nothing serves opens it too.
type Base struct {
	Engine *bolt.Engine
	Keys   vaultkeys.Provider
	Audit  *audit.Log
	Ledger *ledger.Ledger // nil where a store is only tried
	Store  *store.Store
	Gate   *limits.Gate

	renew   string // why a ledger that lacks entries is gone on with
	closers []func() error
}

// OpenBase opens a store that Create has made. dev says that a development
// store is meant: either kind is refused in place of the other.
func OpenBase(ctx context.Context, c config.Config, logger *slog.Logger, dev bool) (b *Base, err error) {
	return openBase(ctx, c, logger, dev, "")
}

// RenewLedger opens a store whose ledger lacks what the store has seen, and has
// it go on with that one. Why stands in the audit log and in the ledger.
func RenewLedger(ctx context.Context, c config.Config, logger *slog.Logger, dev bool, reason string) error {
	b, err := openBase(ctx, c, logger, dev, reason)
	if err != nil {
		return err
	}
	return b.Close()
}

func openBase(ctx context.Context, c config.Config, logger *slog.Logger, dev bool, renew string) (b *Base, err error) {
	if err := refuseLostKeyring(c); err != nil {
		return nil, err
	}
	b = &Base{renew: renew}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
			b = nil
		}
	}()
	if err := b.openEngine(c, logger); err != nil {
		return b, err
	}
	if err := b.openKeys(ctx, c, dev); err != nil {
		return b, err
	}
	if err := b.openAudit(c); err != nil {
		return b, err
	}
	if err := b.openLedger(c); err != nil {
		return b, err
	}
	b.Gate = limits.NewGate(time.Now, b.noteGuard)
	if b.Store, err = store.Open(ctx, b.deps(c, logger)); err != nil {
		return b, err
	}
	b.closers = append(b.closers, b.Store.Close)
	return b, refuseOtherKind(b.Store.Dev(), dev)
}

func (b *Base) openEngine(c config.Config, logger *slog.Logger) error {
	engine, err := bolt.Open(DataFile(c), bolt.Options{Logger: logger})
	if errors.Is(err, bolt.ErrMissing) {
		return fmt.Errorf("there is no store in %s; make one with `strongroom init`", c.DataDir)
	}
	if err != nil {
		return err
	}
	b.Engine = engine
	b.closers = append(b.closers, engine.Close)
	return nil
}

func (b *Base) openKeys(ctx context.Context, c config.Config, dev bool) (err error) {
	keys, closeKeys, err := openProvider(ctx, c.Keys, dev)
	if err != nil {
		return err
	}
	b.Keys = keys
	b.closers = append(b.closers, closeKeys)
	return nil
}

func (b *Base) openAudit(c config.Config) (err error) {
	if err := os.MkdirAll(c.AuditDir, 0o700); err != nil {
		return fmt.Errorf("the audit folder: %w", err)
	}
	if b.Audit, err = audit.Open(c.AuditDir, audit.Options{}); err != nil {
		return err
	}
	b.closers = append(b.closers, b.Audit.Close)
	return nil
}

// LedgerDir returns the folder of the ledger of erasures.
func LedgerDir(c config.Config) string {
	if c.LedgerDir != "" {
		return c.LedgerDir
	}
	return filepath.Join(filepath.Dir(c.DataDir), "ledger")
}

func (b *Base) openLedger(c config.Config) (err error) {
	if b.Ledger, err = ledger.Open(LedgerDir(c)); err != nil {
		return err
	}
	b.closers = append(b.closers, b.Ledger.Close)
	return nil
}

// noteGuard audits what the guard tells, once there is a store.
func (b *Base) noteGuard(e limits.GuardEvent) {
	if b.Store != nil {
		b.Store.NoteGuard(e)
	}
}

func (b *Base) deps(c config.Config, logger *slog.Logger) store.Deps {
	d := store.Deps{
		Engine: b.Engine, Keys: b.Keys, Audit: b.Audit, Logger: logger, Ledger: b.Ledger, RenewLedger: b.renew,
		Leases: envelope.Options{
			Capacity: c.Leases.Capacity, Lease: time.Duration(c.Leases.Lease), Refresh: time.Duration(c.Leases.Refresh),
			HardCap: time.Duration(c.Leases.HardCap), Deadline: time.Duration(c.Leases.Deadline),
		},
		Signing: store.SigningSchedule{
			Every: time.Duration(c.SigningKeyEvery), Keep: time.Duration(c.TokenLifetime) + 5*time.Minute,
		},
		Limits: store.Limits{
			Integrations: c.Limits.Integrations, Fields: c.Limits.Fields, RecordBytes: c.Limits.RecordBytes,
		},
	}
	if b.Gate != nil { // nothing is counted where nothing is served
		d.Counting = b.Gate
	}
	return d
}

// Close closes what was opened, the last first.
func (b *Base) Close() error {
	var errs []error
	for i := len(b.closers) - 1; i >= 0; i-- {
		errs = append(errs, b.closers[i]())
	}
	b.closers = nil
	return errors.Join(errs...)
}

// refuseLostKeyring refuses a store whose keyring is gone: opening it would
// fail anyway, and making a new keyring would hide what happened.
func refuseLostKeyring(c config.Config) error {
	if c.Keys.Provider != config.ProviderKeyring || !exists(DataFile(c)) || exists(c.Keys.Keyring.Path) {
		return nil
	}
	return fmt.Errorf("the store in %s is sealed under the keyring %s, which is not there: "+
		"put it back; without it nothing in the store can be opened", c.DataDir, c.Keys.Keyring.Path)
}

func refuseOtherKind(isDev, wantDev bool) error {
	switch {
	case isDev && !wantDev:
		return errors.New("this is a development store, whose keyring is not sealed: it can only be served with --dev")
	case !isDev && wantDev:
		return errors.New("this store was not made for development: serve it without --dev")
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// owner is whoever holds the machine and its keys: a principal that manages
// clients, for what happens before any client is there.
func owner() store.Caller {
	return &access.Principal{Client: "machine-owner", Policy: access.NewPolicy(nil, []string{access.RoleAdministrator}, false)}
}

// devRoles are all four built-in roles.
func devRoles() []string { return access.Builtins() }
