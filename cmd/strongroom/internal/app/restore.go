package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"filippo.io/age"

	"strongroom/internal/audit"
	"strongroom/internal/config"
	"strongroom/store"
	"strongroom/store/bolt"
)

// Backup is a backup to read.
type Backup struct {
	From       io.Reader
	Identities []age.Identity // for one that is sealed with age
	// AcceptRollback is why a store is set back behind what its ledger tells.
	AcceptRollback string
}

// Restored is what a restore did.
type Restored struct {
	store.BackupInfo
	Reapplied store.Reapplied            `json:"reapplied"` // erased or revoked again, as the ledger tells
	Keyless   []store.KeylessIntegration `json:"keyless"`   // what cannot be opened, and why
}

// Restore makes a store of a backup, where there is none. The store appears
// when all of it was read, authenticated and opened, or not at all.
func Restore(ctx context.Context, c config.Config, logger *slog.Logger, dev bool, b Backup) (info Restored, err error) {
	path := DataFile(c)
	if exists(path) {
		return info, fmt.Errorf("%w in %s: a backup is not restored over it; move it away first", ErrStoreExists, c.DataDir)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return info, fmt.Errorf("the data folder: %w", err)
	}
	unfinished := path + ".restore"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	defer os.Remove(unfinished)
	if info, err = restoreAt(ctx, unfinished, c, logger, dev, b); err != nil {
		return info, err
	}
	return info, publish(unfinished, path)
}

func restoreAt(ctx context.Context, path string, c config.Config, logger *slog.Logger, dev bool, b Backup) (info Restored, err error) {
	base := &Base{}
	defer func() { err = errors.Join(err, base.Close()) }()
	if err := base.openKeys(ctx, c, dev); err != nil {
		return info, err
	}
	if err := base.openAudit(c); err != nil {
		return info, err
	}
	if err := base.openLedger(c); err != nil {
		return info, err
	}
	if err := base.createEngine(path, logger); err != nil {
		return info, err
	}
	if info.BackupInfo, err = store.Restore(ctx, base.deps(c, logger), b.From, b.Identities, store.RestoreOptions{AcceptRollback: b.AcceptRollback}); err != nil {
		return info, err
	}
	if base.Store, err = store.Open(ctx, base.deps(c, logger)); err != nil {
		return info, err
	}
	base.closers = append(base.closers, base.Store.Close)
	info.Reapplied = base.Store.Reapplied()
	if info.Keyless, err = base.Store.Keyless(ctx); err != nil {
		return info, err
	}
	return info, refuseOtherKind(base.Store.Dev(), dev)
}

func (b *Base) createEngine(path string, logger *slog.Logger) (err error) {
	if b.Engine, err = bolt.Create(path, bolt.Options{Logger: logger}); err != nil {
		return err
	}
	b.closers = append(b.closers, b.Engine.Close)
	return nil
}

// CheckBackup is a drill: it restores a backup into a folder that is thrown
// away, opens a record of each collection, and compares with the store there
// is, unless a server holds that one. A running server is not disturbed: the
// drill works on a copy of the keyring and audits into a folder of its own.
func CheckBackup(ctx context.Context, c config.Config, logger *slog.Logger, dev bool, b Backup) (report store.CheckReport, err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return report, fmt.Errorf("the data folder: %w", err)
	}
	scratch, err := os.MkdirTemp(c.DataDir, ".restore-check-*") // on a disk that has room for a store
	if err != nil {
		return report, fmt.Errorf("a folder for the drill: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	base := &Base{}
	defer func() { err = errors.Join(err, base.Close()) }()
	live, err := base.openDrill(ctx, c, logger, dev, scratch)
	if err != nil {
		return report, err
	}
	return store.CheckBackup(ctx, base.deps(c, logger), b.From, b.Identities, live)
}

// openDrill opens what a drill needs, and the live store when nothing else has
// it.
func (b *Base) openDrill(ctx context.Context, c config.Config, logger *slog.Logger, dev bool, scratch string) (live *store.Store, err error) {
	there := DataFile(c)
	if err := copyKeyring(&c, scratch); err != nil {
		return nil, err
	}
	if err := b.openKeys(ctx, c, dev); err != nil {
		return nil, err
	}
	dir := filepath.Join(c.AuditDir, "restore-checks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the audit folder: %w", err)
	}
	if b.Audit, err = audit.Open(dir, audit.Options{}); err != nil {
		return nil, err
	}
	b.closers = append(b.closers, b.Audit.Close)
	if live, err = b.openLive(ctx, c, logger, there); err != nil {
		return nil, err
	}
	return live, b.createEngine(filepath.Join(scratch, dataFile), logger)
}

// openLive opens the store there is; nil when there is none, or a server has it.
func (b *Base) openLive(ctx context.Context, c config.Config, logger *slog.Logger, path string) (*store.Store, error) {
	engine, err := bolt.Open(path, bolt.Options{Logger: logger})
	if errors.Is(err, bolt.ErrMissing) || errors.Is(err, bolt.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, engine.Close)
	deps := b.deps(c, logger)
	deps.Engine = engine
	live, err := store.Open(ctx, deps)
	if err == nil {
		b.closers = append(b.closers, live.Close)
	}
	return live, err
}

// copyKeyring makes c name a copy of its keyring, as sealed as that is.
func copyKeyring(c *config.Config, dir string) error {
	if c.Keys.Provider != config.ProviderKeyring {
		return nil
	}
	content, err := os.ReadFile(c.Keys.Keyring.Path)
	if err != nil {
		return fmt.Errorf("the keyring: %w", err)
	}
	c.Keys.Keyring.Path = filepath.Join(dir, "keyring")
	return os.WriteFile(c.Keys.Keyring.Path, content, 0o600)
}
