package transit

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/vaultkeys"
)

// wire forwards connections to a server, and can go dead: connections that
// there are stay open and carry nothing any more, as behind a firewall that has
// forgotten them. New ones work.
type wire struct {
	net.Listener
	to   string
	dead atomic.Pointer[chan struct{}] // closed when the connections of now go dead
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{Listener: l, to: strings.TrimPrefix(to, "https://")}
	w.renew()
	t.Cleanup(func() { l.Close() })
	go w.serve()
	return w
}

func (w *wire) renew() {
	fresh := make(chan struct{})
	if old := w.dead.Swap(&fresh); old != nil {
		close(*old)
	}
}

func (w *wire) serve() {
	for {
		in, err := w.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			in.Close()
			continue
		}
		dead := *w.dead.Load()
		go forward(in, out, dead)
		go forward(out, in, dead)
	}
}

func forward(from, to net.Conn, dead chan struct{}) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-dead:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A connection that went dead without a word must not be waited on for ever:
// calls time out on it once or twice, and then take another.
func TestADeadConnectionIsLeft(t *testing.T) {
	v := ownVault(t)
	w := newWire(t, v.TLSAddress)
	c := v.oneToken(t)
	c.Address, c.CACertFile, c.Timeout = "https://"+w.Addr().String(), v.CAFile(t), brief
	p := v.open(t, c)
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	w.renew()
	for start := time.Now(); ; {
		_, err := p.Unwrap(t.Context(), key, wrapped)
		if err == nil {
			return
		}
		wantError(t, err, vaultkeys.ErrUnavailable, "")
		if time.Since(start) > 30*time.Second {
			t.Fatalf("after 30 s calls still wait on the dead connection: %v", err)
		}
	}
}

// A 403 drops what is held in memory, so it must be one for sure. Where it
// cannot be found out whether the token had just ended, it is an unavailability.
func TestARefusalThatIsNotSure(t *testing.T) {
	v := newVault(t)
	var broken atomic.Bool
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case !broken.Load():
			next.ServeHTTP(w, r)
		case strings.HasSuffix(r.URL.Path, "/lookup-self"):
			http.Error(w, `{"errors":["Vault is sealed"]}`, http.StatusServiceUnavailable)
		default:
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		}
	})
	c := v.oneToken(t)
	c.Address = proxy.Address
	p := v.open(t, c)
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	broken.Store(true)
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrUnavailable, "the everyday identity's token cannot be looked up")
	broken.Store(false)
	opens(t, p, key, wrapped)
}

// The token ends while the server is away: the next call logs in anew.
func TestAnOutageThatOutlastsTheToken(t *testing.T) {
	v := ownVault(t)
	setup := v.open(t, v.oneToken(t))
	key := v.newKey(t, setup)
	wrapped := sealed(t, setup, key)
	c := v.config(t)
	c.Timeout, c.Auth = 2*time.Second, v.appRole(t, "2s", "1h", everydayPolicy)
	p := v.open(t, c)
	first := p.everyday.client.Token()
	v.Kill(t)
	time.Sleep(2500 * time.Millisecond)
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrUnavailable, "cannot connect")
	v.Restart(t)
	opens(t, p, key, wrapped)
	if p.everyday.client.Token() == first {
		t.Error("the token is the one that ended")
	}
}
