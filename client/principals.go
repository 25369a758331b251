package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

func rolePath(name string) string   { return "/v1" + escape("roles", name) }
func clientPath(name string) string { return "/v1" + escape("clients", name) }
func issuerPath(name string) string { return "/v1" + escape("issuers", name) }

// PutRole creates or replaces a role. document is its JSON:
// {"rules": [{"integrations": [...], "collections": [...], "actions": [...], ...}]}.
func (c *Client) PutRole(ctx context.Context, name string, document json.RawMessage, o WriteOptions) (*Role, error) {
	return define[Role](ctx, c, rolePath(name), document, o)
}

// GetRole returns a role.
func (c *Client) GetRole(ctx context.Context, name string) (*Role, error) {
	return fetch[Role](ctx, c, get(rolePath(name)))
}

// ListRoles returns the stored roles.
func (c *Client) ListRoles(ctx context.Context) ([]Role, error) {
	return fetchItems[Role](ctx, c, "/v1/roles")
}

// DeleteRole deletes a role that no client holds.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	_, err := c.do(ctx, del(rolePath(name)))
	return err
}

// PutClient creates or replaces a client, one who may ask for tokens.
func (c *Client) PutClient(ctx context.Context, name string, spec PrincipalSpec, o WriteOptions) (*Principal, error) {
	return define[Principal](ctx, c, clientPath(name), spec, o)
}

// GetClient returns a client.
func (c *Client) GetClient(ctx context.Context, name string) (*Principal, error) {
	return fetch[Principal](ctx, c, get(clientPath(name)))
}

// ListClients returns the clients.
func (c *Client) ListClients(ctx context.Context) ([]Principal, error) {
	return fetchItems[Principal](ctx, c, "/v1/clients")
}

// DeleteClient deletes a client: its tokens end with it.
func (c *Client) DeleteClient(ctx context.Context, name string) error {
	_, err := c.do(ctx, del(clientPath(name)))
	return err
}

// CreateSecret gives a client one more secret, shown this once. A ttl of 0
// leaves its lifetime to the server: 90 days. A client has two at most.
func (c *Client) CreateSecret(ctx context.Context, name string, ttl time.Duration, o WriteOptions) (*IssuedSecret, error) {
	body := map[string]string{}
	if ttl > 0 {
		body["ttl"] = ttl.String()
	}
	q, err := post(clientPath(name)+"/secrets", body)
	if err != nil {
		return nil, err
	}
	q.once(o)
	secret, err := fetch[IssuedSecret](ctx, c, q)
	if err == nil && secret.Value.IsZero() {
		return nil, fmt.Errorf("client: the server's answer holds no secret")
	}
	return secret, err
}

// ListSecrets tells of a client's secrets, never their values.
func (c *Client) ListSecrets(ctx context.Context, name string) ([]SecretInfo, error) {
	return fetchItems[SecretInfo](ctx, c, clientPath(name)+"/secrets")
}

// DeleteSecret ends a secret, and the tokens that it fetched.
func (c *Client) DeleteSecret(ctx context.Context, name, secretID string) error {
	_, err := c.do(ctx, del(clientPath(name)+escape("secrets", secretID)))
	return err
}

// PutIssuer creates or replaces an outside issuer.
func (c *Client) PutIssuer(ctx context.Context, name string, spec IssuerSpec, o WriteOptions) (*Issuer, error) {
	return define[Issuer](ctx, c, issuerPath(name), spec, o)
}

// GetIssuer returns an outside issuer.
func (c *Client) GetIssuer(ctx context.Context, name string) (*Issuer, error) {
	return fetch[Issuer](ctx, c, get(issuerPath(name)))
}

// ListIssuers returns the outside issuers.
func (c *Client) ListIssuers(ctx context.Context) ([]Issuer, error) {
	return fetchItems[Issuer](ctx, c, "/v1/issuers")
}

// DeleteIssuer deletes an outside issuer: tokens that were got by its word end.
func (c *Client) DeleteIssuer(ctx context.Context, name string) error {
	_, err := c.do(ctx, del(issuerPath(name)))
	return err
}
