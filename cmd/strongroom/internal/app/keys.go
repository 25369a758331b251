package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/internal/config"
	"strongroom/internal/secret"
	"strongroom/vaultkeys"
	"strongroom/vaultkeys/keyring"
	"strongroom/vaultkeys/transit"
)

// openProvider opens the provider of key-encryption keys. A keyring must be
// there: see createKeyring.
func openProvider(ctx context.Context, c config.Keys, dev bool) (vaultkeys.Provider, func() error, error) {
	if c.Provider == config.ProviderVault {
		p, err := transit.Open(ctx, transitConfig(c.Vault))
		if err != nil {
			return nil, nil, err
		}
		return p, p.Close, nil
	}
	unlock, err := unlockOf(c.Keyring, dev)
	if err != nil {
		return nil, nil, err
	}
	p, err := keyring.Open(c.Keyring.Path, unlock)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// CheckKeys opens the provider as a server would, and closes it. A keyring is
// opened as a copy, which is thrown away: a server may have it.
func CheckKeys(ctx context.Context, c config.Config, dev bool) (name string, err error) {
	dir, err := os.MkdirTemp("", "strongroom-keys-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	place := c.Keys.Keyring.Path
	if err := copyKeyring(&c, dir); err != nil {
		return "", err
	}
	keys, closeKeys, err := openProvider(ctx, c.Keys, dev)
	if err != nil {
		return "", err
	}
	if name = keys.Name(); c.Keys.Provider == config.ProviderKeyring {
		name = "local keyring " + place
	}
	return name, closeKeys()
}

// createKeyring makes the keyring of a new store, unless one is there.
func createKeyring(c config.Keys, dev bool) error {
	if c.Provider != config.ProviderKeyring || exists(c.Keyring.Path) {
		return nil
	}
	unlock, err := unlockOf(c.Keyring, dev)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.Keyring.Path), 0o700); err != nil {
		return fmt.Errorf("the keyring's folder: %w", err)
	}
	p, err := keyring.Create(c.Keyring.Path, unlock)
	if err != nil {
		return err
	}
	return p.Close()
}

// unlockOf says what unseals the keyring.
func unlockOf(c config.Keyring, dev bool) (keyring.Unlock, error) {
	switch {
	case dev:
		return keyring.Unsealed{}, nil
	case c.KeyFile != "":
		return keyring.KeyFile{Path: c.KeyFile}, nil
	case c.PassphraseEnv != "":
		return passphrase(os.Getenv(c.PassphraseEnv), "the variable "+c.PassphraseEnv)
	}
	text, err := os.ReadFile(c.PassphraseFile)
	if err != nil {
		return nil, fmt.Errorf("the keyring's passphrase: %w", err)
	}
	return passphrase(strings.TrimRight(string(text), "\r\n"), c.PassphraseFile)
}

func passphrase(text, from string) (keyring.Unlock, error) {
	if text == "" {
		return nil, errors.New("the keyring's passphrase is empty: see " + from)
	}
	return keyring.Passphrase{Text: secret.New(text)}, nil
}

func transitConfig(c config.Vault) transit.Config {
	t := transit.Config{
		Address: c.Address, Namespace: c.Namespace, Mount: c.Mount, CACertFile: c.CACertFile,
		Timeout: time.Duration(c.Timeout), Retries: c.Retries, Auth: transitAuth(c.Auth),
	}
	if c.LifecycleAuth.Method != "" {
		lifecycle := transitAuth(c.LifecycleAuth)
		t.LifecycleAuth = &lifecycle
	}
	return t
}

func transitAuth(a config.Auth) transit.Auth {
	return transit.Auth{
		Method: a.Method, Mount: a.Mount, TokenFile: a.TokenFile, TokenEnv: a.TokenEnv,
		RoleIDFile: a.RoleIDFile, SecretIDFile: a.SecretIDFile, Role: a.Role, JWTFile: a.JWTFile,
		CertFile: a.CertFile, KeyFile: a.KeyFile,
	}
}
