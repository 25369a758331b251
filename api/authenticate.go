package api

import (
	"errors"
	"net/http"
	"strings"

	"strongroom/internal/identity"
	"strongroom/store"
)

// codeNonce is not a failure: it is how a client that sends proofs gets its first
// nonce (RFC 9449, section 8).
const codeNonce = "use_dpop_nonce"

// authenticate finds out who calls.
func (c *call) authenticate() error {
	given := c.r.Header["Authorization"]
	if len(given) == 0 {
		return errNoToken
	}
	scheme, token, ok := strings.Cut(given[0], " ")
	c.shown.DPoP = strings.EqualFold(scheme, "DPoP")
	if !ok || !c.shown.DPoP && !strings.EqualFold(scheme, "Bearer") {
		return errNoToken
	}
	c.present(token)
	who, err := c.s.Tokens.Authenticate(c.ctx(), &c.shown)
	if errors.Is(err, identity.ErrToken) {
		return errBadToken
	}
	if err != nil {
		return err
	}
	who.Address, who.RequestID, who.TraceParent = c.from, c.id, c.trace
	c.who = who
	return c.readPurpose()
}

// present collects what the request brings to be known by.
func (c *call) present(token string) {
	q := &c.shown
	q.Token, q.Method, q.TLS = token, c.r.Method, c.r.TLS
	q.From = store.Attempt{Address: c.from, RequestID: c.id, TraceParent: c.trace}
	if q.DPoP {
		q.Proofs, q.Path = c.proofs(), c.r.URL.EscapedPath()
	}
}

// proofs returns the DPoP header fields. Whoever sends one is told the nonce
// that the next one should carry (RFC 9449, section 8.2).
func (c *call) proofs() []string {
	given := c.r.Header["Dpop"]
	if len(given) > 0 || c.shown.DPoP {
		c.w.Header()["Dpop-Nonce"] = []string{c.s.Tokens.Nonce()}
	}
	return given
}

// challenge says how to authenticate: by the scheme that was tried, and by
// both when neither was or the token may want the other one.
func (c *call) challenge(h http.Header, code string) {
	bearer, dpop := `Bearer realm="strongroom"`, `DPoP realm="strongroom", algs="`+c.s.Tokens.ProofAlgorithms()+`"`
	switch {
	case code == "token_required":
		h["Www-Authenticate"] = []string{bearer, dpop}
	case c.shown.DPoP:
		h["Www-Authenticate"] = []string{dpop + `, error="` + code + `"`}
	default:
		h["Www-Authenticate"] = []string{bearer + `, error="` + code + `"`, dpop}
	}
}
