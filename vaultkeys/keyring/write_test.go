package keyring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

var errDisk = errors.New("the disk says no")

// failingSeal fails before anything is written.
type failingSeal struct{ Unsealed }

func (failingSeal) seal([]byte) ([]byte, error) { return nil, errDisk }

// changes is each way to change a keyring that has the key.
var changes = map[string]func(*testing.T, *Provider, vaultkeys.KeyName) error{
	"create": func(t *testing.T, p *Provider, _ vaultkeys.KeyName) error {
		return p.Create(t.Context(), "strongroom-fresh")
	},
	"rotate": func(t *testing.T, p *Provider, key vaultkeys.KeyName) error {
		_, err := p.Rotate(t.Context(), key)
		return err
	},
	"destroy": func(t *testing.T, p *Provider, key vaultkeys.KeyName) error { return p.Destroy(t.Context(), key) },
}

// A change that failed before the file was in its place changed nothing, on the
// disk or in memory.
func TestFailedAndNotPersisted(t *testing.T) {
	for how, fail := range map[string]func(*testing.T, *Provider){
		"it cannot be sealed":        func(_ *testing.T, p *Provider) { p.writer.unlock = failingSeal{} },
		"no file can be made":        func(t *testing.T, p *Provider) { p.writer.path = filepath.Join(t.TempDir(), "gone", "keyring") },
		"the name cannot be taken":   func(t *testing.T, p *Provider) { p.writer.path = occupied(t) },
		"the name is a folder's own": func(t *testing.T, p *Provider) { p.writer.path = t.TempDir() + "/." },
	} {
		for what, change := range changes {
			t.Run(how+"/"+what, func(t *testing.T) {
				path, key, wrapped := makeKeyring(t, Unsealed{})
				before, err := os.ReadFile(path)
				must(t, err)
				p := reopen(t, path, Unsealed{})
				good := p.writer
				fail(t, p)
				if err := change(t, p, key); !errors.Is(err, vaultkeys.ErrUnavailable) {
					t.Errorf("the error is %v", err)
				}
				wantNothingLeft(t, filepath.Dir(p.writer.path))
				p.writer = good
				wantUnchanged(t, p, key, wrapped)
				must(t, p.Close())
				after, err := os.ReadFile(path)
				must(t, err)
				if !bytes.Equal(before, after) {
					t.Error("the file changed")
				}
				wantUnchanged(t, reopen(t, path, Unsealed{}), key, wrapped)
			})
		}
	}
}

// occupied is a path that a file cannot be renamed to.
func occupied(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "keyring")
	must(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
	return path
}

func wantNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, ".*.new")); len(left) > 0 {
		t.Errorf("half written files are left: %v", left)
	}
}

func wantUnchanged(t *testing.T, p *Provider, key vaultkeys.KeyName, wrapped []vaultkeys.Item) {
	t.Helper()
	opens(t, p, key, wrapped)
	info, err := p.Describe(t.Context(), key)
	must(t, err)
	if info.Latest != 1 || len(p.doc.Keys) != 1 {
		t.Errorf("version %d of %d keys: something changed", info.Latest, len(p.doc.Keys))
	}
}

// A change that is on the disk, but not sure to last, is told as a failure.
// Whether the old file comes back or the new one stays, everything that is
// sealed from then on can be opened.
func TestFailedButPersisted(t *testing.T) {
	for what, change := range changes {
		for _, survives := range []string{"old", "new"} {
			t.Run(what+"/"+survives, func(t *testing.T) {
				path, key, wrapped := makeKeyring(t, Unsealed{})
				old, err := os.ReadFile(path)
				must(t, err)
				p := reopen(t, path, Unsealed{})
				p.writer.sync = func(string) error { return errDisk }
				err = change(t, p, key)
				if !errors.Is(err, vaultkeys.ErrUnavailable) || !errors.Is(err, errUnsure) {
					t.Errorf("the error is %v", err)
				}
				after := sealMore(t, p, key)
				must(t, p.Close())
				if survives == "old" {
					must(t, os.WriteFile(path, old, 0o600))
				}
				p = reopen(t, path, Unsealed{})
				for k, items := range after {
					opens(t, p, k, items)
				}
				if what != "destroy" || survives == "old" {
					opens(t, p, key, wrapped)
				}
			})
		}
	}
}

// sealMore seals under every key that the provider still has.
func sealMore(t *testing.T, p *Provider, keys ...vaultkeys.KeyName) map[vaultkeys.KeyName][]vaultkeys.Item {
	t.Helper()
	out := map[vaultkeys.KeyName][]vaultkeys.Item{}
	for _, key := range append(keys, "strongroom-fresh") {
		if _, err := p.Describe(t.Context(), key); err == nil {
			out[key] = sealed(t, p, key)
		}
	}
	return out
}

// The next change that succeeds settles what was not sure.
func TestAChangeAfterAFailureSettles(t *testing.T) {
	path, key, wrapped := makeKeyring(t, Unsealed{})
	p := reopen(t, path, Unsealed{})
	p.writer.sync = func(string) error { return errDisk }
	for _, change := range changes {
		if err := change(t, p, key); err == nil {
			t.Error("a change that is not sure to last succeeded")
		}
	}
	p.writer.sync = syncFolder
	fresh := newKey(t, p)
	more := sealed(t, p, fresh)
	must(t, p.Close())
	p = reopen(t, path, Unsealed{})
	opens(t, p, fresh, more)
	if info, err := p.Describe(t.Context(), key); err == nil {
		opens(t, p, key, wrapped)
		if info.Latest != 1 {
			t.Errorf("the version is %d", info.Latest)
		}
	}
	if len(p.doc.Keys) > 2 {
		t.Errorf("there are %d keys", len(p.doc.Keys))
	}
}

// A destroyed key is gone from the file, and from what a crash left beside it.
func TestADestroyedKeyIsGoneFromTheFolder(t *testing.T) {
	path, key, _ := makeKeyring(t, Unsealed{})
	half, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".keyring-123.new"), half, 0o600))
	doc, err := parse(half)
	must(t, err)
	_, text, _ := strings.Cut(string(half), `"key":"`)
	text, _, _ = strings.Cut(text, `"`)
	bytesOfKey := doc.Keys[key].Versions[1].Key
	p := reopen(t, path, Unsealed{})
	must(t, p.Destroy(t.Context(), key))
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		must(t, err)
		if bytes.Contains(raw, bytesOfKey) || bytes.Contains(raw, []byte(text)) || bytes.Contains(raw, []byte(key)) {
			t.Errorf("%s still has the destroyed key", e.Name())
		}
	}
}

// Whoever reads the file while it is replaced sees a whole keyring.
func TestTheFileIsWholeAtEveryInstant(t *testing.T) {
	path, key, wrapped := makeKeyring(t, Unsealed{})
	p := reopen(t, path, Unsealed{})
	done := make(chan error, 1)
	go func() {
		for range 50 {
			if err := p.Create(t.Context(), vaultkeys.IntegrationKey(uid.New(), uid.New())); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for reads := 0; ; reads++ {
		doc, err := readFile(path, Unsealed{})
		must(t, err)
		if doc.Keys[key] == nil {
			t.Fatalf("read %d misses the first key", reads)
		}
		select {
		case err := <-done:
			must(t, err)
			opens(t, p, key, wrapped)
			return
		default:
		}
	}
}
