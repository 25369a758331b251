package vaulttest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The nested module, under the root of the module that is tested.
const source = "testdata/vaultserver"

// howTo is what a skipped test says.
const howTo = "the Vault server for tests is not built yet (it takes some minutes and 2 GB of modules): " +
	"run with STRONGROOM_VAULT=build once, or name a server by VAULT_ADDR and VAULT_TOKEN"

// mustBuild reports whether the server is to be built when it is missing. In
// CI it is: there these tests are never skipped.
func mustBuild() bool {
	return os.Getenv("STRONGROOM_VAULT") == "build" || os.Getenv("CI") == "true"
}

// binary returns the path of the server's program. It is kept outside of the
// tree, under a hash of everything that it is made of.
func binary(t testing.TB) string {
	t.Helper()
	dir, err := sourceDir()
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	hash, err := hashOf(dir)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	path := filepath.Join(cache, "strongroom-test", hash, "vaultserver")
	if built(path) {
		return path
	}
	if !mustBuild() {
		t.Skip(howTo)
	}
	if err := build(dir, path); err != nil {
		t.Fatalf("vaulttest: building the server: %v", err)
	}
	return path
}

func built(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// sourceDir finds the nested module above the test's working directory.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		candidate := filepath.Join(dir, filepath.FromSlash(source))
		if _, err := os.Stat(filepath.Join(candidate, "go.mod")); err == nil {
			return candidate, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("no folder " + source + " above the test")
	}
}

func hashOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.IsDir() || !(strings.HasSuffix(e.Name(), ".go") || strings.HasPrefix(e.Name(), "go."))
	})
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, e := range entries { // sorted by name
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, e.Name(), len(raw))
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// build makes the program, once for all test processes that want it.
func build(dir, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if built(path) {
		return nil
	}
	cmd := exec.Command("go", "build", "-o", path+".new", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(path+".new", path)
}
