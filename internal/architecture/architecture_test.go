// Package architecture holds the test that keeps imports running one way.
package architecture

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms lists, for each room, what of the project it may import. A package
// that is not listed under its own path is held against the longest prefix.
var rooms = map[string][]string{
	"strongroom/internal/uid":      {},
	"strongroom/internal/secret":   {},
	"strongroom/internal/span":     {},
	"strongroom/internal/strict":   {},
	"strongroom/internal/attest":   {"strongroom/internal/secret"},
	"strongroom/internal/ledger":   {"strongroom/internal/uid"},
	"strongroom/internal/schema":   {},
	"strongroom/internal/jwks":     {},
	"strongroom/internal/outbound": {},
	"strongroom/internal/dpop":     {"strongroom/internal/jwks"},
	"strongroom/internal/config":   {"strongroom/internal/secret"},
	"strongroom/internal/metrics":  {"strongroom/rotate", "strongroom/store"},
	"strongroom/internal/tlsconf":  {},
	"strongroom/internal/access":   {"strongroom/internal/uid", "strongroom/internal/strict"},
	"strongroom/internal/limits":   {"strongroom/internal/span", "strongroom/internal/strict"},
	"strongroom/internal/audit":    {"strongroom/internal/uid"},
	"strongroom/vaultkeys":         {"strongroom/vaultkeys", "strongroom/internal/uid", "strongroom/internal/secret"},
	"strongroom/envelope":          {"strongroom/vaultkeys", "strongroom/internal/uid"},
	"strongroom/store/kv":          {"strongroom/store/kv"},
	"strongroom/store/bolt":        {"strongroom/store/bolt", "strongroom/store/kv"},
	"strongroom/store":             {"strongroom/store/kv", "strongroom/envelope", "strongroom/vaultkeys", "strongroom/internal/"},
	"strongroom/store/storetest":   {"strongroom/"},
	"strongroom/rotate":            {"strongroom/store", "strongroom/envelope", "strongroom/internal/"},
	"strongroom/internal/identity": {"strongroom/store", "strongroom/internal/"},
	"strongroom/api":               {"strongroom/api", "strongroom/rotate", "strongroom/store", "strongroom/internal/"},
	"strongroom/client":            {},
	"strongroom/internal/demo":     {"strongroom/client", "strongroom/testdata", "strongroom/internal/"},
	"strongroom/internal/bench":    {"strongroom/client", "strongroom/store/bolt/floor", "strongroom/internal/"},
	"strongroom/cmd":               {"strongroom/"},
}

// owners lists the dependencies that one room alone may import.
var owners = map[string]string{
	"go.etcd.io/bbolt":               "strongroom/store/bolt",
	"github.com/tink-crypto/tink-go": "strongroom/envelope",
	"github.com/hashicorp/vault/api": "strongroom/vaultkeys/transit",
	"github.com/gorilla/mux":         "strongroom/api",
	"cel.dev/cel-go":                 "strongroom/internal/access",
	"github.com/caddyserver":         "strongroom/internal/tlsconf",
}

type pkg struct {
	path    string
	imports []string
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range list(t) {
		allowed, room := roomOf(p.path)
		if room == "" {
			continue
		}
		for _, imported := range p.imports {
			if strings.HasPrefix(imported, "strongroom/") && !isAllowed(imported, allowed, p.path) {
				t.Errorf("%s imports %s: %s may import %v", p.path, imported, room, allowed)
			}
		}
	}
}

func TestDependenciesHaveOneOwner(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range p.imports {
			for prefix, owner := range owners {
				if strings.HasPrefix(imported, prefix) && !strings.HasPrefix(p.path, owner) {
					t.Errorf("%s imports %s: only %s may", p.path, imported, owner)
				}
			}
		}
	}
}

// What plays a key service in tests must never be linked into the program.
func TestNoFakesInTheProgram(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "strongroom/cmd/strongroom").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, fake := range []string{"strongroom/envelope/envelopetest", "strongroom/vaultkeys/conformance", "strongroom/internal/vaulttest", "strongroom/store/storetest", "strongroom/store/bolt/bolttest", "github.com/google/tink", "github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset", "github.com/tink-crypto/tink-go/v2/testkeyset", "testing"} {
			if dep == fake || strings.HasPrefix(dep, fake+"/") {
				t.Errorf("the program links %s", dep)
			}
		}
	}
}

func TestEveryPackageHasARoom(t *testing.T) {
	for _, p := range list(t) {
		if _, room := roomOf(p.path); room == "" && !strings.HasPrefix(p.path, "strongroom/testdata") && p.path != "strongroom/internal/architecture" && p.path != "strongroom/internal/vaulttest" {
			t.Errorf("%s is in no room: say in rooms what it may import", p.path)
		}
	}
}

func roomOf(path string) (allowed []string, room string) {
	for name, list := range rooms {
		if (path == name || strings.HasPrefix(path, name+"/")) && len(name) > len(room) {
			allowed, room = list, name
		}
	}
	return allowed, room
}

func isAllowed(imported string, allowed []string, self string) bool {
	return slices.ContainsFunc(allowed, func(prefix string) bool {
		if prefix == "strongroom/store" {
			return imported == prefix
		}
		return imported == prefix || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/")
	})
}

// list returns the project's packages with what their programs import; tests
// may import more.
func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "strongroom/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	var all []pkg
	for l := range strings.Lines(string(out)) {
		words := strings.Fields(l)
		if len(words) > 0 {
			all = append(all, pkg{words[0], words[1:]})
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}
