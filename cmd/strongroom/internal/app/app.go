// Package app is the program as a value: everything that a server is made of,
// opened in small named steps, with a Run and a Close. The command, the demo,
// the benchmark and the tests start the same thing.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"strongroom/api"
	"strongroom/internal/config"
	"strongroom/internal/identity"
	"strongroom/internal/metrics"
	"strongroom/internal/secret"
	"strongroom/internal/tlsconf"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt"
)

// Options go with Open.
type Options struct {
	Config  config.Config
	Dev     *Dev // set for a development server
	Logger  *slog.Logger
	Version string
	// Steps, unless it is nil, puts something between rotations and the store:
	// tests end the process there.
	Steps func(rotate.Store) rotate.Store
}

// App is a server with all that it stands on.
type App struct {
	*Base
	Server   *api.Server
	Jobs     *rotate.Manager
	Erasures *rotate.Erasures

	config config.Config
	logger *slog.Logger
	dev    *Dev
	keeper *tlsconf.Keeper
	closed sync.Once
	err    error
}

// Open opens the store and listens, but serves nothing yet: Run does. A port of
// 0 is known from then on, by Server.Addr.
func Open(ctx context.Context, o Options) (*App, error) {
	if err := refuseOpenDoor(o); err != nil {
		return nil, err
	}
	base, err := OpenBase(ctx, o.Config, o.Logger, o.Dev != nil)
	if err != nil {
		return nil, err
	}
	a := &App{Base: base, config: o.Config, logger: o.Logger, dev: o.Dev}
	a.openJobs(o.Steps)
	if err := a.govern(ctx); err != nil {
		return nil, errors.Join(err, base.Close())
	}
	if err := a.listen(o); err != nil {
		return nil, errors.Join(err, base.Close())
	}
	return a, nil
}

// govern has the store wait for second persons when the configuration says so.
// It never says no to a store that waits: that is for two persons to change.
func (a *App) govern(ctx context.Context) error {
	if a.config.TwoPerson == config.On {
		return a.Store.RequireTwoPersons(ctx)
	}
	if a.Store.TwoPersons() {
		a.logger.Warn("the configuration does not ask for two persons, but the store does: switching that off is a change that a second person approves")
	}
	return nil
}

// listen makes the server and opens its listeners. The issuer of tokens can be
// the address, which is known only then.
func (a *App) listen(o Options) (err error) {
	if err := a.openTLS(); err != nil {
		return err
	}
	counts := metrics.New(o.Version, a.Ready)
	counts.Watch(a.Store.Stats)
	inventory := a.inventory()
	if err := a.watchKeys(counts, inventory); err != nil {
		return err
	}
	if err := counts.Register(a.certificateExpiry()); err != nil {
		return err
	}
	tokens := new(lateTokens)
	a.Server, err = api.New(api.Config{
		Store: a.Store, Jobs: a.Jobs, Keys: inventory, Erasures: a.Erasures, Tokens: tokens, Logger: o.Logger, TLS: a.keeper.Config(), Dev: o.Dev != nil,
		Metrics: counts, Gate: a.Gate, Ready: a.Ready,
		TrustedProxies: o.Config.TrustedProxies, ForwardedHeader: o.Config.TrustedProxyHeader == "forwarded",
		Listen: o.Config.Listen, OpsListen: o.Config.OpsListen, MaxBody: int64(o.Config.Limits.BodyBytes),
		DrainDelay:   time.Duration(o.Config.DrainDelay),
		DrainTimeout: time.Duration(o.Config.DrainTimeout),
	})
	if err != nil {
		return err
	}
	if err := a.Server.Listen(); err != nil {
		return err
	}
	fetch, err := outboundGuard(o.Config.Outbound)
	if err != nil {
		return err
	}
	tokens.Authority, err = identity.New(identity.Config{
		Directory: identity.Guarded(a.Store, a.Gate.Guard), Issuer: a.issuer(), Origins: a.origins(),
		Lifetime: time.Duration(o.Config.TokenLifetime), Outbound: fetch,
	})
	return err
}

// lateTokens becomes an authority once the issuer is known.
type lateTokens struct{ *identity.Authority }

func (a *App) issuer() string {
	if a.config.Issuer != "" {
		return a.config.Issuer
	}
	return "https://" + a.Server.Addr()
}

// origins are the other names of the server; a development server has one more,
// which its certificate is for too.
func (a *App) origins() []string {
	list := slices.Clone([]string(a.config.Origins))
	if _, port, err := net.SplitHostPort(a.Server.Addr()); a.dev != nil && err == nil {
		list = append(list, "https://localhost:"+port)
	}
	return list
}

// Run serves until ctx ends, then drains. The store's own work (the sweep of
// what expired, compaction) goes on beside it.
func (a *App) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { a.background("the store's background work", a.Store.Run(work)) })
	group.Go(func() { a.background("rotations and erasures", a.Jobs.Run(work)) })
	group.Go(func() { a.compactOnSchedule(work) })
	group.Go(func() { a.Gate.Run(work) })
	group.Go(func() { a.watchTLS(work) })
	err := a.Server.Run(ctx)
	stop()
	group.Wait()
	a.background("the last save of what the limits counted", a.Store.SaveCounts(context.WithoutCancel(ctx)))
	return err
}

func (a *App) background(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		a.logger.Error(what+" ended", "error", err)
	}
}

// compactOnSchedule compacts the data file now and then. Nothing stops
// meanwhile; one that fails is tried again at the next turn.
func (a *App) compactOnSchedule(ctx context.Context) {
	every := time.Duration(a.config.CompactEvery)
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = a.compact(ctx) // which was logged
		}
	}
}

func logCompaction(logger *slog.Logger, compact func() (bolt.CompactStats, error)) error {
	stats, err := compact()
	if err != nil {
		logger.Warn("the data file was not compacted", "error", err)
		return err
	}
	logger.Info("the data file was compacted", "before_bytes", stats.Before, "after_bytes", stats.After,
		"took", stats.Took, "writers_waited", stats.Pause)
	return nil
}

// Close closes everything that Open opened. Run must have ended.
func (a *App) Close() error {
	a.closed.Do(func() { a.err = a.Base.Close() })
	return a.err
}

// URL returns where the API is.
func (a *App) URL() string { return "https://" + a.Server.Addr() }

// Log returns the logger that the server writes to.
func (a *App) Log() *slog.Logger { return a.logger }

// ReloadCertificate reads the certificates' files again now; connections that
// are made from then on see what they hold.
func (a *App) ReloadCertificate() error { return a.keeper.Reload() }

// devClient is the client that a development server makes for its owner.
const devClient = "dev"

// devSecret gives the dev client a secret when the one of dev.env, if
// there is one, does not work.
func (a *Base) devSecret(ctx context.Context, known secret.Text) (secret.Text, error) {
	attempt := store.Attempt{Client: devClient, Address: "dev.env"}
	if !known.IsZero() {
		if _, err := a.Store.VerifySecret(ctx, attempt, known); err == nil {
			return known, nil
		}
	}
	return a.newDevSecret(ctx)
}

// newDevSecret takes the place of secrets whose values are lost.
func (a *Base) newDevSecret(ctx context.Context) (secret.Text, error) {
	who := owner()
	lost, err := a.Store.ListSecrets(ctx, who, devClient)
	if errors.Is(err, store.ErrNotFound) {
		made, err := a.Store.InitialClient(ctx, devClient, devRoles())
		return made.Secret, err
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("the secrets of the dev client: %w", err)
	}
	return a.replaceSecrets(ctx, who, lost)
}

// replaceSecrets ends secrets and makes one. The last of them goes at the end:
// an administrator never has none.
func (a *Base) replaceSecrets(ctx context.Context, who store.Caller, lost []store.SecretInfo) (secret.Text, error) {
	for len(lost) > 1 {
		if err := a.Store.DeleteSecret(ctx, who, devClient, lost[0].ID); err != nil {
			return secret.Text{}, err
		}
		lost = lost[1:]
	}
	made, err := a.Store.CreateSecret(ctx, who, devClient, 0, store.WriteOptions{})
	if err == nil && len(lost) > 0 {
		err = a.Store.DeleteSecret(ctx, who, devClient, lost[0].ID)
	}
	return made.Secret, err
}
