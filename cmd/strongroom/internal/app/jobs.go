package app

import (
	"context"
	"time"

	"strongroom/internal/metrics"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/store/bolt"
)

// openJobs makes what carries on rotations, their schedules and erasures. Run
// carries them on.
func (a *App) openJobs(between func(rotate.Store) rotate.Store) {
	steps := rotate.Of(a.Store)
	if between != nil {
		steps = between(steps)
	}
	a.Erasures = rotate.NewErasures(rotate.ErasureOptions{Store: a.Store, Compact: a.compact, Poll: time.Second})
	a.Jobs = rotate.New(rotate.Options{
		Store: steps, Logger: a.logger, Audit: a.Audit.Write, Compact: a.compact,
		Grace: time.Duration(a.config.Rotation.Grace), Kinds: []rotate.Kind{a.Erasures},
	})
}

// compact rewrites the data file now: what was erased is in no free page of it
// once this returned without an error.
func (a *App) compact(ctx context.Context) error {
	return logCompaction(a.logger, func() (bolt.CompactStats, error) { return a.Engine.Compact(ctx) })
}

// inventory tells of keys.
func (a *App) inventory() *rotate.Inventory {
	p := a.config.Rotation.Cryptoperiods
	return &rotate.Inventory{
		Store: a.Store, Schedules: a.Jobs.ListSchedules, Now: time.Now,
		Periods: rotate.Cryptoperiods{KEK: time.Duration(p.KEK), Wrapping: time.Duration(p.Wrapping), Index: time.Duration(p.Index)},
	}
}

// scrapeTimeout bounds how long a scrape waits for the inventory.
const scrapeTimeout = 5 * time.Second

// watchKeys shows keys and rotations in the metrics. Nobody's right is asked:
// who can reach the operations listener may know.
func (a *App) watchKeys(counts *metrics.Metrics, inventory *rotate.Inventory) error {
	quiet := *inventory
	quiet.Schedules = nil // the metrics have no use for when a rotation is next
	err := counts.WatchKeys(func() ([]rotate.DomainKeys, error) {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		return quiet.List(ctx, store.Internal("metrics"))
	})
	if err != nil {
		return err
	}
	return counts.WatchRotations(a.Jobs.Stats)
}
