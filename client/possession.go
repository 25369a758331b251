package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// prover proves for each request that this client has the key that its tokens
// are bound to (DPoP, RFC 9449). The nil prover proves nothing: its tokens are
// bearer tokens.
type prover struct {
	signer jose.Signer
	nonce  atomic.Pointer[string] // the last that the server gave
}

// newProver makes a key that is known to this process alone and ends with it.
func newProver() (*prover, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("client: make a key for proofs: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		&jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{jose.HeaderType: "dpop+jwt"}})
	if err != nil {
		return nil, fmt.Errorf("client: make a key for proofs: %w", err)
	}
	return &prover{signer: signer}, nil
}

// scheme is what tokens are called and sent under.
func (p *prover) scheme() string {
	if p == nil {
		return "Bearer"
	}
	return "DPoP"
}

// prove adds a proof for a request to target, which has no query, and the token
// that goes with it.
func (p *prover) prove(header http.Header, method, target, token string) error {
	if p == nil {
		return nil
	}
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": target, "iat": time.Now().Unix()}
	if nonce := p.nonce.Load(); nonce != nil {
		claims["nonce"] = *nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return fmt.Errorf("client: make a proof: %w", err)
	}
	signed, err := p.signer.Sign(raw)
	if err != nil {
		return fmt.Errorf("client: sign a proof: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return fmt.Errorf("client: sign a proof: %w", err)
	}
	header.Set("DPoP", text)
	return nil
}

// heed keeps the nonce that an answer gives.
func (p *prover) heed(res *http.Response) {
	if nonce := res.Header.Get("DPoP-Nonce"); p != nil && nonce != "" {
		p.nonce.Store(&nonce)
	}
}

// wantsNonce reports whether the server refused a request for its nonce alone.
func (p *prover) wantsNonce(err error) bool {
	var problem *Problem
	return p != nil && errors.As(err, &problem) && problem.Code == "use_dpop_nonce"
}

// unread is a body of which is known whether anybody has begun to read it.
type unread struct {
	io.Reader
	begun atomic.Bool
}

// Read implements io.Reader.
func (u *unread) Read(b []byte) (int, error) {
	u.begun.Store(true)
	return u.Reader.Read(b)
}

// rewind reports whether a body can be sent a second time: there is none, it
// begins anew, or nobody has begun to read it.
func rewind(body io.Reader) bool {
	switch body := body.(type) {
	case nil:
		return true
	case *unread:
		return !body.begun.Load()
	case io.Seeker:
		_, err := body.Seek(0, io.SeekStart)
		return err == nil
	}
	return false
}

// certificateOf shows the certificate in two PEM files. They are read again for
// each connection: their owner renews them.
func certificateOf(certFile, keyFile string) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("client: the certificate and its key: %w", err)
		}
		return &cert, nil
	}
	_, err := load()
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }, err
}
