package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"strongroom/internal/access"
	"strongroom/internal/config"
	"strongroom/internal/secret"
	"strongroom/store"
	"strongroom/store/bolt"
)

// ErrStoreExists comes when a store is to be made where one is.
var ErrStoreExists = errors.New("there is a store already")

// Create makes a store and its first clients, administrators who are operators
// and auditors too, and returns their secrets: nobody can see them again. The
// store appears when all of it is durable, or not at all.
func Create(ctx context.Context, c config.Config, logger *slog.Logger, admins []string, dev bool) ([]secret.Text, error) {
	path := DataFile(c)
	if exists(path) {
		return nil, fmt.Errorf("%w in %s", ErrStoreExists, c.DataDir)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	if err := createKeyring(c.Keys, dev); err != nil {
		return nil, err
	}
	unfinished := path + ".init"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	defer os.Remove(unfinished)
	secrets, err := createAt(ctx, unfinished, c, logger, admins, dev)
	if err != nil {
		return nil, err
	}
	return secrets, publish(unfinished, path)
}

func createAt(ctx context.Context, path string, c config.Config, logger *slog.Logger, admins []string, dev bool) (secrets []secret.Text, err error) {
	b := &Base{}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Engine, err = bolt.Create(path, bolt.Options{Logger: logger}); err != nil {
		return nil, err
	}
	b.closers = append(b.closers, b.Engine.Close)
	if err := b.openKeys(ctx, c, dev); err != nil {
		return nil, err
	}
	if err := b.openAudit(c); err != nil {
		return nil, err
	}
	if err := b.openLedger(c); err != nil {
		return nil, err
	}
	if err := store.Init(ctx, b.deps(c, logger), store.InitOptions{Dev: dev}); err != nil {
		return nil, err
	}
	if b.Store, err = store.Open(ctx, b.deps(c, logger)); err != nil {
		return nil, err
	}
	b.closers = append(b.closers, b.Store.Close)
	for _, name := range admins {
		made, err := b.Store.InitialClient(ctx, name, rolesOfFirst(dev))
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, made.Secret)
	}
	return secrets, nil
}

func rolesOfFirst(dev bool) []string {
	if dev {
		return devRoles()
	}
	return []string{access.RoleAdministrator, access.RoleOperator, access.RoleAuditor}
}

// publish gives a finished file its name, never over another, and makes that
// durable.
func publish(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return fmt.Errorf("put the store in its place: %w", err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("put the store in its place: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
