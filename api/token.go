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
}

// tokenError is a refusal as OAuth's clients expect it (RFC 6749, section 5.2).
type tokenError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// token answers a request for an access token.
func (s *Server) token(c *call) error {
	form, err := c.form()
	if err != nil {
		return c.refuseToken(err)
	}
	from := store.Attempt{Address: c.from, RequestID: c.id, TraceParent: c.trace}
	token, err := s.Tokens.Exchange(c.ctx(), c.r.Header.Get("Authorization"), form, from)
	if err != nil {
		return c.refuseToken(err)
	}
	s.Metrics.TokenIssued()
	c.w.Header()["Pragma"] = []string{"no-cache"}
	return c.sendJSON(http.StatusOK, tokenBody{token.Value.Reveal(), "Bearer", int(token.Lifetime.Seconds())})
}

// form reads the body of a token request.
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
