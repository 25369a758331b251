package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/rotate"
)

// The label values of those that have no name of their own. No integration can
// be called so.
const (
	systemDomain = "(system)"
	otherDomains = "(others)"
)

const (
	// maxDomains bounds the integrations that have figures of their own; those
	// of the rest are added up, or the worst of them is told.
	maxDomains = 1000
	// keysEvery is how long figures of keys are told again: scrapes that come
	// together ask the store once.
	keysEvery = 10 * time.Second
)

var (
	valuesDesc = prometheus.NewDesc("strongroom_key_values", "Values under keys, by what the keys do and their state.", []string{"integration", "purpose", "state"}, nil)
	ageDesc    = prometheus.NewDesc("strongroom_key_age_seconds", "For how long the key that seals now has done so.", []string{"integration", "purpose"}, nil)
	leftDesc   = prometheus.NewDesc("strongroom_key_cryptoperiod_left_seconds", "What is left of its cryptoperiod; negative when it was passed.", []string{"integration", "purpose"}, nil)
	unsureDesc = prometheus.NewDesc("strongroom_keys_unknown", "Key domains whose key the key service did not tell of.", nil, nil)
)

// WatchKeys tells of keys at each scrape. The names of integrations are labels
// here, and nowhere else: at most 1,000 of them.
func (m *Metrics) WatchKeys(list func() ([]rotate.DomainKeys, error)) error {
	return m.Register(&keys{list: list, most: maxDomains, now: time.Now})
}

// keys is the collector of an inventory.
type keys struct {
	list func() ([]rotate.DomainKeys, error)
	most int
	now  func() time.Time

	mu    sync.Mutex
	until time.Time
	last  []prometheus.Metric
}

// Describe implements prometheus.Collector.
func (k *keys) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{valuesDesc, ageDesc, leftDesc, unsureDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. When the inventory cannot be read,
// there are no figures: old ones would look like new ones.
func (k *keys) Collect(out chan<- prometheus.Metric) {
	for _, m := range k.metrics() {
		out <- m
	}
}

func (k *keys) metrics() []prometheus.Metric {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); !now.Before(k.until) {
		k.last = nil
		if list, err := k.list(); err == nil {
			k.last = sum(list, k.most).metrics()
		}
		k.until = k.now().Add(keysEvery)
	}
	return k.last
}

// keyFigures are the figures of an inventory, by the values of their labels.
type keyFigures struct {
	values    map[[3]string]uint64
	age, left map[[2]string]int64
	unknown   int
}

func sum(list []rotate.DomainKeys, most int) *keyFigures {
	f := &keyFigures{values: map[[3]string]uint64{}, age: map[[2]string]int64{}, left: map[[2]string]int64{}}
	for n, d := range list {
		name := d.Integration
		switch {
		case d.System():
			name = systemDomain
		case n >= most:
			name = otherDomains
		}
		if d.KEK.Unknown != "" {
			f.unknown++
		}
		f.live(name, "kek", d.KEK.Life)
		for _, key := range d.Keys {
			if key.State != "destroyed" {
				f.values[[3]string{name, key.Purpose, key.State}] += key.Values
			}
			f.live(name, key.Purpose, key.Life)
		}
	}
	return f
}

// live notes how old a key is; of several the oldest counts.
func (f *keyFigures) live(name, purpose string, life rotate.Life) {
	if life.Age == nil || life.Left == nil {
		return
	}
	at := [2]string{name, purpose}
	if old, there := f.age[at]; !there || *life.Age > old {
		f.age[at], f.left[at] = *life.Age, *life.Left
	}
}

func (f *keyFigures) metrics() []prometheus.Metric {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
		return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	all := []prometheus.Metric{gauge(unsureDesc, float64(f.unknown))}
	for at, n := range f.values {
		all = append(all, gauge(valuesDesc, float64(n), at[:]...))
	}
	for at, seconds := range f.age {
		all = append(all, gauge(ageDesc, float64(seconds), at[:]...), gauge(leftDesc, float64(f.left[at]), at[:]...))
	}
	return all
}
