// Package transit is the provider whose key-encryption keys live in the
// transit engine of HashiCorp Vault, or of a server that speaks its API. Keys
// never leave that server; keysets travel there to be wrapped and unwrapped.
//
// It uses encrypt and decrypt with associated_data alone. rewrap fails on a
// ciphertext that has associated data, datakey ignores it, and context on a key
// that is not derived is ignored too: nothing may rest on those. What moves to a
// new version of a key is decrypted and encrypted.
package transit

import (
	"context"
	"fmt"

	"strongroom/vaultkeys"
)

// Provider is a vaultkeys.Provider over transit. It is safe for concurrent use.
type Provider struct {
	config    Config
	everyday  *session
	lifecycle *session // the same as everyday where one identity does both
}

var _ vaultkeys.Provider = (*Provider)(nil)

// Open logs in, and keeps the logins alive in the background until Close. A
// server that cannot be asked is ErrUnavailable, a login that it refuses is
// ErrRefused.
func Open(ctx context.Context, c Config) (*Provider, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	p := &Provider{config: c}
	if p.everyday, err = openSession(ctx, c, c.Auth, "everyday"); err != nil {
		return nil, err
	}
	p.lifecycle = p.everyday
	if c.LifecycleAuth == nil {
		return p, nil
	}
	if p.lifecycle, err = openSession(ctx, c, *c.LifecycleAuth, "lifecycle"); err != nil {
		p.everyday.close()
		return nil, err
	}
	return p, nil
}

// Close ends the logins. Tokens that came from a login are revoked when the
// server can be reached at once.
func (p *Provider) Close() error {
	p.everyday.close()
	if p.lifecycle != p.everyday {
		p.lifecycle.close()
	}
	return nil
}

// Name tells the server and the mount.
func (p *Provider) Name() string {
	return fmt.Sprintf("vault transit at %s/%s", p.config.Address, p.config.Mount)
}

// SelfTest proves that the server answers, that it honours associated data,
// and that the key is of a kind that keeps its bytes inside.
func (p *Provider) SelfTest(ctx context.Context, key vaultkeys.KeyName) error {
	if err := vaultkeys.SelfTest(ctx, p, key); err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	return nil
}

// begin bounds a call, and names what it is about in its errors.
func (p *Provider) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.config.Timeout)
}
