// Package vaultkeys is where the key-encryption keys (KEK) live: outside of
// the process that seals, one for each integration and one for the system
// domain. A KEK never leaves its provider; what comes and goes are keysets,
// wrapped and unwrapped.
//
// A KEK has versions. Rotate adds one, SetMinimum stops older ones from being
// used, which can be taken back, and Trim destroys those, which cannot.
package vaultkeys

import (
	"context"
	"errors"
	"time"

	"strongroom/internal/uid"
)

// KeyName names a KEK at its provider. It is made of uids, never of names, so
// that a recreated integration cannot reach its namesake's key and two stores
// on one Vault cannot reach each other's.
type KeyName string

// IntegrationKey returns the name of an integration's KEK.
func IntegrationKey(store, integration uid.UID) KeyName {
	return KeyName("strongroom-" + store.String() + "-" + integration.String())
}

// SystemKey returns the name of the KEK of a store's system domain.
func SystemKey(store uid.UID) KeyName {
	return KeyName("strongroom-" + store.String() + "-system")
}

// Item is one value to wrap or unwrap. AssociatedData is authenticated with
// it and must be the same on both ways.
type Item struct {
	Data           []byte
	AssociatedData []byte
}

// Wrapper is the everyday side of a provider. Both calls take a batch of
// items under one key and answer all of them or fail as a whole. They return
// within the provider's deadline (2 s unless configured) even when the
// context has none, and are safe for concurrent use.
type Wrapper interface {
	// Wrap seals each item's data under the newest version of the key. It
	// never creates a key: an unknown one is ErrKeyNotFound.
	Wrap(ctx context.Context, key KeyName, items []Item) ([][]byte, error)
	// Unwrap opens what Wrap sealed under any version that is still allowed.
	// One below the lowest allowed is ErrTooOld, one that was trimmed
	// ErrTrimmed.
	Unwrap(ctx context.Context, key KeyName, items []Item) ([][]byte, error)
	// SelfTest proves that the provider answers, and that it refuses a
	// wrong associated data; a provider that ignores it is ErrUnfit. It works
	// on the given key, which must exist.
	SelfTest(ctx context.Context, key KeyName) error
	// VersionOf reads out of a wrapped item which version of its key it is
	// under. It asks nobody and proves nothing: what is not a wrapped item is
	// ErrTampered.
	VersionOf(wrapped []byte) (int, error)
}

// Lifecycle is the rarer side: what makes and ends keys. With Vault it runs
// under an identity of its own.
type Lifecycle interface {
	// Create makes a KEK; one that exists is ErrKeyExists.
	Create(ctx context.Context, key KeyName) error
	// Rotate adds a version, which Wrap uses from then on, and returns it. It
	// is not tried again when its answer got lost: Describe tells whether it
	// happened.
	Rotate(ctx context.Context, key KeyName) (version int, err error)
	// Destroy ends a KEK with all its versions. It cannot be undone. One that
	// does not exist is ErrKeyNotFound.
	Destroy(ctx context.Context, key KeyName) error
	// SetMinimum makes a version the lowest that unwraps and wraps. Calling it
	// again with the same version, or with a lower one that is not trimmed,
	// works: nothing is lost yet. A version above the newest or below the
	// lowest available is ErrVersion.
	SetMinimum(ctx context.Context, key KeyName, version int) error
	// Trim destroys every version below the one given, which SetMinimum must
	// have made the minimum, or a lower one than that: else it is ErrVersion.
	// It cannot be undone. Calling it again works and does nothing.
	Trim(ctx context.Context, key KeyName, version int) error
	// Describe tells the versions of a KEK.
	Describe(ctx context.Context, key KeyName) (KeyInfo, error)
}

// Provider is both sides. Name says where the keys are, for people: "vault
// transit at https://vault:8200/transit" or "local keyring".
type Provider interface {
	Wrapper
	Lifecycle
	Name() string
}

// KeyInfo describes a KEK.
type KeyInfo struct {
	Latest    int          // the version that Wrap uses
	Minimum   int          // the lowest that unwraps
	Available int          // the lowest that is not trimmed
	Versions  []KeyVersion // all that are not trimmed, the oldest first
}

// KeyVersion is one version of a KEK.
type KeyVersion struct {
	Version   int
	CreatedAt time.Time // zero for one below the minimum whose time is not told
}

var (
	// ErrUnavailable comes when the provider could not be asked: it is
	// unreachable, sealed, slow, or its answer made no sense. What was
	// unwrapped before may serve on for a while.
	ErrUnavailable = errors.New("the key service is unavailable")
	// ErrRefused comes when the provider answered and said no: this identity
	// may not, or this version of the key is too old. What was unwrapped
	// before must be dropped at once.
	ErrRefused = errors.New("the key service refused")
	// ErrKeyNotFound comes when there is no such KEK. It is an ErrRefused.
	ErrKeyNotFound = refusal("the key-encryption key does not exist")
	// ErrTampered comes when a wrapped value, or its associated data, is not
	// what was wrapped. It is an ErrRefused.
	ErrTampered = refusal("the wrapped value does not authenticate")
	// ErrTooOld comes when a wrapped value is under a version of its key below
	// the lowest that unwraps. The key's bytes are still there, and SetMinimum
	// can allow it again. It is an ErrRefused.
	ErrTooOld = refusal("the version of the key that wrapped this is too old: it is below the lowest that may unwrap")
	// ErrTrimmed comes when a wrapped value is under a version of its key that
	// was destroyed. Nothing opens it any more. It is an ErrRefused.
	ErrTrimmed = refusal("the version of the key that wrapped this was destroyed")
	// ErrVersion comes when a version is to be made the lowest, or those below
	// it to be trimmed, that cannot be. It is an ErrRefused.
	ErrVersion = refusal("this cannot be done with that version of the key")
	// ErrKeyExists comes when a KEK is to be created that exists.
	ErrKeyExists = errors.New("the key-encryption key exists already")
	// ErrUnfit comes when the provider works but cannot be trusted with this
	// store's keys: it ignores associated data, say.
	ErrUnfit = errors.New("the key service is not fit for use")
)

// refusal is an error that is also ErrRefused.
type refusal string

func (r refusal) Error() string      { return string(r) }
func (refusal) Is(target error) bool { return target == ErrRefused }
