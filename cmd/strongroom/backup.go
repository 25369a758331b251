package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"strongroom/client"
)

func (c *cli) backupCommand() *cobra.Command {
	var out, recipient string
	cmd := &cobra.Command{
		Use: "backup --out FILE", Short: "Back up a running server's store to a file, and read it back", Args: exactly(0),
		Long: `Back up a running server's store to a file of this machine, mode 0600, which
appears when it is whole and was read back; the server is told so, and destroys
no key that it needs until there is a later one. Field values are sealed in it as they
are in the store; labels and ids are not: --recipient seals all of it with age.
A backup is of no use without the keys: back up the keyring, or Vault, apart.`,
		RunE: c.withClient(func(cmd *cobra.Command, _ []string, api *client.Client) error {
			if out == "" {
				return usagef("say where: --out FILE")
			}
			info, err := c.backup(cmd, api, out, recipient)
			if err != nil {
				return err
			}
			return c.say(info, "%s: %d entries, %d bytes, SHA-256 %s", out, info.Entries, info.Bytes, info.SHA256)
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "the file; it must not exist")
	cmd.Flags().StringVar(&recipient, "recipient", "", "an age recipient (age1...) to seal the backup for")
	return cmd
}

func (c *cli) backup(cmd *cobra.Command, api *client.Client, out, recipient string) (*client.BackupInfo, error) {
	if _, err := os.Lstat(out); err == nil {
		return nil, fmt.Errorf("%s exists: a backup is not written over another", out)
	}
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+"-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("the backup: %w", err)
	}
	defer os.Remove(f.Name())
	info, err := api.Backup(cmd.Context(), recipient, &meter{w: f, c: c})
	c.progressEnd()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("the backup was not made: %w", err)
	}
	if err := readBack(f.Name(), info); err != nil {
		return nil, err
	}
	if err := putInPlace(f.Name(), out); err != nil {
		return nil, err
	}
	if err := api.ConfirmBackup(cmd.Context(), info); err != nil {
		return nil, fmt.Errorf("%s is there and whole, but the server could not be told, and goes by an older one: %w", out, err)
	}
	return info, nil
}

// readBack makes sure that the file holds what came.
func readBack(path string, info *client.BackupInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != info.SHA256 {
		return errors.New("the backup was read back and is not what was written: the disk can't be trusted")
	}
	return nil
}

// putInPlace gives a finished file its name, never over another, and makes that
// durable.
func putInPlace(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return fmt.Errorf("put the file in its place: %w", err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("put the file in its place: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// meter shows how far a stream is.
type meter struct {
	w    io.Writer
	c    *cli
	n    int64
	next int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	if m.n += int64(n); m.n >= m.next {
		m.c.progress("%d MiB", m.n>>20)
		m.next = m.n + 1<<20
	}
	return n, err
}
