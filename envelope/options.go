package envelope

import (
	"context"
	"time"

	"strongroom/internal/uid"
)

// Source hands out the stored keysets of a domain: every generation of each of
// its purposes. uid.Zero is the system domain. What it answers may be kept and
// must not be changed later. Domains calls it from background goroutines, never
// from within a transaction, and with a context that has a deadline.
type Source interface {
	Keysets(ctx context.Context, integration uid.UID) ([]WrappedKeyset, error)
}

// Options of Domains; a zero member means its default.
type Options struct {
	Capacity int           // integrations held at a time; 1024
	Lease    time.Duration // how long a keyset serves after it was unwrapped; 15 min
	Refresh  time.Duration // how often a keyset in use is unwrapped again; 30 s
	HardCap  time.Duration // how long it serves while the key service is away; 1 h
	Deadline time.Duration // of one opening of a domain; 2 s

	Now     func() time.Time // time.Now
	OnEvent func(Event)      // called outside of every lock; must not block
}

func (o Options) withDefaults() Options {
	setDefault(&o.Capacity, 1024)
	setDefault(&o.Lease, 15*time.Minute)
	setDefault(&o.Refresh, 30*time.Second)
	setDefault(&o.HardCap, time.Hour)
	setDefault(&o.Deadline, 2*time.Second)
	o.Lease = min(o.Lease, o.HardCap)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	return o
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// EventKind says what happened to a held domain.
type EventKind string

// The kinds.
const (
	EventDegraded  EventKind = "degraded"  // the key service is away; the keysets serve on
	EventRecovered EventKind = "recovered" // the key service is back
	EventExpired   EventKind = "expired"   // it was away for too long; the keysets serve no more
	EventRefused   EventKind = "refused"   // the keysets were dropped at once
)

// Event tells the audit log and the metrics of a change. Err never holds a
// secret.
type Event struct {
	Kind        EventKind
	Integration uid.UID // uid.Zero is the system domain
	At          time.Time
	Until       time.Time // for EventDegraded: when the keysets stop to serve
	Err         error
}
