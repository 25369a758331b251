package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// tokenTimeout bounds one fetch of a token, whoever waits for it.
const tokenTimeout = 15 * time.Second

// token is an access token and the time from which a new one is fetched while
// this one still serves.
type token struct {
	value   Secret
	refresh time.Time
	expires time.Time
}

// tokenSource hands out the current token. However many callers ask, one fetch
// is under way at most; it belongs to none of them, so that a caller who gives
// up does not fail the others.
type tokenSource struct {
	fetch func(context.Context) (token, error)
	now   func() time.Time

	mu      sync.Mutex
	current token
	flight  *flight
}

// flight is a fetch under way. token and err are set before done is closed.
type flight struct {
	done  chan struct{}
	token token
	err   error
}

func newTokenSource(fetch func(context.Context) (token, error), now func() time.Time) *tokenSource {
	return &tokenSource{fetch: fetch, now: now}
}

// get returns a token that has not expired. One that is due for refresh is
// handed out while its successor is fetched behind.
func (s *tokenSource) get(ctx context.Context) (Secret, error) {
	s.mu.Lock()
	now, held := s.now(), s.current
	valid := now.Before(held.expires)
	if valid && now.Before(held.refresh) {
		s.mu.Unlock()
		return held.value, nil
	}
	f := s.start()
	s.mu.Unlock()
	if valid {
		return held.value, nil
	}
	select {
	case <-f.done:
		return f.token.value, f.err
	case <-ctx.Done():
		return Secret{}, ctx.Err()
	}
}

// drop forgets a token that the server did not accept.
func (s *tokenSource) drop(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.value.Reveal() == value {
		s.current = token{}
	}
}

// start joins the fetch under way or starts one. The caller holds mu.
func (s *tokenSource) start() *flight {
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.fly(f)
	return f
}

func (s *tokenSource) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), tokenTimeout)
	defer cancel()
	f.token, f.err = s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if f.err == nil {
		s.current = f.token
	} else {
		s.current.refresh = s.now().Add(time.Second) // the old one serves on; ask again soon
	}
	close(f.done)
}

// fetchToken asks for tokens, by a fresh proof each time.
func (c *Client) fetchToken(p proof) func(context.Context) (token, error) {
	return func(ctx context.Context) (token, error) {
		for attempt := 0; ; attempt++ {
			t, err := c.askToken(ctx, p)
			if c.prover.wantsNonce(err) {
				t, err = c.askToken(ctx, p) // with the nonce that the refusal gave
			}
			if err == nil || attempt >= c.retries || !worthRetrying(ctx, &call{safe: true}, err) {
				return t, err
			}
			if !c.sleep(ctx.Done(), pause(attempt, err)) {
				return t, err
			}
		}
	}
}

func (c *Client) askToken(ctx context.Context, p proof) (token, error) {
	form, header := url.Values{"grant_type": {"client_credentials"}}, http.Header{}
	if err := p(form, header); err != nil {
		return token{}, fmt.Errorf("client: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, fmt.Errorf("client: %w", err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", c.userAgent)
	if err := c.prover.prove(req.Header, req.Method, c.base+"/oauth2/token", ""); err != nil {
		return token{}, err
	}
	asked := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return token{}, transportError(err)
	}
	defer res.Body.Close()
	c.prover.heed(res)
	if res.StatusCode != http.StatusOK {
		return token{}, tokenProblem(res)
	}
	return readToken(res.Body, asked, c.prover.scheme())
}

// readToken reads the answer. A token of another type than was asked for is
// refused: one that was to be bound must be.
func readToken(body io.Reader, asked time.Time, scheme string) (token, error) {
	var answer struct {
		AccessToken Secret `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"` // seconds
	}
	if err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&answer); err != nil {
		return token{}, fmt.Errorf("client: the token answer is not JSON: %w", err)
	}
	if answer.AccessToken.IsZero() || !strings.EqualFold(answer.TokenType, scheme) || answer.ExpiresIn <= 0 {
		return token{}, fmt.Errorf("client: the token answer holds no token of the type %s with a lifetime", scheme)
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	early := min(life/5, time.Minute)
	return token{value: answer.AccessToken, refresh: asked.Add(life - early), expires: asked.Add(life - early/4)}, nil
}

// tokenProblem reads an OAuth error (RFC 6749, section 5.2), or the problem
// document of a server that could not judge.
func tokenProblem(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && oauth.Error != "" {
		code := map[string]string{"invalid_client": "unauthenticated", "unauthorized_client": "forbidden"}[oauth.Error]
		return &Problem{Status: res.StatusCode, Code: orDefault(code, oauth.Error),
			Title: "the token endpoint refused", Detail: orDefault(oauth.Description, oauth.Error)}
	}
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return readProblem(res)
}

// Token returns a current access token, for those who speak to the API by other
// means. With DPoP it is worth nothing to them: this client alone has its key.
func (c *Client) Token(ctx context.Context) (Secret, error) { return c.tokens.get(ctx) }
