package transit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"

	"strongroom/vaultkeys"
)

// lease is how long a token lives, as far as the server told.
type lease struct {
	granted   time.Duration // when it was made; 0: it never ends
	left      time.Duration // at the time since
	since     time.Time
	renewable bool
}

// loginHeld gets a token by the session's method and uses it from then on.
// The caller holds busy.
func (s *session) loginHeld(ctx context.Context) error {
	if s.auth.Method == MethodToken {
		return s.takeToken(ctx)
	}
	method, err := s.method()
	if err != nil {
		return err
	}
	defer s.logins.ClearToken()
	secret, err := s.logins.Auth().Login(ctx, method)
	if err != nil {
		return s.explainLogin(ctx, err)
	}
	s.client.SetToken(secret.Auth.ClientToken)
	s.lease = leaseOf(secret.Auth.LeaseDuration, secret.Auth.LeaseDuration, secret.Auth.Renewable)
	return nil
}

func leaseOf(granted, left int, renewable bool) lease {
	return lease{granted: time.Duration(granted) * time.Second, left: time.Duration(left) * time.Second, since: time.Now(), renewable: renewable}
}

// takeToken reads the token from its file or variable, and asks how long it
// lives.
func (s *session) takeToken(ctx context.Context) error {
	token, err := s.readToken()
	if err != nil {
		return err
	}
	defer s.logins.ClearToken()
	s.logins.SetToken(token)
	body, err := send(ctx, s.logins, lookupSelf)
	if err != nil {
		return s.explainLogin(ctx, err)
	}
	var answer struct {
		Data struct {
			TTL       *int `json:"ttl"`
			Granted   int  `json:"creation_ttl"`
			Renewable bool `json:"renewable"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data.TTL == nil {
		return fmt.Errorf("vault: login of the %s identity at %s: its answer is not the JSON that Vault writes: %w",
			s.label, s.config.Address, vaultkeys.ErrUnavailable)
	}
	s.client.SetToken(token)
	s.lease = leaseOf(answer.Data.Granted, *answer.Data.TTL, answer.Data.Renewable)
	return nil
}

func (s *session) readToken() (string, error) {
	token := os.Getenv(s.auth.TokenEnv)
	from := "the variable " + s.auth.TokenEnv
	if s.auth.TokenFile != "" {
		var err error
		if token, err = readLine(s.auth.TokenFile); err != nil {
			return "", err
		}
		from = s.auth.TokenFile
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", fmt.Errorf("vault: the token in %s is empty or malformed: %w", from, vaultkeys.ErrRefused)
	}
	return token, nil
}

// readLine reads a file that holds one secret.
func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("vault: the login cannot be read: %w: %w", err, vaultkeys.ErrRefused)
	}
	return strings.TrimSpace(string(text)), nil
}

// method makes the login of vault/api from what the files hold now.
func (s *session) method() (api.AuthMethod, error) {
	switch s.auth.Method {
	case MethodAppRole:
		role, err := readLine(s.auth.RoleIDFile)
		if err != nil {
			return nil, err
		}
		if _, err := readLine(s.auth.SecretIDFile); err != nil {
			return nil, err
		}
		return approle.NewAppRoleAuth(role, &approle.SecretID{FromFile: s.auth.SecretIDFile}, approle.WithMountPath(s.auth.Mount))
	case MethodKubernetes:
		jwt, err := readLine(s.auth.JWTFile)
		if err != nil {
			return nil, err
		}
		return kubernetes.NewKubernetesAuth(s.auth.Role, kubernetes.WithServiceAccountToken(jwt), kubernetes.WithMountPath(s.auth.Mount))
	}
	return certLogin{mount: s.auth.Mount, role: s.auth.Role}, nil
}

// certLogin logs in by the client certificate of the TLS connection.
type certLogin struct{ mount, role string }

func (c certLogin) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	data := map[string]any{}
	if c.role != "" {
		data["name"] = c.role
	}
	return client.Logical().WriteWithContext(ctx, "auth/"+c.mount+"/login", data)
}

// explainLogin explains why a login failed.
func (s *session) explainLogin(ctx context.Context, err error) error {
	why := s.explain(ctx, err)
	var answer *api.ResponseError
	switch {
	case !errors.As(err, &answer):
		if strings.Contains(err.Error(), "did not return ClientToken") {
			why = fmt.Errorf("its answer holds no token: %w", vaultkeys.ErrUnavailable)
		}
	case answer.RawError:
	case strings.Contains(strings.Join(answer.Errors, " "), "no handler for route"):
		why = fmt.Errorf("nothing is mounted at auth/%s: %w", s.auth.Mount, vaultkeys.ErrRefused)
	case answer.StatusCode == http.StatusForbidden && s.auth.Method == MethodToken:
		why = fmt.Errorf("403 permission denied: the token has ended, was revoked or is of another server: %w", vaultkeys.ErrRefused)
	case answer.StatusCode == http.StatusForbidden: // Vault says no more where nothing is mounted
		why = fmt.Errorf("403: these credentials are not accepted, or nothing is mounted at auth/%s%s: %w", s.auth.Mount, quoted(answer), vaultkeys.ErrRefused)
	case !errors.Is(why, vaultkeys.ErrUnavailable), strings.Contains(strings.Join(answer.Errors, " "), "invalid secret id"):
		why = fmt.Errorf("%d: these credentials are not accepted%s: %w", answer.StatusCode, quoted(answer), vaultkeys.ErrRefused)
	}
	return fmt.Errorf("vault: %s login of the %s identity at %s: %w", s.auth.Method, s.label, s.config.Address, why)
}
