package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/config"
	"strongroom/internal/secret"
	"strongroom/internal/tlsconf"
)

// EnvOpsURL names the variable of dev.env that holds the operations listener.
const EnvOpsURL = "STRONGROOM_OPS_URL"

// Dev is the home of a development server: one folder with everything.
type Dev struct {
	Home string
	tls  tlsconf.Dev
}

// OpenDev makes a home, or opens the one there is, and returns the
// configuration of a server in it. Listen addresses can be changed afterwards.
func OpenDev(home string, base config.Config) (*Dev, config.Config, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, base, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, base, fmt.Errorf("the home of the development server: %w", err)
	}
	if err := os.WriteFile(filepath.Join(home, ".gitignore"), []byte("*\n"), 0o600); err != nil {
		return nil, base, fmt.Errorf("the home of the development server: %w", err)
	}
	d := &Dev{Home: home}
	if d.tls, err = tlsconf.OpenDev(filepath.Join(home, "tls"), time.Now()); err != nil {
		return nil, base, err
	}
	base.DataDir = filepath.Join(home, "data")
	base.AuditDir = filepath.Join(home, "audit")
	base.LedgerDir = filepath.Join(home, "ledger")
	base.Keys.Provider = config.ProviderKeyring
	base.Keys.Keyring = config.Keyring{Path: filepath.Join(home, "keys", "keyring")}
	return d, base, nil
}

// EnsureStore makes the store of a development server unless it is there, and
// returns the first secret of its dev client when it was made.
func (d *Dev) EnsureStore(ctx context.Context, c config.Config, logger *slog.Logger) (secret.Text, error) {
	secrets, err := Create(ctx, c, logger, []string{devClient}, true)
	switch {
	case errors.Is(err, ErrStoreExists):
		return secret.Text{}, nil
	case err != nil:
		return secret.Text{}, err
	}
	return secrets[0], nil
}

// EnvFile is where a second terminal finds the server.
func (d *Dev) EnvFile() string { return filepath.Join(d.Home, "dev.env") }

// CAFile is what a client must trust.
func (d *Dev) CAFile() string { return d.tls.CAFile }

// WriteEnv writes dev.env with a secret that works: known when that does, else
// the one of the old dev.env, else a new one. It returns how a client connects.
func (d *Dev) WriteEnv(ctx context.Context, a *App, known secret.Text) (client.Config, error) {
	if known.IsZero() {
		known = d.oldSecret()
	}
	value, err := a.devSecret(ctx, known)
	if err != nil {
		return client.Config{}, err
	}
	var b strings.Builder
	for _, v := range [][2]string{
		{client.EnvURL, a.URL()}, {client.EnvCACert, d.CAFile()},
		{client.EnvClientID, devClient}, {client.EnvClientSecret, value.Reveal()},
		{EnvOpsURL, opsURL(a)},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v[0], quote(v[1]))
	}
	return client.Config{
		URL: a.URL(), CACertFile: d.CAFile(), ClientID: devClient, ClientSecret: client.NewSecret(value.Reveal()),
	}, writeAtomically(d.EnvFile(), []byte(b.String()))
}

func opsURL(a *App) string {
	if a.Server.OpsAddr() == "" {
		return ""
	}
	return "https://" + a.Server.OpsAddr()
}

// oldSecret reads the secret of an earlier dev.env, if there is one.
func (d *Dev) oldSecret() secret.Text {
	f, err := os.Open(d.EnvFile())
	if err != nil {
		return secret.Text{}
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "export "+client.EnvClientSecret+"="); ok {
			return secret.New(strings.Trim(value, "'"))
		}
	}
	return secret.Text{}
}

// quote writes a value for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeAtomically writes a file that its owner alone reads, whole or not at all.
func writeAtomically(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// refuseOpenDoor refuses a development server on an address that others reach.
func refuseOpenDoor(o Options) error {
	if o.Dev == nil {
		return nil
	}
	for _, address := range []string{o.Config.Listen, o.Config.OpsListen} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("%q is not an address and a port", address)
		}
		if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
			return fmt.Errorf("a development server listens on loopback addresses only, not on %q", address)
		}
	}
	return nil
}
