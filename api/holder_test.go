package api

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// holder has a key that it signs proofs with, as one of the house's clients.
type holder struct {
	h     *house
	key   *ecdsa.PrivateKey
	nonce string
	token string
}

func (h *house) holder() *holder {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return &holder{h: h, key: key}
}

type members map[string]any

func (m members) with(more members) members {
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

// claims are those of a proof that is right.
func (p *holder) claims(method, path string) members {
	m := members{"jti": rand.Text(), "htm": method, "htu": p.h.web.URL + path, "iat": time.Now().Unix()}
	if p.nonce != "" {
		m["nonce"] = p.nonce
	}
	if p.token != "" {
		sum := sha256.Sum256([]byte(p.token))
		m["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return m
}

func (p *holder) sign(claims members) string {
	p.h.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key},
		&jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt"}})
	if err != nil {
		p.h.t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		p.h.t.Fatal(err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		p.h.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		p.h.t.Fatal(err)
	}
	return text
}

// thumbprint is what the holder's tokens are bound to.
func (p *holder) thumbprint() string {
	sum, err := (&jose.JSONWebKey{Key: p.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		p.h.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ask gets a token for a form, with a proof.
func (p *holder) ask(form url.Values) answer {
	p.h.t.Helper()
	a := p.h.ask("/oauth2/token", form, "DPoP", p.sign(p.claims("POST", "/oauth2/token")))
	p.nonce = a.Header.Get("DPoP-Nonce")
	return a
}

// signIn gets a token as a client does that nobody gave a nonce yet.
func (p *holder) signIn(form url.Values) string {
	p.h.t.Helper()
	p.ask(form).want(400).has("use_dpop_nonce")
	p.token = p.ask(form).want(200).has(`"token_type":"DPoP"`).text("access_token")
	return p.token
}

// send sends a proof along with a token.
func (p *holder) send(method, path, proof string) answer {
	p.h.t.Helper()
	a := p.h.as("").do(method, path, "", "Authorization", "DPoP "+p.token, "DPoP", proof)
	if nonce := a.Header.Get("DPoP-Nonce"); nonce != "" {
		p.nonce = nonce
	}
	return a
}

func (p *holder) get(path string) answer {
	p.h.t.Helper()
	return p.send("GET", path, p.sign(p.claims("GET", path)))
}

// audited returns the lines of the audit log that tell of refused
// authentication.
func (h *house) audited() (lines []string) {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.store.AuditDir, "*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"action":"authenticate"`) && strings.Contains(line, `"outcome":"denied"`) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// last is the last of them.
func (h *house) last() string {
	h.t.Helper()
	lines := h.audited()
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
