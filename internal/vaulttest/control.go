package vaulttest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	s.MountAt(t, path, filepath.Base(path))
}

// MountAt mounts an engine or a login of a type at any path, unless something
// is there.
func (s *Server) MountAt(t testing.TB, path, kind string) {
	t.Helper()
	endpoint := "sys/mounts/" + path
	if strings.HasPrefix(path, "auth/") {
		endpoint = "sys/" + path
	}
	_, err := s.Try(s.RootToken, http.MethodPost, endpoint, map[string]any{"type": kind})
	var refusal *Refusal
	if err != nil && !(errors.As(err, &refusal) && strings.Contains(refusal.Text, "already in use")) {
		t.Fatalf("vaulttest: mount %s: %v", path, err)
	}
}

// Policy writes a policy. It goes with the test.
func (s *Server) Policy(t testing.TB, name, hcl string) {
	t.Helper()
	path := "sys/policies/acl/" + name
	s.Call(t, http.MethodPut, path, map[string]any{"policy": hcl})
	t.Cleanup(func() { _, _ = s.Try(s.RootToken, http.MethodDelete, path, nil) }) // a server that was killed needs none
}

// Token makes a token with exactly the policies, which ends after ttl ("1h"),
// and returns it and the path of a file that holds it. It can be renewed.
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
	t.Cleanup(func() { _, _ = s.Try(s.RootToken, http.MethodDelete, role, nil) })
	roleID := s.Call(t, http.MethodGet, role+"/role-id", nil)["role_id"]
	secretID := s.Call(t, http.MethodPost, role+"/secret-id", nil)["secret_id"]
	return WriteFile(t, "role-id", fmt.Sprint(roleID)), WriteFile(t, "secret-id", fmt.Sprint(secretID))
}

// CAFile writes the certificate that the server is trusted by to a file of the
// test's own; none where the system's roots are to do.
func (s *Server) CAFile(t testing.TB) string {
	t.Helper()
	if s.CAPEM == "" {
		return ""
	}
	return WriteFile(t, "vault-ca.pem", s.CAPEM)
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
