package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

func phrase(text string) Unlock { return Passphrase{Text: secret.New(text)} }

// newKeyFile writes an identity as age-keygen does.
func newKeyFile(t testing.TB, identity fmt.Stringer) KeyFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity.txt")
	must(t, os.WriteFile(path, []byte("# created: today\n"+identity.String()+"\n"), 0o600))
	return KeyFile{path}
}

func x25519(t testing.TB) KeyFile {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	return newKeyFile(t, identity)
}

func hybrid(t testing.TB) KeyFile {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	must(t, err)
	return newKeyFile(t, identity)
}

// make creates a keyring with one key and closes it.
func makeKeyring(t testing.TB, unlock Unlock) (path string, key vaultkeys.KeyName, wrapped []vaultkeys.Item) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keyring")
	p, err := Create(path, unlock)
	must(t, err)
	key = newKey(t, p)
	wrapped = sealed(t, p, key)
	must(t, p.Close())
	return path, key, wrapped
}

func newKey(t testing.TB, p *Provider) vaultkeys.KeyName {
	t.Helper()
	key := vaultkeys.IntegrationKey(uid.New(), uid.New())
	must(t, p.Create(t.Context(), key))
	return key
}

func sealed(t testing.TB, p *Provider, key vaultkeys.KeyName) []vaultkeys.Item {
	t.Helper()
	out, err := p.Wrap(t.Context(), key, []vaultkeys.Item{{Data: []byte("a keyset"), AssociatedData: []byte("a place")}})
	must(t, err)
	return []vaultkeys.Item{{Data: out[0], AssociatedData: []byte("a place")}}
}

func opens(t testing.TB, p *Provider, key vaultkeys.KeyName, wrapped []vaultkeys.Item) {
	t.Helper()
	out, err := p.Unwrap(t.Context(), key, wrapped)
	must(t, err)
	if string(out[0]) != "a keyset" {
		t.Errorf("it unwraps to %q", out[0])
	}
}

func reopen(t testing.TB, path string, unlock Unlock) *Provider {
	t.Helper()
	p, err := Open(path, unlock)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func wantRefused(t testing.TB, path string, unlock Unlock, says string) {
	t.Helper()
	p, err := Open(path, unlock)
	if err == nil {
		p.Close()
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("opening it: %v, want an error that says %q", err, says)
	}
	if err != nil && (strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), "SECRET-KEY")) {
		t.Errorf("the error repeats a secret: %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachUnlockOpensWhatItSealed(t *testing.T) {
	for name, unlock := range map[string]Unlock{
		"passphrase": phrase("correct horse"), "key file": x25519(t), "post-quantum key file": hybrid(t), "unsealed": Unsealed{},
	} {
		t.Run(name, func(t *testing.T) {
			path, key, wrapped := makeKeyring(t, unlock)
			p := reopen(t, path, unlock)
			opens(t, p, key, wrapped)
			_, err := p.Rotate(t.Context(), key)
			must(t, err)
			must(t, p.Close())
			p = reopen(t, path, unlock)
			opens(t, p, key, wrapped)
			opens(t, p, key, sealed(t, p, key))
		})
	}
}

// A sealed file shows neither the keys' bytes nor their names.
func TestASealedFileShowsNothing(t *testing.T) {
	unlock := x25519(t)
	path, key, _ := makeKeyring(t, unlock)
	raw, err := os.ReadFile(path)
	must(t, err)
	doc, err := readFile(path, unlock)
	must(t, err)
	if bytes.Contains(raw, []byte(key)) || bytes.Contains(raw, []byte("versions")) || bytes.Contains(raw, doc.Keys[key].Versions[1].Key) {
		t.Error("a sealed file shows what it holds")
	}
}

func TestWrongUnlocks(t *testing.T) {
	byPhrase, _, _ := makeKeyring(t, phrase("correct horse"))
	byKey, _, _ := makeKeyring(t, x25519(t))
	bare, _, _ := makeKeyring(t, Unsealed{})
	notOne := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(notOne, []byte("AGE-SECRET-KEY-1NOTONE\n"), 0o600))
	for _, c := range []struct {
		path   string
		unlock Unlock
		says   string
	}{
		{byPhrase, phrase("battery staple"), "the passphrase is wrong"},
		{byPhrase, phrase(""), "the passphrase is empty"},
		{byPhrase, x25519(t), "the key file is not the one"},
		{byPhrase, Unsealed{}, "it is sealed; give its passphrase or key file"},
		{byKey, x25519(t), "the key file is not the one"},
		{byKey, phrase("correct horse"), "the passphrase is wrong"},
		{byKey, KeyFile{"/no/such/file"}, "key file: open /no/such/file"},
		{byKey, KeyFile{notOne}, "it is not an age identity file"},
		{bare, phrase("correct horse"), "it is not sealed"},
		{bare, x25519(t), "it is not sealed"},
	} {
		wantRefused(t, c.path, c.unlock, c.says)
	}
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	path, key, _ := makeKeyring(t, Unsealed{})
	wantMode := func() {
		t.Helper()
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is %04o", info.Mode().Perm())
		}
	}
	wantMode()
	p := reopen(t, path, Unsealed{})
	_, err := p.Rotate(t.Context(), key)
	must(t, err)
	wantMode()
	must(t, p.Close())
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666, 0o610, 0o601} {
		must(t, os.Chmod(path, mode))
		wantRefused(t, path, Unsealed{}, "it must be 0600")
	}
}

func TestAKeyringIsNotWrittenOver(t *testing.T) {
	path, _, _ := makeKeyring(t, Unsealed{})
	before, err := os.ReadFile(path)
	must(t, err)
	if p, err := Create(path, Unsealed{}); err == nil {
		p.Close()
		t.Error("a keyring was made where one was")
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("it was changed")
	}
}

func TestAMissingKeyring(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	wantRefused(t, path, Unsealed{}, "it is missing; without it nothing that it sealed can ever be opened")
	if left, _ := filepath.Glob(path + "*"); len(left) != 0 {
		t.Errorf("looking for it made %v", left)
	}
}

// A damaged sealed file is refused, whichever byte it is; so is one that was
// cut anywhere.
func TestDamagedFiles(t *testing.T) {
	unlock := x25519(t)
	path, _, _ := makeKeyring(t, unlock)
	whole, err := os.ReadFile(path)
	must(t, err)
	refused := func(damaged []byte, what string, at int) {
		t.Helper()
		if plain, err := unlock.open(damaged); err == nil || plain != nil {
			t.Errorf("%s at %d it is unsealed, %v", what, at, err)
		}
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x20, 0x80} {
			damaged := bytes.Clone(whole)
			damaged[i] ^= bit
			refused(damaged, "changed", i)
		}
		refused(whole[:i], "cut", i)
	}
	for _, damaged := range [][]byte{nil, whole[:20], whole[:len(whole)-1], append(bytes.Clone(whole), 'x')} {
		must(t, os.WriteFile(path, damaged, 0o600))
		wantRefused(t, path, unlock, "keyring "+path)
	}
	must(t, os.WriteFile(path, whole, 0o600))
	reopen(t, path, unlock)
}

// Each passphrase costs half a second on purpose, so not every byte is tried.
func TestDamagedFilesUnderAPassphrase(t *testing.T) {
	unlock := phrase("correct horse")
	path, _, _ := makeKeyring(t, unlock)
	whole, err := os.ReadFile(path)
	must(t, err)
	for i := 0; i < len(whole); i += len(whole) / 4 {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		must(t, os.WriteFile(path, damaged, 0o600))
		wantRefused(t, path, unlock, "keyring "+path)
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	key := `"` + strings.Repeat("A", 43) + `="`
	for text, says := range map[string]string{
		``:                               "this is not a keyring",
		`[]`:                             "this is not a keyring",
		`{"format":1`:                    "this is not a keyring",
		`{"format":1}{}`:                 "this is not a keyring",
		`{}`:                             "it has format 0",
		`{"format":2}`:                   "it has format 2; this program reads format 1",
		`{"format":1,"keys":"no"}`:       "this is not a keyring",
		`{"format":1,"keys":{"k":null}}`: "has no newest version",
		`{"format":1,"keys":{"k":{}}}`:   "has no newest version",
		`{"format":1,"keys":{"k":{"latest":2,"versions":{"1":{"key":` + key + `}}}}}`:                         "has no newest version",
		`{"format":1,"keys":{"k":{"latest":1,"versions":{"1":{"key":"AAAA"}}}}}`:                              "version 1 of key",
		`{"format":1,"keys":{"k":{"latest":1,"versions":{"1":null}}}}`:                                        "has no newest version",
		`{"format":1,"keys":{"k":{"latest":-1,"versions":{"-1":{"key":` + key + `}}}}}`:                       "is damaged",
		`{"format":1,"keys":{"k":{"latest":1,"versions":{"1":{"key":` + key + `},"2":{"key":` + key + `}}}}}`: "version 2 of key",
		`{"format":1,"keys":{"k":{"latest":3,"versions":{"1":{"key":` + key + `},"3":{"key":` + key + `}}}}}`: "one above it is missing",
		`{"format":1,"keys":{"k":{"latest":1,"minimum":2,"versions":{"1":{"key":` + key + `}}}}}`:             "the lowest version of key",
		`{"format":1,"keys":{"k":{"latest":1,"minimum":-1,"versions":{"1":{"key":` + key + `}}}}}`:            "the lowest version of key",
		`{"format":1,"keys":{"k":{"latest":4294967296,"versions":{"4294967296":{"key":` + key + `}}}}}`:       "has no newest version",
	} {
		path := filepath.Join(t.TempDir(), "keyring")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		wantRefused(t, path, Unsealed{}, says)
	}
}

// One process uses a keyring at a time: two would overwrite each other's keys.
func TestTwoProcesses(t *testing.T) {
	if path := os.Getenv("STRONGROOM_TEST_KEYRING"); path != "" {
		_, err := Open(path, Unsealed{})
		fmt.Println("open:", err)
		return
	}
	path, _, _ := makeKeyring(t, Unsealed{})
	other := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$")
		cmd.Env = append(os.Environ(), "STRONGROOM_TEST_KEYRING="+path)
		out, err := cmd.CombinedOutput()
		must(t, err)
		return string(out)
	}
	p := reopen(t, path, Unsealed{})
	if out := other(); !strings.Contains(out, "another process uses it") {
		t.Errorf("another process says %s", out)
	}
	must(t, p.Close())
	if out := other(); !strings.Contains(out, "open: <nil>") {
		t.Errorf("with the keyring closed, another process says %s", out)
	}
}

func TestAClosedKeyringIsUnavailable(t *testing.T) {
	path, key, wrapped := makeKeyring(t, Unsealed{})
	p := reopen(t, path, Unsealed{})
	must(t, p.Close())
	_, wrap := p.Wrap(t.Context(), key, wrapped)
	_, unwrap := p.Unwrap(t.Context(), key, wrapped)
	_, describe := p.Describe(t.Context(), key)
	_, rotate := p.Rotate(t.Context(), key)
	for _, err := range []error{wrap, unwrap, describe, rotate, p.Create(t.Context(), key), p.Destroy(t.Context(), key),
		p.SetMinimum(t.Context(), key, 1), p.Trim(t.Context(), key, 1), p.SelfTest(t.Context(), key)} {
		if !errors.Is(err, vaultkeys.ErrUnavailable) || errors.Is(err, vaultkeys.ErrRefused) {
			t.Errorf("the error is %v", err)
		}
	}
}
