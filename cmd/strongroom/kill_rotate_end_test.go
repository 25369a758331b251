package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"time"

	"strongroom/cmd/strongroom/internal/app"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/config"
	"strongroom/internal/ledger"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
	"strongroom/vaultkeys/keyring"
	"strongroom/vaultkeys/transit"
)

// openHome is the store of a home that no server has, opened in this process.
type openHome struct {
	k      *rotateTest
	store  *store.Store
	engine *bolt.Engine
	conf   config.Config
	now    func() time.Time
	close  []func() error
}

// open opens the store with another clock than the machine's.
func (k *rotateTest) open(now func() time.Time) *openHome {
	k.Helper()
	h := &openHome{k: k, now: now}
	_, conf, err := app.OpenDev(k.home, config.Default())
	k.must(err)
	h.conf = conf
	logger := slog.New(slog.DiscardHandler)
	h.engine, err = bolt.Open(app.DataFile(conf), bolt.Options{Logger: logger})
	k.must(err)
	h.close = append(h.close, h.engine.Close)
	log, err := audit.Open(conf.AuditDir, audit.Options{})
	k.must(err)
	h.close = append(h.close, log.Close)
	led, err := ledger.Open(app.LedgerDir(conf))
	k.must(err)
	h.close = append(h.close, led.Close)
	h.store, err = store.Open(k.Context(), store.Deps{Engine: h.engine, Keys: h.keys(), Audit: log, Ledger: led, Logger: logger, Now: now})
	k.must(err)
	h.close = append(h.close, h.store.Close)
	return h
}

func (h *openHome) keys() vaultkeys.Provider {
	k := h.k
	if v := k.vault; v != nil {
		auth := func(a config.Auth) transit.Auth {
			return transit.Auth{Method: a.Method, RoleIDFile: a.RoleIDFile, SecretIDFile: a.SecretIDFile}
		}
		lifecycle := auth(v.LifecycleAuth)
		p, err := transit.Open(k.Context(), transit.Config{
			Address: v.Address, Mount: v.Mount, CACertFile: v.CACertFile, Timeout: time.Duration(v.Timeout),
			Auth: auth(v.Auth), LifecycleAuth: &lifecycle,
		})
		k.must(err)
		h.close = append(h.close, p.Close)
		return p
	}
	p, err := keyring.Open(h.conf.Keys.Keyring.Path, keyring.Unsealed{})
	k.must(err)
	h.close = append(h.close, p.Close)
	return p
}

func (h *openHome) done() {
	h.k.Helper()
	for i := len(h.close) - 1; i >= 0; i-- {
		h.k.must(h.close[i]())
	}
}

// killOwner may do everything in a development store.
var killOwner store.Caller = &access.Principal{Client: "owner", Roles: access.Builtins(), Policy: access.NewPolicy(nil, access.Builtins(), true)}

// inspect reads the whole store of the killed server, notes where its rotations
// stand, and makes a backup for those that wait for one.
func (k *rotateTest) inspect() {
	k.Helper()
	h := k.open(time.Now)
	defer h.done()
	h.wantWhole(k.rounds%5 == 0)
	h.noteKeysets()
	rows, err := h.store.Rows(k.Context(), store.RowPart)
	k.must(err)
	for _, row := range rows {
		var p struct{ Step string }
		k.must(json.Unmarshal(row.Doc, &p))
		if !slices.Contains([]string{"done", "rolled_back", "cancelled", "skipped"}, p.Step) {
			k.stood[p.Step]++
		}
	}
	if k.rotator.c.request.Trim || k.rotator.lacksBackup() {
		h.backUp()
	}
}

// wantWhole reads the store and must find no damage.
func (h *openHome) wantWhole(deep bool) {
	h.k.Helper()
	report, err := h.store.Fsck(h.k.Context(), store.FsckOptions{Deep: deep})
	h.k.must(err)
	for _, d := range report.Damages {
		h.k.Errorf("fsck: %s at %s: %s", d.Kind, d.Where, d.Detail)
	}
}

// noteKeysets remembers the wrapped keysets that there are.
func (h *openHome) noteKeysets() {
	h.k.must(h.engine.View(h.k.Context(), func(tx kv.ReadTx) error {
		tx.Scan(kv.Keysets, nil, nil, func(key, value []byte) bool {
			if h.k.seen[string(key)] == nil {
				h.k.seen[string(key)] = map[string][]byte{}
			}
			h.k.seen[string(key)][string(value)] = bytes.Clone(value)
			return true
		})
		return nil
	}))
}

// backUp makes a backup and reads it back.
func (h *openHome) backUp() {
	h.k.Helper()
	sum := sha256.New()
	info, err := h.store.Backup(h.k.Context(), killOwner, io.MultiWriter(io.Discard, sum), store.BackupOptions{})
	h.k.must(err)
	_, err = h.store.ConfirmBackup(h.k.Context(), killOwner, info.Sequence, hex.EncodeToString(sum.Sum(nil)))
	h.k.must(err)
}

// dayLater opens the store when idempotency keys of before have ended, carries
// every rotation to its end, rotates everything once more, and looks at what is
// left.
func (k *rotateTest) dayLater() {
	k.Helper()
	h := k.open(func() time.Time { return time.Now().Add(25 * time.Hour) })
	defer h.done()
	_, err := h.store.Sweep(k.Context())
	k.must(err)
	h.backUp()
	ctx, cancel := context.WithCancel(k.Context())
	m := rotate.New(rotate.Options{Store: rotate.Of(h.store), Now: h.now, Logger: slog.New(slog.DiscardHandler)})
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	h.awaitEnds(m)
	none := rotate.Span(0)
	_, err = m.Create(ctx, killOwner, rotate.Request{Integrations: []string{"*"}, System: true, Depth: rotate.DepthData, Grace: &none, Retire: true})
	k.must(err)
	h.awaitEnds(m)
	cancel()
	k.must(<-ended)
	h.noteKeysets()
	h.wantNothingLeft()
	h.wantWhole(true)
	h.wantNoCopies()
}

// awaitEnds waits until every rotation has ended.
func (h *openHome) awaitEnds(m *rotate.Manager) {
	k := h.k
	k.Helper()
	var all []rotate.Rotation
	for range 12000 {
		var err error
		all, err = m.List(k.Context(), killOwner)
		k.must(err)
		open := 0
		for i := range all {
			if !all[i].State.Ended() {
				open++
			}
			switch {
			case all[i].State == rotate.StatePaused:
				_, err = m.Resume(k.Context(), killOwner, all[i].ID)
				k.must(err)
			case all[i].State == rotate.StateFailed:
				k.Fatalf("a rotation failed: %s", all[i].Detail)
			}
		}
		if open == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.Fatalf("not every rotation ended: %s", toJSON(k.T, all))
}
