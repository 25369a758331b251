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

// Create makes a store and its first client, an administrator who is an
// operator and auditor too, and returns that client's secret: nobody can see it
// again. The store appears when all of it is durable, or not at all.
func Create(ctx context.Context, c config.Config, logger *slog.Logger, admin string, dev bool) (secret.Text, error) {
	path := DataFile(c)
	if exists(path) {
		return secret.Text{}, fmt.Errorf("%w in %s", ErrStoreExists, c.DataDir)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return secret.Text{}, fmt.Errorf("the data folder: %w", err)
	}
	if err := createKeyring(c.Keys, dev); err != nil {
		return secret.Text{}, err
	}
	unfinished := path + ".init"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return secret.Text{}, fmt.Errorf("remove what an earlier attempt left: %w", err)
	}
	defer os.Remove(unfinished)
	first, err := createAt(ctx, unfinished, c, logger, admin, dev)
	if err != nil {
		return secret.Text{}, err
	}
	return first, publish(unfinished, path)
}

func createAt(ctx context.Context, path string, c config.Config, logger *slog.Logger, admin string, dev bool) (first secret.Text, err error) {
	b := &Base{}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Engine, err = bolt.Create(path, bolt.Options{Logger: logger}); err != nil {
		return first, err
	}
	b.closers = append(b.closers, b.Engine.Close)
	if err := b.openKeys(ctx, c, dev); err != nil {
		return first, err
	}
	if err := b.openAudit(c); err != nil {
		return first, err
	}
	if err := store.Init(ctx, b.deps(c, logger), store.InitOptions{Dev: dev}); err != nil {
		return first, err
	}
	if b.Store, err = store.Open(ctx, b.deps(c, logger)); err != nil {
		return first, err
	}
	b.closers = append(b.closers, b.Store.Close)
	made, err := b.Store.InitialClient(ctx, admin, rolesOfFirst(dev))
	return made.Secret, err
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
