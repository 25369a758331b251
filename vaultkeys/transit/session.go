package transit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
)

// session is one identity at the server: a client whose token is kept alive.
type session struct {
	config Config
	auth   Auth
	label  string // everyday or lifecycle, for people
	client *api.Client
	// logins has no token: a login with one that has ended is refused, and
	// requests go on with the old one while a new one is fetched.
	logins *api.Client
	idle   func() // closes the connections that nobody uses
	// busy holds one element while a login or a renewal is under way.
	busy  chan struct{}
	lease lease // guarded by busy
	stop  context.CancelFunc
	done  chan struct{}
}

// openSession logs in and starts to keep the login alive.
func openSession(ctx context.Context, c Config, a Auth, label string) (*session, error) {
	transport, err := newTransport(c, a)
	if err != nil {
		return nil, err
	}
	s := &session{config: c, auth: a, label: label, idle: transport.CloseIdleConnections, busy: make(chan struct{}, 1), done: make(chan struct{})}
	if s.client, err = newClient(c, transport); err != nil {
		return nil, err
	}
	if s.logins, err = newClient(c, transport); err != nil {
		return nil, err
	}
	loginCtx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := s.login(loginCtx); err != nil {
		return nil, err
	}
	keepCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.keep(keepCtx)
	return s, nil
}

// close stops the renewal and gives up a token that came from a login.
func (s *session) close() {
	s.stop()
	<-s.done
	if s.auth.Method != MethodToken {
		ctx, cancel := context.WithTimeout(context.Background(), min(s.config.Timeout, 500*time.Millisecond))
		defer cancel()
		_, _ = send(ctx, s.client, request{method: http.MethodPost, path: "auth/token/revoke-self", once: true}) // its lease ends it anyway
	}
	s.client.ClearToken()
	s.idle()
}

// newClient makes a client of vault/api that listens to the configuration
// alone: what the library took from VAULT_ variables is put back.
func newClient(c Config, transport http.RoundTripper) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{
		Address:      c.Address,
		HttpClient:   &http.Client{Transport: bounded{transport}, CheckRedirect: keepRedirect},
		MinRetryWait: firstPause, MaxRetryWait: longestPause,
		MaxRetries: c.Retries, CheckRetry: checkRetry, Backoff: backoff,
	})
	if err != nil {
		return nil, errors.New("vault: the client cannot be made: a VAULT_ variable of the environment is malformed")
	}
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.ClearToken()
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	return client, nil
}

// keepRedirect leaves redirects to vault/api, which follows a single one.
func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func newTransport(c Config, a Auth) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	// Every call shares one HTTP/2 connection: one that went dead without a word
	// would otherwise be waited on until the system gives it up, minutes later.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: c.Timeout, PingTimeout: c.Timeout}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACertFile != "" {
		pem, err := os.ReadFile(c.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("vault: the CA file: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("vault: the CA file %s holds no certificate in PEM", c.CACertFile)
		}
	}
	if a.Method == MethodCert {
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("the client certificate %s cannot be loaded", a.CertFile)
			}
			return &pair, nil
		}
	}
	return t, nil
}

// acquire waits for its turn to log in or renew.
func (s *session) acquire(ctx context.Context) error {
	select {
	case s.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return s.explain(ctx, ctx.Err())
	}
}

func (s *session) release() { <-s.busy }

// cure replaces the token after a 403, once, and reports whether the request
// is worth another try. While the token still lives the 403 was meant.
func (s *session) cure(ctx context.Context, used string) (bool, error) {
	if err := s.acquire(ctx); err != nil {
		return false, err
	}
	defer s.release()
	if s.client.Token() != used {
		return true, nil
	}
	switch _, err := send(ctx, s.client, lookupSelf); {
	case err == nil:
		return false, nil
	case !isForbidden(err): // nobody knows whether the 403 was meant
		return false, fmt.Errorf("the %s identity's token cannot be looked up: %w", s.label, s.explain(ctx, err))
	}
	if err := s.loginHeld(ctx); err != nil {
		return false, fmt.Errorf("the %s identity's token has ended: %w", s.label, err)
	}
	return s.client.Token() != used, nil
}

var lookupSelf = request{method: http.MethodGet, path: "auth/token/lookup-self", what: "look up the token"}

func (s *session) login(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.loginHeld(ctx)
}
