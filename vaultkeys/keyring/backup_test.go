package keyring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"strongroom/vaultkeys"
)

// TestACopyOfAKeyring restores a copy: keys that have ended since are left out.
func TestACopyOfAKeyring(t *testing.T) {
	unlock := phrase("correct horse")
	path, kept, wrapped := makeKeyring(t, unlock)
	p := reopen(t, path, unlock)
	gone, cut, old := newKey(t, p), newKey(t, p), newKey(t, p)
	first := sealed(t, p, cut)
	for range 2 {
		if _, err := p.Rotate(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
	}
	last := sealed(t, p, cut)

	identity, err := age.GenerateX25519Identity()
	must(t, err)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var file bytes.Buffer
	must(t, Backup(path, unlock, &file, identity.Recipient(), now, now.Add(time.Hour))) // while it is in use
	must(t, p.Close())
	if bytes.Contains(file.Bytes(), []byte(kept)) {
		t.Error("the copy can be read without its recipient's identity")
	}

	ended := Ended{Destroyed: map[vaultkeys.KeyName]bool{gone: true}, Below: map[vaultkeys.KeyName]int{cut: 3, old: 2}}
	restore := func(path string, at time.Time, identities ...age.Identity) (RestoredBackup, error) {
		return RestoreBackup(path, unlock, bytes.NewReader(file.Bytes()), identities, at, ended)
	}
	if _, err := restore(path, now, identity); err == nil || !strings.Contains(err.Error(), "not written over") {
		t.Errorf("over a keyring: %v", err)
	}
	next := filepath.Join(t.TempDir(), "keyring")
	if _, err := restore(next, now.Add(time.Hour), identity); !errors.Is(err, ErrExpired) {
		t.Errorf("when it has expired: %v", err)
	}
	other, err := age.GenerateX25519Identity()
	must(t, err)
	if _, err := restore(next, now, other); err == nil || !strings.Contains(err.Error(), "identities") {
		t.Errorf("another identity: %v", err)
	}
	if _, err := os.Stat(next); err == nil {
		t.Fatal("a restore that was refused left a keyring")
	}
	out, err := restore(next, now, identity)
	must(t, err)
	if out.Keys != 2 || !slices.Contains(out.Dropped, gone) || !slices.Contains(out.Dropped, old) || !slices.Equal(out.Trimmed, []vaultkeys.KeyName{cut}) {
		t.Errorf("restored: %+v", out)
	}
	p = reopen(t, next, unlock)
	opens(t, p, kept, wrapped)
	opens(t, p, cut, last)
	if _, err := p.Unwrap(t.Context(), cut, first); !errors.Is(err, vaultkeys.ErrRefused) {
		t.Errorf("a version that was trimmed: %v", err)
	}
	if _, err := p.Describe(t.Context(), gone); !errors.Is(err, vaultkeys.ErrKeyNotFound) {
		t.Errorf("a key that was destroyed: %v", err)
	}
}

func TestWhatIsNoCopyOfAKeyring(t *testing.T) {
	for _, text := range []string{"", "dear diary", "age-encryption.org/v1\n"} {
		_, err := RestoreBackup(filepath.Join(t.TempDir(), "keyring"), Unsealed{}, strings.NewReader(text), nil, time.Now(), Ended{})
		if err == nil {
			t.Errorf("%q was restored", text)
		}
	}
}

func FuzzParseBackup(f *testing.F) {
	f.Add([]byte(`{"keyring_backup":1,"created_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-01T00:00:00Z","keyring":{"format":1,"keys":{}}}`))
	f.Add([]byte(`{"keyring_backup":1,"expires_at":"2026-03-01T00:00:00Z","keyring":{"format":1,"keys":{"k":{"latest":1,"versions":{}}}}}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		b, err := parseBackup(plain)
		if err != nil {
			return
		}
		var out RestoredBackup
		b.Keyring.drop(Ended{Below: map[vaultkeys.KeyName]int{"k": 2}}, &out)
		if err := b.Keyring.check(); err != nil {
			t.Errorf("what is left is no keyring: %v", err)
		}
	})
}
