package identity

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/jwks"
	"strongroom/store"
)

const (
	// remoteAtMost bounds how long keys serve on that cannot be fetched again:
	// after that one that was taken away could still count.
	remoteAtMost = time.Hour
	// maxRemote bounds how many places are remembered.
	maxRemote = 4096
)

// kept is something that is fetched from elsewhere and held for a while. One
// fetch is under way at a time, and a failed one is not repeated at once.
type kept[T any] struct {
	mu      sync.Mutex // held while fetching
	current atomic.Pointer[dated[T]]
	failed  time.Time
	asked   atomic.Bool // a fetch in the background is under way
}

type dated[T any] struct {
	value T
	at    time.Time
}

// get returns what is held when it is not older than age, else what fetch
// returns, else what is held all the same when it is not older than an hour.
func (k *kept[T]) get(now time.Time, age time.Duration, fetch func() (T, error)) (value T, err error) {
	if d := k.current.Load(); d != nil && now.Sub(d.at) < age {
		return d.value, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.current.Load()
	if held != nil && now.Sub(held.at) < age {
		return held.value, nil
	}
	if now.Sub(k.failed) >= keysAtMost || k.failed.After(now) {
		if value, err = fetch(); err == nil {
			k.current.Store(&dated[T]{value, now})
			return value, nil
		}
		k.failed = now
	}
	if held != nil && now.Sub(held.at) < remoteAtMost {
		return held.value, nil
	}
	if err == nil {
		return value, fmt.Errorf("%w: not tried again yet", store.ErrRemoteKeys)
	}
	return value, fmt.Errorf("%w: %w", store.ErrRemoteKeys, err)
}

// places is a bounded map of what is kept from where.
type places[T any] struct {
	mu  sync.Mutex
	all map[string]*kept[T]
}

func (p *places[T]) at(where string) *kept[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.all[where]; k != nil {
		return k
	}
	if p.all == nil {
		p.all = map[string]*kept[T]{}
	}
	for old := range p.all { // any one; it is fetched again when it is needed
		if len(p.all) < maxRemote {
			break
		}
		delete(p.all, old)
	}
	k := &kept[T]{}
	p.all[where] = k
	return k
}

// remoteSet is a fetched set, with the credentials that it stands for.
type remoteSet struct {
	uri         string
	keys        *jwks.Set
	credentials map[string]bool
}

// remoteKeys holds the key sets that clients and issuers keep elsewhere. They
// are named by what credentials of their keys begin with.
type remoteKeys struct {
	fetch func(ctx context.Context, url string) ([]byte, error)
	now   func() time.Time
	sets  places[*remoteSet]
}

// get returns a set that is not older than age, if that can be had.
func (r *remoteKeys) get(ctx context.Context, uri string, age time.Duration) (*jwks.Set, error) {
	k := r.sets.at(store.RemoteCredential(uri, ""))
	set, err := k.get(r.now(), age, func() (*remoteSet, error) { return r.load(ctx, uri) })
	if err != nil {
		return nil, err
	}
	return set.keys, nil
}

// load fetches a set. That the one who asks goes away does not end it: others
// may wait for the same.
func (r *remoteKeys) load(ctx context.Context, uri string) (*remoteSet, error) {
	raw, err := r.fetch(context.WithoutCancel(ctx), uri)
	if err != nil {
		return nil, err
	}
	keys, err := jwks.ParseFetched(raw)
	if err != nil {
		return nil, err
	}
	set := &remoteSet{uri: uri, keys: keys, credentials: map[string]bool{}}
	for _, k := range keys.Keys() {
		set.credentials[store.RemoteCredential(uri, store.KeyCredential(k))] = true
		if k.Certificate != "" {
			set.credentials[store.RemoteCredential(uri, store.CertificateCredential(k.Certificate))] = true
		}
	}
	return set, nil
}

// find returns the key that a header means. One that is not there makes it look
// again, now and then.
func (r *remoteKeys) find(ctx context.Context, uri, kid, algorithm string) (jwks.Key, bool, error) {
	for _, age := range []time.Duration{keysFor, keysAtMost} {
		set, err := r.get(ctx, uri, age)
		if err != nil {
			return jwks.Key{}, false, err
		}
		if key, ok := set.Find(kid, algorithm); ok {
			return key, true, nil
		}
	}
	return jwks.Key{}, false, nil
}

// holding returns what is kept of the set that a credential stands in, nil for
// a credential of another kind.
func (r *remoteKeys) holding(credential string) *kept[*remoteSet] {
	slash := strings.IndexByte(credential, '/')
	if !strings.HasPrefix(credential, "uri:") || slash < 0 {
		return nil
	}
	return r.sets.at(credential[:slash+1])
}

// gone reports whether a credential stood in a set that lacks it by now. It
// waits for nothing: a set that is old is fetched again behind.
func (r *remoteKeys) gone(k *kept[*remoteSet], credential string) bool {
	held := k.current.Load()
	if held == nil {
		return false // nothing was fetched since the start; the token expires soon
	}
	if r.now().Sub(held.at) >= keysFor && k.asked.CompareAndSwap(false, true) {
		go func() {
			defer k.asked.Store(false)
			_, _ = r.get(context.Background(), held.value.uri, keysFor)
		}()
	}
	return !held.value.credentials[credential]
}
