package transit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/vaultkeys"
)

// request is one call of Vault's API.
type request struct {
	method string
	path   string // without /v1/
	what   string // the operation, for errors
	key    vaultkeys.KeyName
	body   map[string]any
	// once: it is not sent again when it may have arrived.
	once bool
}

var keyNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

// call sends a request as the session's identity and returns the body of the
// answer, of a refusal too. A token that has ended is replaced once, by a new
// login, and the request sent again.
func (s *session) call(ctx context.Context, r request) ([]byte, error) {
	if r.key != "" && !keyNames.MatchString(string(r.key)) {
		return nil, fmt.Errorf("vault: a key must not be named %q: %w", r.key, vaultkeys.ErrRefused)
	}
	used := s.client.Token()
	body, err := send(ctx, s.client, r)
	if isForbidden(err) {
		cured, cureErr := s.cure(ctx, used)
		if cureErr != nil {
			return nil, cureErr
		}
		if cured {
			body, err = send(ctx, s.client, r)
		}
	}
	if err != nil {
		return body, r.fail(s, s.explain(ctx, err))
	}
	return body, nil
}

func isForbidden(err error) bool {
	var answer *api.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden && !answer.RawError
}

// send makes one request with its retries. Its errors are those of vault/api.
func send(ctx context.Context, client *api.Client, r request) ([]byte, error) {
	if r.once {
		ctx = context.WithValue(ctx, onceKey{}, true)
	}
	var resp *api.Response
	var err error
	switch r.method {
	case http.MethodGet:
		resp, err = client.Logical().ReadRawWithContext(ctx, r.path)
	case http.MethodDelete:
		resp, err = client.Logical().DeleteRawWithContext(ctx, r.path)
	default:
		var body []byte
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
		resp, err = client.Logical().WriteRawWithContext(ctx, r.path, body)
	}
	if resp == nil || resp.Body == nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, readErr := io.ReadAll(resp.Body)
	return body, errors.Join(err, readErr)
}

// onceKey marks the context of a request that must not be sent twice.
type onceKey struct{}

// checkRetry says whether a request is worth another try: not after a
// definite answer, nor when the certificate is wrong, nor after the deadline.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if once, _ := ctx.Value(onceKey{}).(bool); once {
		return isDial(err), nil
	}
	if err != nil {
		return !isCertificate(err), nil
	}
	return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, nil
}

// isDial reports whether the server was never reached.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

const (
	firstPause   = 25 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// backoff doubles from firstPause to longestPause.
func backoff(_, _ time.Duration, attempt int, _ *http.Response) time.Duration {
	return min(firstPause<<min(attempt, 10), longestPause)
}

// maxAnswer bounds an answer: 200 wrapped keysets are far smaller.
const maxAnswer = 16 << 20

// bounded ends an answer that is longer than anything Vault says.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}
