package api

import (
	"errors"
	"net/http"
	"net/url"

	"strongroom/internal/identity"
	"strongroom/store"
)

// tokenBody is a token as OAuth's clients expect it (RFC 6749, section 5.1).
type tokenBody struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope,omitempty"`
}

// tokenError is a refusal as OAuth's clients expect it (RFC 6749, section 5.2).
type tokenError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// inspectionBody is what introspection answers (RFC 7662, section 2.2).
type inspectionBody struct {
	Active    bool                   `json:"active"`
	Scope     string                 `json:"scope,omitempty"`
	ClientID  string                 `json:"client_id,omitempty"`
	TokenType string                 `json:"token_type,omitempty"`
	Expires   int64                  `json:"exp,omitempty"`
	Issued    int64                  `json:"iat,omitempty"`
	Subject   string                 `json:"sub,omitempty"`
	Audience  string                 `json:"aud,omitempty"`
	Issuer    string                 `json:"iss,omitempty"`
	TokenID   string                 `json:"jti,omitempty"`
	Confirm   *identity.Confirmation `json:"cnf,omitempty"`
}

// token answers a request for an access token.
func (s *Server) token(c *call) error {
	q, err := c.oauthRequest()
	if err != nil {
		return c.refuseToken(err)
	}
	token, err := s.Tokens.Exchange(c.ctx(), q)
	if err != nil {
		return c.refuseToken(err)
	}
	s.Metrics.TokenIssued()
	c.w.Header()["Pragma"] = []string{"no-cache"}
	return c.sendJSON(http.StatusOK, tokenBody{token.Value.Reveal(), token.Type, int(token.Lifetime.Seconds()), token.Scope})
}

// introspect tells whether a token is good (RFC 7662).
func (s *Server) introspect(c *call) error {
	q, err := c.oauthRequest()
	if err != nil {
		return c.refuseToken(err)
	}
	i, err := s.Tokens.Inspect(c.ctx(), q)
	if err != nil {
		return c.refuseToken(err)
	}
	if !i.Active {
		return c.sendJSON(http.StatusOK, inspectionBody{})
	}
	issuer := s.Tokens.Metadata().Issuer
	return c.sendJSON(http.StatusOK, inspectionBody{
		Active: true, Scope: i.Scope, ClientID: i.Client, TokenType: i.Type, Expires: i.Expires.Unix(), Issued: i.Issued.Unix(),
		Subject: i.Client, Audience: issuer, Issuer: issuer, TokenID: i.TokenID, Confirm: i.Confirm,
	})
}

// revoke ends a token (RFC 7009).
func (s *Server) revoke(c *call) error {
	q, err := c.oauthRequest()
	if err != nil {
		return c.refuseToken(err)
	}
	if err := s.Tokens.Revoke(c.ctx(), q); err != nil {
		return c.refuseToken(err)
	}
	return c.sendNothing(http.StatusOK)
}

// serverMetadata describes the authorisation server (RFC 8414).
func (s *Server) serverMetadata(c *call) error {
	return c.sendJSON(http.StatusOK, s.Tokens.Metadata())
}

// keySet shows the keys that access tokens are verified with (RFC 7517).
func (s *Server) keySet(c *call) error {
	set, err := s.Tokens.JWKS(c.ctx())
	if err != nil {
		return err
	}
	return c.sendJSON(http.StatusOK, set)
}

// oauthRequest reads a request to one of the OAuth endpoints.
func (c *call) oauthRequest() (identity.Request, error) {
	form, err := c.form()
	if err != nil {
		return identity.Request{}, err
	}
	return identity.Request{
		Authorization: c.r.Header.Get("Authorization"), Form: form, TLS: c.r.TLS,
		Proofs: c.proofs(), Path: c.r.URL.EscapedPath(),
		From: store.Attempt{Address: c.from, RequestID: c.id, TraceParent: c.trace},
	}, nil
}

// form reads the body of a request to an OAuth endpoint.
func (c *call) form() (url.Values, error) {
	body, err := c.readBody()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(errBody, "the form is not well-formed")
	}
	return form, nil
}

// refuseToken answers what is the client's fault in OAuth's words, and leaves
// the rest to the table of errors.
func (c *call) refuseToken(err error) error {
	var refusal *identity.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	h := c.w.Header()
	h["Pragma"] = []string{"no-cache"}
	if refusal.Status() == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Basic realm="strongroom", charset="UTF-8"`}
	}
	c.code = refusal.Code
	return c.sendJSON(refusal.Status(), tokenError{refusal.Code, refusal.Description})
}
