package vaulttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Call makes a request of Vault's API as root and returns the data of its
// answer, or its auth where it has that. Any answer but 2xx fails the test.
func (s *Server) Call(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	return s.CallAs(t, s.RootToken, method, path, body)
}

// CallAs is Call with another token than root's.
func (s *Server) CallAs(t testing.TB, token, method, path string, body any) map[string]any {
	t.Helper()
	data, err := s.Try(token, method, path, body)
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	return data
}

// Refusal is an answer that is not 2xx.
type Refusal struct {
	Status int
	Text   string // what Vault said
}

func (r *Refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Text) }

// Try makes a request and returns a *Refusal for any answer but 2xx. It bounds
// itself, so that it can be used when the test is over.
func (s *Server) Try(token, method, path string, body any) (map[string]any, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := s.http().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := read(resp)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return data, nil
}

func read(resp *http.Response) (map[string]any, error) {
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	var answer struct {
		Data, Auth map[string]any
		Errors     []string
	}
	if text.Len() > 0 && json.Unmarshal(text.Bytes(), &answer) != nil {
		return nil, errors.New("an answer that is not JSON")
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, &Refusal{resp.StatusCode, strings.Join(answer.Errors, "; ")}
	}
	if answer.Auth != nil {
		return answer.Auth, nil
	}
	return answer.Data, nil
}

// http returns a client that trusts the server.
func (s *Server) http() *http.Client {
	if s.CAPEM == "" || !strings.HasPrefix(s.Address, "https:") {
		return http.DefaultClient
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.CAPEM))
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
}
