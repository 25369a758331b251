package vaulttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Call makes a request of Vault's API as root and returns the data of its
// answer, or its auth where it has that. Any answer but 2xx fails the test.
func (s *Server) Call(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	data, status, text := s.call(t, method, path, body)
	if status < 200 || status > 299 {
		t.Fatalf("vaulttest: %s %s: %d %s", method, path, status, text)
	}
	return data
}

func (s *Server) call(t testing.TB, method, path string, body any) (data map[string]any, status int, text string) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.Address+"/v1/"+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	req.Header.Set("X-Vault-Token", s.RootToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(resp.Body); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	var answer struct{ Data, Auth map[string]any }
	if out.Len() > 0 && json.Unmarshal(out.Bytes(), &answer) != nil {
		return nil, resp.StatusCode, "an answer that is not JSON"
	}
	if answer.Auth != nil {
		return answer.Auth, resp.StatusCode, ""
	}
	return answer.Data, resp.StatusCode, errorsOf(out.Bytes())
}

func errorsOf(raw []byte) string {
	var answer struct{ Errors []string }
	_ = json.Unmarshal(raw, &answer)
	return strings.Join(answer.Errors, "; ")
}

// Seal seals the server.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	s.Call(t, http.MethodPut, "sys/seal", nil)
}

// Unseal unseals it again.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	s.Call(t, http.MethodPut, "sys/unseal", map[string]any{"key": s.UnsealKey})
}

// Mount mounts a secrets engine ("transit") or a login ("auth/approle") at the
// path of the same name, unless it is there.
func (s *Server) Mount(t testing.TB, path string) {
	t.Helper()
	endpoint := "sys/mounts/" + path
	if strings.HasPrefix(path, "auth/") {
		endpoint = "sys/" + path
	}
	_, status, text := s.call(t, http.MethodPost, endpoint, map[string]any{"type": filepath.Base(path)})
	if status > 299 && !strings.Contains(text, "already in use") {
		t.Fatalf("vaulttest: mount %s: %d %s", path, status, text)
	}
}

// Policy writes a policy.
func (s *Server) Policy(t testing.TB, name, hcl string) {
	t.Helper()
	s.Call(t, http.MethodPut, "sys/policies/acl/"+name, map[string]any{"policy": hcl})
}

// Token makes a token with exactly the policies, which ends after ttl ("1h"),
// and returns it and the path of a file that holds it.
func (s *Server) Token(t testing.TB, ttl string, policies ...string) (token, path string) {
	t.Helper()
	auth := s.Call(t, http.MethodPost, "auth/token/create", map[string]any{
		"policies": policies, "no_default_policy": true, "ttl": ttl, "renewable": true,
	})
	token = fmt.Sprint(auth["client_token"])
	return token, WriteFile(t, "token", token)
}

// AppRole makes an AppRole with exactly the policies and returns the paths of
// files with its role id and a secret id. ttl and maxTTL are those of its
// tokens.
func (s *Server) AppRole(t testing.TB, name, ttl, maxTTL string, policies ...string) (roleIDFile, secretIDFile string) {
	t.Helper()
	s.Mount(t, "auth/approle")
	role := "auth/approle/role/" + name
	s.Call(t, http.MethodPost, role, map[string]any{
		"token_policies": policies, "token_no_default_policy": true, "token_ttl": ttl, "token_max_ttl": maxTTL,
	})
	roleID := s.Call(t, http.MethodGet, role+"/role-id", nil)["role_id"]
	secretID := s.Call(t, http.MethodPost, role+"/secret-id", nil)["secret_id"]
	return WriteFile(t, "role-id", fmt.Sprint(roleID)), WriteFile(t, "secret-id", fmt.Sprint(secretID))
}

// WriteFile writes a file of the test's own, mode 0600, and returns its path.
func WriteFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	return path
}
