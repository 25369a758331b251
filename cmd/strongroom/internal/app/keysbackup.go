package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"strongroom/internal/audit"
	"strongroom/internal/config"
	"strongroom/internal/ledger"
	"strongroom/vaultkeys"
	"strongroom/vaultkeys/keyring"
)

// errNotOurs says who backs up the keys that Vault holds.
var errNotOurs = errors.New("the keys are in Vault, which hands none out: its own snapshots are their backup (`vault operator raft snapshot save`). " +
	"A snapshot holds keys that are destroyed afterwards: keep none longer than erasure.promise")

// BackupKeys writes a copy of the keyring, sealed for a recipient, and returns
// when it expires: what was promised of erasures holds for it too. A server may
// have the keyring.
func BackupKeys(c config.Config, logger *slog.Logger, dev bool, to io.Writer, recipient age.Recipient) (expires time.Time, err error) {
	if c.Keys.Provider != config.ProviderKeyring {
		return expires, errNotOurs
	}
	unlock, err := unlockOf(c.Keys.Keyring, dev)
	if err != nil {
		return expires, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	expires = now.Add(time.Duration(c.Erasure.Promise))
	if err := noteKeys(c, logger, "keys_backed_up", "a copy of the keyring that expires on "+expires.Format(time.RFC3339)); err != nil {
		return expires, err
	}
	return expires, keyring.Backup(c.Keys.Keyring.Path, unlock, to, recipient, now, expires)
}

// RestoreKeys makes a keyring of a copy where there is none. Keys that the
// ledger tells are destroyed are left out.
func RestoreKeys(c config.Config, logger *slog.Logger, dev bool, from io.Reader, identities []age.Identity) (out keyring.RestoredBackup, err error) {
	if c.Keys.Provider != config.ProviderKeyring {
		return out, errNotOurs
	}
	unlock, err := unlockOf(c.Keys.Keyring, dev)
	if err != nil {
		return out, err
	}
	ended, err := endedKeys(c)
	if err != nil {
		return out, err
	}
	if err := os.MkdirAll(filepath.Dir(c.Keys.Keyring.Path), 0o700); err != nil {
		return out, fmt.Errorf("the keyring's folder: %w", err)
	}
	out, err = keyring.RestoreBackup(c.Keys.Keyring.Path, unlock, from, identities, time.Now(), ended)
	if err != nil {
		return out, err
	}
	return out, noteKeys(c, logger, "keys_restored", "from the copy of "+out.CreatedAt.Format(time.RFC3339))
}

// endedKeys reads in the ledger which keys exist no more. Who wrote the ledger
// is found out when the store is opened, with the keys that it needs for that.
func endedKeys(c config.Config) (ended keyring.Ended, err error) {
	l, err := ledger.Open(LedgerDir(c))
	if err != nil {
		return ended, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	epoch, ok := l.Epoch()
	if !ok {
		return ended, nil
	}
	ended = keyring.Ended{Destroyed: map[vaultkeys.KeyName]bool{}, Below: map[vaultkeys.KeyName]int{}}
	err = l.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		name := vaultkeys.IntegrationKey(epoch.Store, e.Integration)
		if e.Integration.IsZero() {
			name = vaultkeys.SystemKey(epoch.Store)
		}
		switch e.Kind {
		case ledger.Destroyed:
			ended.Destroyed[name] = true
		case ledger.Trimmed:
			ended.Below[name] = max(ended.Below[name], int(e.Version))
		}
		return nil
	})
	return ended, err
}

// noteKeys audits what is done to the keyring, unless a server has the audit
// log: then its log says so alone.
func noteKeys(c config.Config, logger *slog.Logger, event, detail string) error {
	if err := os.MkdirAll(c.AuditDir, 0o700); err != nil {
		return fmt.Errorf("the audit folder: %w", err)
	}
	log, err := audit.Open(c.AuditDir, audit.Options{})
	if errors.Is(err, audit.ErrInUse) {
		logger.Warn("a server has the audit log, which does not get this", "event", event, "detail", detail)
		return nil
	}
	if err != nil {
		return err
	}
	e := audit.Entry{Phase: audit.Event, Time: time.Now(), Event: event, Target: "keyring", Detail: detail}
	return errors.Join(log.Write(&e), log.Close())
}

// CheckLedger opens a store and with it its ledger, which is verified, and
// returns how many entries that has.
func CheckLedger(ctx context.Context, c config.Config, logger *slog.Logger, dev bool) (entries uint64, err error) {
	b, err := OpenBase(ctx, c, logger, dev)
	if err != nil {
		return 0, err
	}
	entries, _ = b.Ledger.Head()
	return entries, b.Close()
}
