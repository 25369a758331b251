package envelope

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

// Domains holds the opened domains of a store: at most Capacity integrations,
// the least recently used one making way, and the system domain. There is one
// a process.
//
// A held domain serves for Lease after the key service last unwrapped it. One
// in use is unwrapped again every Refresh in the background, so that a key
// that was deleted is noticed soon; an idle one lapses with its lease. The
// system domain counts as in use, so that an outage is noticed in a quiet hour
// too. When the key service is away (vaultkeys.ErrUnavailable) a held domain serves on until
// HardCap has passed since the last success, then fails closed. When it refuses
// (vaultkeys.ErrRefused) the domain is dropped at once. However many callers
// wait for a domain, it is opened once.
type Domains struct {
	store uid.UID
	keys  vaultkeys.Wrapper
	src   Source
	o     Options

	held atomic.Pointer[map[uid.UID]*held] // never changed: replaced under mu

	mu      sync.Mutex
	flights map[uid.UID]*flight
	refused map[uid.UID]*refusal // domains that the key service refused last time
	closed  bool

	ctx        context.Context // ends when closed
	cancel     context.CancelFunc
	background sync.WaitGroup
	slots      chan struct{} // bounds refreshes in the background
}

// maxRefreshes is how many domains are refreshed at a time in the background.
const maxRefreshes = 16

// NewDomains returns Domains that hold nothing yet. Close ends them.
func NewDomains(store uid.UID, keys vaultkeys.Wrapper, src Source, o Options) *Domains {
	d := &Domains{
		store: store, keys: keys, src: src, o: o.withDefaults(),
		flights: map[uid.UID]*flight{}, refused: map[uid.UID]*refusal{},
		slots: make(chan struct{}, maxRefreshes),
	}
	d.held.Store(&map[uid.UID]*held{})
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.background.Add(1)
	go d.keep()
	return d
}

// Open returns an integration's domain. A held one costs no lock and no
// allocation. Otherwise the key service is asked, within Deadline; the error
// then wraps the key service's, the Source's or ErrIntegrity, and is the
// context's when that ends first. Never call it within a transaction of the
// engine that Source reads from.
func (d *Domains) Open(ctx context.Context, integration uid.UID) (*Domain, error) {
	if integration.IsZero() {
		return nil, ErrForeign
	}
	k, err := d.open(ctx, integration)
	return k.domain, err
}

// System returns the system domain, under the same terms as Open.
func (d *Domains) System(ctx context.Context) (*System, error) {
	k, err := d.open(ctx, uid.Zero)
	return k.system, err
}

// Refresh opens a domain anew, whatever is held, and waits for it: an opening
// under way is not enough, because it may have read the stored keysets before
// they changed. It is the answer to ErrUnknownKey, and follows every change of
// a stored keyset. While the key service is away it does without when every
// stored keyset is held already, so that a change of states alone comes into
// force; else it fails with vaultkeys.ErrUnavailable, and Open may go on to
// serve what is held.
func (d *Domains) Refresh(ctx context.Context, integration uid.UID) error {
	if err := d.waitOut(ctx, integration); err != nil {
		return err
	}
	_, err := d.load(ctx, integration)
	return err
}

// Drop forgets a domain: one that was deleted, or whose keys must go from
// memory. An opening under way does not bring it back.
func (d *Domains) Drop(integration uid.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flights[integration]; f != nil {
		f.dropped = true
	}
	delete(d.refused, integration)
	d.remove(integration)
}

// Close forgets every domain and ends the refreshes. Open then fails with
// ErrClosed.
func (d *Domains) Close() {
	d.mu.Lock()
	d.closed = true
	d.held.Store(&map[uid.UID]*held{})
	d.mu.Unlock()
	d.cancel()
	d.background.Wait()
}

func (d *Domains) open(ctx context.Context, integration uid.UID) (opened, error) {
	if k, ok := d.hit(integration); ok {
		return k, nil
	}
	k, err := d.load(ctx, integration)
	if errors.Is(err, vaultkeys.ErrUnavailable) {
		if k, ok := d.hit(integration); ok { // began within the lease, ended after it
			return k, nil
		}
	}
	return k, err
}

// hit is the way of nearly every call: a held domain within its term.
func (d *Domains) hit(integration uid.UID) (opened, bool) {
	h := (*d.held.Load())[integration]
	if h == nil {
		return opened{}, false
	}
	g, now := h.grant.Load(), d.o.Now()
	h.touch(now)
	if !g.serves(now) {
		return opened{}, false
	}
	if now.Sub(g.tried) >= d.o.Refresh {
		d.refreshAhead(h)
	}
	return g.keys, true
}

// remove needs mu.
func (d *Domains) remove(integration uid.UID) {
	old := *d.held.Load()
	if _, ok := old[integration]; !ok {
		return
	}
	next := make(map[uid.UID]*held, len(old))
	for k, h := range old {
		if k != integration {
			next[k] = h
		}
	}
	d.held.Store(&next)
}

// insert needs mu. It makes way when there are more than Capacity
// integrations; the system domain is never what makes way.
func (d *Domains) insert(h *held) {
	old := *d.held.Load()
	next := make(map[uid.UID]*held, len(old)+1)
	var oldest *held
	count := 1
	for k, other := range old {
		next[k] = other
		if k.IsZero() || k == h.integration {
			continue
		}
		count++
		if oldest == nil || other.used.Load() < oldest.used.Load() {
			oldest = other
		}
	}
	if count > d.o.Capacity && oldest != nil && !h.integration.IsZero() {
		delete(next, oldest.integration)
	}
	next[h.integration] = h
	d.held.Store(&next)
}

// opened is what a domain opens to, one of the two, and the keysets that it was
// made from.
type opened struct {
	domain *Domain
	system *System
	from   *[]generation
}

// fetch reads the stored keysets of a domain and opens them.
func (d *Domains) fetch(ctx context.Context, integration uid.UID) (sets []WrappedKeyset, k opened, err error) {
	sets, err = d.src.Keysets(ctx, integration)
	if err != nil {
		return nil, opened{}, err
	}
	if len(sets) == 0 {
		return nil, opened{}, damagedKeyset(errors.New("there is none"))
	}
	all, err := unwrapKeysets(ctx, d.keys, d.store, integration, sets)
	if err != nil {
		return sets, opened{}, err
	}
	k, err = d.assemble(integration, all)
	return sets, k, err
}

// assemble makes a domain of opened keysets.
func (d *Domains) assemble(integration uid.UID, all []generation) (k opened, err error) {
	k.from = &all
	if integration.IsZero() {
		k.system, err = newSystem(d.store, all)
	} else {
		k.domain, err = newDomain(d.store, integration, all)
	}
	if err != nil {
		return opened{}, err
	}
	return k, nil
}

// held is a domain in memory.
type held struct {
	integration uid.UID
	grant       atomic.Pointer[grant]
	used        atomic.Int64 // when it was last asked for, Unix nanoseconds
	refreshing  atomic.Bool  // a refresh ahead is under way
}

// usedGrain is how exactly used is kept: a domain that is handed out a million
// times a second is not written to a million times.
const usedGrain = int64(time.Millisecond)

func (h *held) touch(now time.Time) {
	n := now.UnixNano()
	if n-h.used.Load() >= usedGrain {
		h.used.Store(n)
	}
}

// usedSince reports whether the domain was asked for after t.
func (h *held) usedSince(t time.Time) bool { return h.used.Load() > t.UnixNano() }

// grant is the term on which a domain is held. It does not change once made.
type grant struct {
	keys      opened    // none after the hard cap
	confirmed time.Time // when the key service last unwrapped the keysets
	tried     time.Time // when it was last asked
	until     time.Time // the domain serves before this instant
	failing   error     // why it could not be asked last time, if so
	since     time.Time // since when that is so
}

func (g *grant) serves(now time.Time) bool { return now.Before(g.until) }
