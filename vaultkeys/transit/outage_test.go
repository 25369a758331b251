package transit

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys"
)

// brief is the deadline of a provider whose server will not answer.
const brief = 700 * time.Millisecond

// calls is every call that asks the server.
func calls(p *Provider, key vaultkeys.KeyName, wrapped []vaultkeys.Item) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"wrap":      func(ctx context.Context) error { _, err := p.Wrap(ctx, key, one); return err },
		"unwrap":    func(ctx context.Context) error { _, err := p.Unwrap(ctx, key, wrapped); return err },
		"self-test": func(ctx context.Context) error { return p.SelfTest(ctx, key) },
		"create": func(ctx context.Context) error {
			return p.Create(ctx, vaultkeys.IntegrationKey(uid.New(), uid.New()))
		},
		"rotate":   func(ctx context.Context) error { _, err := p.Rotate(ctx, key); return err },
		"describe": func(ctx context.Context) error { _, err := p.Describe(ctx, key); return err },
		"minimum":  func(ctx context.Context) error { return p.SetMinimum(ctx, key, 1) },
		"trim":     func(ctx context.Context) error { return p.Trim(ctx, key, 1) },
		"destroy":  func(ctx context.Context) error { return p.Destroy(ctx, key) },
	}
}

// An outage ends every call within its deadline as an unavailability that says
// what is wrong, a login too; when it is over, nothing is lost.
func TestOutages(t *testing.T) {
	for name, o := range map[string]struct {
		begin, end func(vault, testing.TB)
		says       string
	}{
		"away": {
			func(v vault, t testing.TB) { v.Kill(t) }, func(v vault, t testing.TB) { v.Restart(t) }, "cannot connect (connection refused)",
		},
		"sealed": {
			func(v vault, t testing.TB) { v.Seal(t) }, func(v vault, t testing.TB) { v.Unseal(t) }, "it is sealed and must be unsealed",
		},
		"hung": {
			func(v vault, t testing.TB) { v.Stop(t) }, func(v vault, t testing.TB) { v.Continue(t) }, "no answer within the deadline",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := ownVault(t)
			c := v.twoRoles(t)
			setup := v.open(t, c)
			key := v.newKey(t, setup)
			wrapped := sealed(t, setup, key)
			c.Timeout, c.Retries = brief, 1
			p := v.open(t, c)
			o.begin(v, t)
			for call, do := range calls(p, key, wrapped) {
				if err := within(t, brief, do); err == nil {
					t.Errorf("%s succeeded", call)
				} else {
					wantError(t, err, vaultkeys.ErrUnavailable, o.says)
				}
			}
			err := within(t, brief, func(ctx context.Context) error { _, err := Open(ctx, c); return err })
			wantError(t, err, vaultkeys.ErrUnavailable, o.says)
			o.end(v, t)
			opens(t, setup, key, wrapped)
			opens(t, setup, key, sealed(t, setup, key))
			wantLatest(t, setup, key, 1)
		})
	}
}

// wantLatest checks the key's newest version.
func wantLatest(t testing.TB, p *Provider, key vaultkeys.KeyName, want int) {
	t.Helper()
	info, err := p.Describe(t.Context(), key)
	must(t, err)
	if info.Latest != want {
		t.Errorf("the newest version is %d, want %d", info.Latest, want)
	}
}

// A slow server is waited for until the deadline, and not longer.
func TestASlowServer(t *testing.T) {
	v := newVault(t)
	var delay atomic.Int64
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-time.After(time.Duration(delay.Load())):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	setup := v.open(t, v.oneToken(t))
	key := v.newKey(t, setup)
	wrapped := sealed(t, setup, key)
	c := v.oneToken(t)
	c.Address = proxy.Address
	patient := v.open(t, c)
	c.Timeout = brief
	hurried := v.open(t, c)
	delay.Store(int64(brief * 3 / 2))
	opens(t, patient, key, wrapped)
	for call, do := range calls(hurried, key, wrapped) {
		err := within(t, brief, do)
		wantError(t, err, vaultkeys.ErrUnavailable, "no answer within the deadline")
		if err == nil {
			t.Errorf("%s succeeded", call)
		}
	}
	opens(t, patient, key, wrapped)
}

// The caller's end counts as well as the provider's deadline.
func TestACallerGivesUp(t *testing.T) {
	v := ownVault(t)
	p := v.open(t, v.oneToken(t))
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	v.Stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err := within(t, brief, func(context.Context) error { _, err := p.Unwrap(ctx, key, wrapped); return err })
	wantError(t, err, vaultkeys.ErrUnavailable, "the caller gave up")
	wantError(t, err, context.Canceled, "")
	v.Continue(t)
	opens(t, p, key, wrapped)
}

const marker = "MARKER-that-no-error-may-repeat"

// nonsense is what a server that is no Vault, or a broken one, could say.
var nonsense = map[string]http.HandlerFunc{
	"a page":                func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>"+marker) },
	"a page, 404":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, marker, http.StatusNotFound) },
	"a page, 403":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, marker, http.StatusForbidden) },
	"a page, 400":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, marker, http.StatusBadRequest) },
	"a page, 502":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, marker, http.StatusBadGateway) },
	"nothing":               func(http.ResponseWriter, *http.Request) {},
	"no content":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"an empty object":       answer(`{}`),
	"an array":              answer(`["` + marker + `"]`),
	"null":                  answer(`null`),
	"half of an answer":     answer(`{"data":{"batch_results":[{"plaintext":"` + marker),
	"other data":            answer(`{"data":{"` + marker + `":1}}`),
	"no item":               answer(`{"data":{"type":"aes256-gcm96","latest_version":1,"keys":{"1":1},"batch_results":[]}}`),
	"an item of nothing":    answer(`{"data":{"type":"aes256-gcm96","latest_version":1,"keys":{"1":"` + marker + `"},"batch_results":[{}]}}`),
	"an item that is wrong": answer(`{"data":{"type":"aes256-gcm96","latest_version":1,"keys":{"1":true},"batch_results":[{"plaintext":"%%%","ciphertext":"vault:v1:%%"}]}}`),
	"two items": answer(`{"data":{"type":"aes256-gcm96","latest_version":1,"keys":{"1":{}},"batch_results":[` +
		`{"plaintext":"eA==","ciphertext":"vault:v1:eA=="},{"plaintext":"eA==","ciphertext":"vault:v1:eA=="}]}}`),
	"an answer without end": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"junk":"`)
		junk := strings.Repeat("x", 1<<20)
		for {
			if _, err := io.WriteString(w, junk); err != nil {
				return
			}
		}
	},
	"a redirect to itself": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	},
	"a cut connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"more than it says": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"data":`)
	},
	"a refusal to wait": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errors":["too many"]}`)
	},
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// What makes no sense is an unavailability: it must not end what is held in
// memory, and nothing of it is unwrapped or repeated.
func TestNonsense(t *testing.T) {
	token := vaulttest.WriteFile(t, "token", "any")
	for name, say := range nonsense {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			server := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
				if !broken.Load() {
					answer(`{"data":{"ttl":3600,"creation_ttl":3600}}`)(w, r)
					return
				}
				say(w, r)
			})
			c := Config{Address: server.URL, Timeout: patience, Auth: Auth{Method: MethodToken, TokenFile: token}}
			p, err := Open(t.Context(), c)
			must(t, err)
			t.Cleanup(func() { p.Close() })
			broken.Store(true)
			key := vaultkeys.IntegrationKey(uid.New(), uid.New())
			wrapped := []vaultkeys.Item{{Data: append([]byte{1, 0, 0, 0, 1}, make([]byte, 40)...)}}
			for call, do := range calls(p, key, wrapped) {
				if strings.Contains(name, "item") && (call == "create" || call == "describe" || call == "trim" || call == "destroy") {
					continue // what is told of the key itself makes sense
				}
				wantNonsense(t, call, within(t, patience, do))
			}
			_, err = Open(t.Context(), c)
			wantNonsense(t, "login", err)
		})
	}
}

func wantNonsense(t *testing.T, call string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s succeeded", call)
		return
	}
	wantError(t, err, vaultkeys.ErrUnavailable, "")
	if strings.Contains(err.Error(), "MARKER") {
		t.Errorf("%s: the error repeats what the server said: %v", call, err)
	}
}

func fakeServer(t testing.TB, h http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server
}

// Some other protocol answers, or the peer hangs up before a word.
func TestAPeerThatSpeaksSomethingElse(t *testing.T) {
	for name, say := range map[string]string{"another protocol": "SSH-2.0-OpenSSH_9.2 " + marker + "\r\n", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = bufio.NewReader(conn).ReadString('\n')
					_, _ = io.WriteString(conn, say)
					conn.Close()
				}
			}()
			c := Config{
				Address: "http://" + l.Addr().String(), Timeout: brief, Retries: 3,
				Auth: Auth{Method: MethodToken, TokenFile: vaulttest.WriteFile(t, "token", "any")},
			}
			err = within(t, brief, func(ctx context.Context) error { _, err := Open(ctx, c); return err })
			wantNonsense(t, "login", err)
		})
	}
}
