package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom/vaultkeys"
)

// threeVersions makes a keyring whose key has three versions, and items under
// each.
func threeVersions(t *testing.T) (path string, key vaultkeys.KeyName, items [4][]vaultkeys.Item) {
	t.Helper()
	path, key, items[1] = makeKeyring(t, Unsealed{})
	p := reopen(t, path, Unsealed{})
	for n := 2; n <= 3; n++ {
		_, err := p.Rotate(t.Context(), key)
		must(t, err)
		items[n] = sealed(t, p, key)
	}
	must(t, p.Close())
	return path, key, items
}

// wantOpens checks which versions open, and how the others are refused.
func wantOpens(t *testing.T, p *Provider, key vaultkeys.KeyName, items [4][]vaultkeys.Item, errs ...error) {
	t.Helper()
	for i, want := range errs {
		if _, err := p.Unwrap(t.Context(), key, items[i+1]); !errors.Is(err, want) {
			t.Errorf("version %d: %v, want %v", i+1, err, want)
		}
	}
}

// The minimum lasts, and takes no bytes away.
func TestTheMinimumLasts(t *testing.T) {
	path, key, items := threeVersions(t)
	p := reopen(t, path, Unsealed{})
	must(t, p.SetMinimum(t.Context(), key, 3))
	must(t, p.Close())
	p = reopen(t, path, Unsealed{})
	wantOpens(t, p, key, items, vaultkeys.ErrTooOld, vaultkeys.ErrTooOld, nil)
	_, err := p.Rotate(t.Context(), key)
	must(t, err)
	wantOpens(t, p, key, items, vaultkeys.ErrTooOld, vaultkeys.ErrTooOld, nil)
	must(t, p.SetMinimum(t.Context(), key, 1))
	wantOpens(t, p, key, items, nil, nil, nil)
}

// A trimmed version's bytes are in no file of the folder.
func TestATrimmedVersionIsGoneFromTheFile(t *testing.T) {
	path, key, items := threeVersions(t)
	before, err := os.ReadFile(path)
	must(t, err)
	doc, err := parse(before)
	must(t, err)
	p := reopen(t, path, Unsealed{})
	must(t, p.SetMinimum(t.Context(), key, 3))
	held := p.doc.Keys[key].Versions[1].Key
	must(t, p.Trim(t.Context(), key, 3))
	if !bytes.Equal(held, make([]byte, keySize)) {
		t.Error("the trimmed version's bytes are still in memory")
	}
	must(t, p.Close())
	after, err := os.ReadFile(path)
	must(t, err)
	for n, v := range doc.Keys[key].Versions {
		text := base64Text(v.Key)
		if has := bytes.Contains(after, text); has != (n == 3) || !bytes.Contains(before, text) {
			t.Errorf("version %d: the file has its bytes: %t", n, has)
		}
	}
	wantNothingLeft(t, filepath.Dir(path))
	p = reopen(t, path, Unsealed{})
	wantOpens(t, p, key, items, vaultkeys.ErrTrimmed, vaultkeys.ErrTrimmed, nil)
}

// A minimum or a trim that failed changed nothing; one that is not sure to last
// is told as a failure, whichever file survives has what was sealed since, and
// doing it again makes it sure.
func TestATrimThatFails(t *testing.T) {
	changes := map[string]func(*Provider, vaultkeys.KeyName) error{
		"minimum": func(p *Provider, key vaultkeys.KeyName) error { return p.SetMinimum(t.Context(), key, 3) },
		"trim":    func(p *Provider, key vaultkeys.KeyName) error { return p.Trim(t.Context(), key, 2) },
	}
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			path, key, items := threeVersions(t)
			p := reopen(t, path, Unsealed{})
			must(t, p.SetMinimum(t.Context(), key, 2))
			old, err := os.ReadFile(path)
			must(t, err)

			good := p.writer
			p.writer.unlock = failingSeal{}
			if err := change(p, key); !errors.Is(err, vaultkeys.ErrUnavailable) {
				t.Errorf("failed and not persisted: %v", err)
			}
			wantOpens(t, p, key, items, vaultkeys.ErrTooOld, nil, nil)
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
				t.Errorf("the file changed (%v)", err)
			}

			p.writer = good
			p.writer.sync = func(string) error { return errDisk }
			for range 2 { // again is not sure either
				if err := change(p, key); !errors.Is(err, errUnsure) {
					t.Errorf("failed but persisted: %v", err)
				}
			}
			fresh := sealed(t, p, key)
			new, err := os.ReadFile(path)
			must(t, err)
			must(t, p.Close())
			for _, survives := range [][]byte{old, new} {
				must(t, os.WriteFile(path, survives, 0o600))
				p = reopen(t, path, Unsealed{})
				opens(t, p, key, fresh)
				opens(t, p, key, items[3])
				must(t, change(p, key))
				must(t, p.Close())
				p = reopen(t, path, Unsealed{})
				info, err := p.Describe(t.Context(), key)
				must(t, err)
				if what == "trim" && info.Available != 2 || what == "minimum" && info.Minimum != 3 {
					t.Errorf("after it was done again the key is told as %+v", info)
				}
				must(t, p.Close())
			}
		})
	}
}

// What finds nothing to do writes all the same while the file is not sure.
func TestNothingToDoIsMadeSure(t *testing.T) {
	path, key, _ := threeVersions(t)
	p := reopen(t, path, Unsealed{})
	must(t, p.SetMinimum(t.Context(), key, 3))
	old, err := os.ReadFile(path)
	must(t, err)
	p.writer.sync = func(string) error { return errDisk }
	if err := p.Trim(t.Context(), key, 3); !errors.Is(err, errUnsure) {
		t.Fatal(err)
	}
	must(t, os.WriteFile(path, old, 0o600)) // a crash of the machine would bring it back
	p.writer.sync = syncFolder
	must(t, p.Trim(t.Context(), key, 3))
	must(t, p.Close())
	p = reopen(t, path, Unsealed{})
	info, err := p.Describe(t.Context(), key)
	must(t, err)
	if info.Available != 3 {
		t.Errorf("the trim did not last: %+v", info)
	}
}

func base64Text(b []byte) []byte {
	return base64.StdEncoding.AppendEncode(nil, b)
}
