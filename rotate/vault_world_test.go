package rotate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
	"strongroom/store"
	"strongroom/store/storetest"
	"strongroom/vaultkeys/transit"
)

// vaultOutage stands between a store and a real Vault, and takes Vault away at one
// call, counted since it was armed.
type vaultOutage struct {
	*vaulttest.Server
	t   *testing.T
	way way

	mu    sync.Mutex
	calls int
	at    int // 0: none
	down  bool
	first string // the call at which it went
}

// way is how Vault goes away.
type way string

const (
	sealed  way = "sealed"
	lost    way = "answer lost" // it does what it was asked, and nobody hears of it
	killed  way = "killed"
	crashed way = "killed with the answer under way"
	halted  way = "halted"
)

// late reports whether the call at which Vault goes is carried out.
func (w way) late() bool { return w == lost || w == crashed }

// answers reports whether the server sees what comes meanwhile, and refuses it,
// or keeps it waiting, by itself.
func (w way) answers() bool { return w == sealed || w == halted }

func (w way) leave(s *vaulttest.Server, t testing.TB) {
	switch w {
	case sealed:
		s.Seal(t)
	case killed, crashed:
		s.Kill(t)
	case halted:
		s.Stop(t)
	}
}

func (w way) back(s *vaulttest.Server, t testing.TB) {
	switch w {
	case sealed:
		s.Unseal(t)
	case killed, crashed:
		s.Restart(t)
	case halted:
		s.Continue(t)
	}
}

// serve is the proxy's.
func (o *vaultOutage) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	if o.calls == o.at {
		o.down, o.first = true, r.Method+" "+r.URL.Path
		if o.way.late() {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		o.way.leave(o.Server, o.t)
	}
	if o.down && !o.way.answers() {
		panic(http.ErrAbortHandler)
	}
	next.ServeHTTP(w, r)
}

// arm has Vault go away at the nth call from now on.
func (o *vaultOutage) arm(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls, o.at, o.down, o.first = 0, n, false, ""
}

// went reports whether Vault is away, and at which call it went.
func (o *vaultOutage) went() (down bool, call string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.down, o.first
}

func (o *vaultOutage) comeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		o.way.back(o.Server, o.t)
	}
	o.down, o.at = false, 0
}

// vaulted is a real store whose keys are in a real Vault, under the two
// identities that the shipped policies are for, and with a ledger.
type vaulted struct {
	*real
	*vaultOutage
	erasures *Erasures
	compacts int
}

func newVaulted(t *testing.T, w way) *vaulted {
	t.Helper()
	v := &vaulted{vaultOutage: &vaultOutage{Server: vaulttest.New(t), t: t, way: w}}
	keys, err := transit.Open(t.Context(), v.config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	always := envelope.Options{Lease: 1000 * time.Hour, Refresh: 1000 * time.Hour, HardCap: 1000 * time.Hour, Deadline: time.Minute}
	v.real = newRealWith(t, 10, storetest.Options{Provider: keys, Ledger: l, Leases: always})
	v.manage()
	return v
}

// config asks Vault through the outage. What Vault does not answer is given up
// after a second, which only one that is halted comes to.
func (v *vaulted) config(t *testing.T) transit.Config {
	v.Mount(t, "transit")
	v.Policy(t, "strongroom-everyday", transit.EverydayPolicy)
	v.Policy(t, "strongroom-lifecycle", transit.LifecyclePolicy)
	c := transit.Config{Address: v.Proxy(t, v.serve).Address, Timeout: 20 * time.Second}
	if v.way == halted {
		c.Timeout = time.Second
	}
	role := func(policy string) transit.Auth {
		roleID, secretID := v.AppRole(t, policy+"-"+uid.New().String(), "24h", "48h", policy)
		return transit.Auth{Method: transit.MethodAppRole, RoleIDFile: roleID, SecretIDFile: secretID}
	}
	lifecycle := role("strongroom-lifecycle")
	c.Auth, c.LifecycleAuth = role("strongroom-everyday"), &lifecycle
	return c
}

// manage is a new process, as far as jobs are concerned.
func (v *vaulted) manage() {
	now := v.now
	v.erasures = NewErasures(ErasureOptions{Store: v.Store, Now: now, Compact: v.compact})
	v.m = New(Options{Store: Of(v.Store), Now: now, Logger: quiet, Compact: v.compact, Kinds: []Kind{v.erasures}})
}

func (v *vaulted) compact(ctx context.Context) error {
	v.compacts++
	_, err := v.Engine.Compact(ctx)
	return err
}

// advance does the next thing there is to do; nothing waits for the real clock.
func (v *vaulted) advance() {
	if wait := v.m.advance(context.Background()); wait > 0 {
		v.ticks.Add(int64(min(wait, 15*time.Second)))
	}
}

// backup makes a backup and confirms it.
func (v *vaulted) backup() []byte {
	v.real.t.Helper()
	v.ticks.Add(int64(time.Second))
	var file strings.Builder
	info, err := v.Backup(v.real.t.Context(), v.Root(), &file, store.BackupOptions{})
	v.must(err)
	_, err = v.ConfirmBackup(v.real.t.Context(), v.Root(), info.Sequence, info.SHA256)
	v.must(err)
	v.ticks.Add(int64(time.Second))
	return []byte(file.String())
}
