package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenIDClient drives a server by a client of OAuth that nobody here wrote,
// from npm. It needs node, and the registry.
func TestOpenIDClient(t *testing.T) {
	if os.Getenv("STRONGROOM_LONG") == "" && os.Getenv("CI") == "" {
		t.Skip("set STRONGROOM_LONG=1: it installs openid-client by npm ci, in a folder of its own")
	}
	dir := t.TempDir()
	startServer(t, dir, strings.Fields("strongroom serve --dev --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0"))
	for _, name := range []string{"package.json", "package-lock.json", "check.mjs"} {
		text, err := os.ReadFile(filepath.Join(repository, "testdata", "openid-client", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.Command("bash", "-euc", `
source .strongroom/dev.env
npm ci --no-audit --no-fund
export KEY_FILE=signer.pem NODE_EXTRA_CA_CERTS=$STRONGROOM_CACERT
strongroom client keygen $KEY_FILE > keys.json
strongroom client put signer --role auditor --auth-method private_key_jwt --jwks @keys.json
strongroom client put app --role auditor
export APP_SECRET=$(strongroom client secret create app)
strongroom integration put crm
strongroom collection put crm/keys - <<< '{"type":"object","properties":{"key":{"type":"string"}}}'
strongroom record put crm/keys/k1 - <<< '{"key":"from the store"}'
strongroom role put reader - <<< '{"rules":[{"integrations":["crm"],"collections":["keys"],"actions":["read"],"read":{"*":"clear"}}]}'
strongroom client put reader --role reader --dpop-bound
export READER_SECRET=$(strongroom client secret create reader)
node check.mjs`)
	shell.Dir = dir
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("openid-client: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), "lived and ended"); n != 4 {
		t.Errorf("%d of 4 tokens lived and ended:\n%s", n, out)
	}
	if n := strings.Count(string(out), "lived bound to its key"); n != 4 {
		t.Errorf("%d of 4 tokens lived bound to a key:\n%s", n, out)
	}
}

// TestTheLockNamesNoRegistry: what is installed is fixed by its hashes, and
// comes from whatever registry the machine uses.
func TestTheLockNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile(filepath.Join(repository, "testdata", "openid-client", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) || !strings.Contains(string(lock), `"integrity": "sha512-`) {
		t.Error("package-lock.json holds addresses, or no hashes")
	}
}
