package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/client"
	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys/transit"
)

// TestVaultScripts runs the scripts of testdata/vault, each against a Vault
// server of its own.
func TestVaultScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/vault/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			v := &vaultScript{vaulttest.New(t), t}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, RequireExplicitExec: true, RequireUniqueNames: true, Setup: v.setup,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits, "source": source, "save": save, "waitready": waitReady, "waitlog": waitLog, "signal": signalLast,
					"vault": v.command, "vaultkey": v.key, "ready": ready, "reads": reads, "refused": refused, "holds": holds, "says": says,
				},
			})
		})
	}
}

// vaultScript is a script with its server.
type vaultScript struct {
	*vaulttest.Server
	t *testing.T
}

// setup prepares Vault as an operator does: the engine, the two shipped
// policies, and an AppRole for each.
func (v *vaultScript) setup(env *testscript.Env) error {
	v.Mount(v.t, "transit")
	v.Policy(v.t, "strongroom-everyday", transit.EverydayPolicy)
	v.Policy(v.t, "strongroom-lifecycle", transit.LifecyclePolicy)
	files := map[string]string{"vault-ca.pem": v.CAFile(v.t)}
	for name, prefix := range map[string]string{"everyday": "", "lifecycle": "lifecycle-"} {
		files[prefix+"role-id"], files[prefix+"secret-id"] = v.AppRole(v.t, name, "1h", "24h", "strongroom-"+name)
	}
	for name, from := range files {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
			return err
		}
	}
	env.Setenv("VAULT_TLS", v.TLSAddress)
	env.Setenv("STRONGROOM_KEYS_VAULT_ADDRESS", v.TLSAddress)
	return setup(env)
}

// vault kill|restart|seal|unseal|stop|continue does that to the server; vault
// ignorant puts one in its place that ignores associated data.
func (v *vaultScript) command(ts *testscript.TestScript, _ bool, args []string) {
	do := map[string]func(testing.TB){
		"kill": v.Kill, "restart": v.Restart, "seal": v.Seal, "unseal": v.Unseal, "stop": v.Stop, "continue": v.Continue,
		"ignorant": func(testing.TB) { ts.Setenv("STRONGROOM_KEYS_VAULT_ADDRESS", v.ignorant()) },
	}[args[0]]
	if do == nil {
		ts.Fatalf("vault %s is nothing that it can do", args[0])
	}
	do(v.t)
}

func (v *vaultScript) ignorant() string {
	return v.Proxy(v.t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		text := strings.ReplaceAll(string(body), `"associated_data"`, `"ignored"`)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		next.ServeHTTP(w, r)
	}).Address
}

// vaultkey of INTEGRATION VARIABLE sets a variable to the name of its key;
// vaultkey delete NAME deletes one as somebody else than Strongroom does; and
// vaultkey exists NAME looks.
func (v *vaultScript) key(ts *testscript.TestScript, neg bool, args []string) {
	switch args[0] {
	case "of":
		ts.Setenv(args[2], v.keyOf(ts, args[1]))
	case "delete":
		v.Call(v.t, "POST", "transit/keys/"+args[1]+"/config", map[string]any{"deletion_allowed": true})
		v.Call(v.t, "DELETE", "transit/keys/"+args[1], nil)
	case "exists":
		if _, err := v.Try(v.RootToken, "GET", "transit/keys/"+args[1], nil); (err == nil) == neg {
			ts.Fatalf("asked for the key Vault says %v", err)
		}
	}
}

func (v *vaultScript) keyOf(ts *testscript.TestScript, integration string) string {
	ts.Check(ts.Exec("strongroom", "integration", "get", integration, "--output", "json"))
	var answer struct{ UID string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &answer))
	for _, name := range v.Call(v.t, "LIST", "transit/keys", nil)["keys"].([]any) {
		if answer.UID != "" && strings.HasSuffix(name.(string), "-"+answer.UID) {
			return name.(string)
		}
	}
	ts.Fatalf("Vault has no key of the integration")
	return ""
}

// says TEXT COMMAND... runs a command until it prints a text.
func says(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("it never says %q", args[0])
}

const patience = 30 * time.Second

// ready FILE TEXT waits until /readyz on the operations listener, which the log
// tells, says a text.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	_, rest, _ := strings.Cut(await(ts, args[0], `"msg":"serving"`), `"operations":"`)
	address, _, _ := strings.Cut(rest, `"`)
	var said string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if said = get(ts, "https://"+address+"/readyz"); strings.Contains(said, args[1]) {
			return
		}
	}
	ts.Fatalf("/readyz says %s and not %q", said, args[1])
}

func get(ts *testscript.TestScript, url string) string {
	pem, err := os.ReadFile(ts.Getenv(client.EnvCACert))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer trusting.CloseIdleConnections()
	resp, err := trusting.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return string(body)
}

// field asks for a field once.
func field(ts *testscript.TestScript, ref string) (string, error) {
	c, err := client.New(client.Config{
		URL: ts.Getenv(client.EnvURL), CACertFile: ts.Getenv(client.EnvCACert), Retries: -1,
		ClientID: ts.Getenv(client.EnvClientID), ClientSecret: client.NewSecret(ts.Getenv(client.EnvClientSecret)),
	})
	ts.Check(err)
	defer c.CloseIdleConnections()
	record, name, _ := strings.Cut(ref, "#")
	part := strings.Split(record, "/")
	f, err := c.GetField(context.Background(), client.RecordRef{Integration: part[0], Collection: part[1], Record: part[2]}, name)
	if err != nil {
		return "", err
	}
	return string(f.Value), nil
}

// reads FIELD VALUE reads a field, at once.
func reads(ts *testscript.TestScript, _ bool, args []string) {
	value, err := field(ts, args[0])
	ts.Check(err)
	if value != args[1] {
		ts.Fatalf("%s is not what was stored", args[0])
	}
}

// refused FIELD CODE reads a field until that is refused with a code. Until then
// it must succeed.
func refused(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_, err := field(ts, args[0])
		if err == nil {
			continue
		}
		if problem := (*client.Problem)(nil); !errors.As(err, &problem) || problem.Code != args[1] {
			ts.Fatalf("it is refused by %v and not with %s", err, args[1])
		}
		return
	}
	ts.Fatalf("%s is still read", args[0])
}

// holds FOLDER TEXT looks for a text in every file of a folder.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	found, files := "", 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), args[1]) {
			found = path
		}
		return err
	}))
	switch {
	case files == 0:
		ts.Fatalf("%s holds no files", args[0])
	case neg && found != "":
		ts.Fatalf("%s holds the text", found)
	case !neg && found == "":
		ts.Fatalf("no file of %s holds the text", args[0])
	}
}
