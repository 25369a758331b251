package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/envelope"
	"strongroom/store"
	"strongroom/store/storetest"
	"strongroom/vaultkeys"
)

// putIntegrations makes integrations without records.
func putIntegrations(t *testing.T, f *storetest.Fixture, names ...string) (keys []vaultkeys.KeyName) {
	t.Helper()
	for _, name := range names {
		made, _, err := f.PutIntegration(always, f.Root(), name, store.IntegrationSpec{}, store.Precondition{})
		need(t, err)
		keys = append(keys, vaultkeys.IntegrationKey(f.UID(), made.UID))
	}
	return keys
}

func wantKey(t *testing.T, f *storetest.Fixture, key vaultkeys.KeyName, exists bool) {
	t.Helper()
	_, err := f.Keys.Describe(always, key)
	if exists != (err == nil) || !exists && !errors.Is(err, vaultkeys.ErrKeyNotFound) {
		t.Errorf("asked for the key, the key service says %v", err)
	}
}

// A deletion that could not reach the key service disables the integration at
// once; its key is destroyed when the key service is back.
func TestADeletionWhileTheKeyServiceIsAway(t *testing.T) {
	f := storetest.Open(t)
	key := putIntegrations(t, f, "acme")[0]
	f.Keys.Unavailable(true)
	if _, err := f.DeleteIntegration(always, f.Root(), "acme", true); !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("the deletion: %v", err)
	}
	_, _, err := f.PutCollection(always, f.Root(), in("acme", "keys"), store.CollectionSpec{Preset: "api_key"}, store.Precondition{})
	if !errors.Is(err, store.ErrDisabled) {
		t.Errorf("a change of the integration: %v", err)
	}
	if _, err := f.Sweep(always); !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("the sweep: %v", err)
	}
	f.Keys.Unavailable(false)
	wantKey(t, f, key, true)
	_, err = f.Sweep(always)
	need(t, err)
	wantKey(t, f, key, false)
	if _, err := f.GetIntegration(always, f.Root(), "acme"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the integration: %v", err)
	}
}

// stubborn refuses to destroy one key.
type stubborn struct {
	vaultkeys.Provider
	key vaultkeys.KeyName
}

func (s *stubborn) Destroy(ctx context.Context, key vaultkeys.KeyName) error {
	if key == s.key {
		return vaultkeys.ErrRefused
	}
	return s.Provider.Destroy(ctx, key)
}

func TestOneKeyThatIsNotDestroyedDoesNotHoldUpTheOthers(t *testing.T) {
	f := storetest.Open(t)
	names := []string{"a", "b", "c", "d", "e", "f"}
	keys := putIntegrations(t, f, names...)
	refuse := &stubborn{f.Keys, keys[2]}
	f.Deps.Keys = refuse
	f.Reopen()
	f.Keys.Unavailable(true)
	for _, name := range names {
		if _, err := f.DeleteIntegration(always, f.Root(), name, true); err == nil {
			t.Errorf("%s was deleted without the key service", name)
		}
	}
	f.Keys.Unavailable(false)
	if _, err := f.Sweep(always); !errors.Is(err, store.ErrKeyRefused) {
		t.Errorf("the sweep: %v", err)
	}
	for i, key := range keys {
		wantKey(t, f, key, i == 2)
	}
	refuse.key = ""
	_, err := f.Sweep(always)
	need(t, err)
	wantKey(t, f, keys[2], false)
}

// One whose key is gone already is deleted like any other.
func TestADeletionOfAKeyThatIsGone(t *testing.T) {
	f := storetest.Open(t)
	key := putIntegrations(t, f, "acme")[0]
	need(t, f.Keys.Destroy(always, key))
	_, err := f.DeleteIntegration(always, f.Root(), "acme", true)
	need(t, err)
}

// What was made before the key service went away in the middle of it is taken
// back, or told.
func TestACreationWhileTheKeyServiceIsAway(t *testing.T) {
	f := storetest.Open(t)
	f.Keys.Unavailable(true)
	_, _, err := f.PutIntegration(always, f.Root(), "acme", store.IntegrationSpec{}, store.Precondition{})
	if !errors.Is(err, store.ErrKeyServiceUnavailable) {
		t.Errorf("the creation: %v", err)
	}
	f.Keys.Unavailable(false)
	if _, err := f.GetIntegration(always, f.Root(), "acme"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the integration: %v", err)
	}
	putIntegrations(t, f, "acme")
}

// Ready names the integration whose key is refused, and says that the store is
// degraded; without the system domain's key it is not ready.
func TestReadyTellsARefusedKey(t *testing.T) {
	f := storetest.OpenWith(t, storetest.Options{Leases: envelope.Options{Refresh: 10 * time.Millisecond}, Unchecked: true})
	keys := putIntegrations(t, f, "acme")
	if r := f.Ready(); len(r) != 0 {
		t.Fatalf("a store that is well gives reasons: %+v", r)
	}
	_, _, err := f.PutCollection(always, f.Root(), in("acme", "keys"), store.CollectionSpec{Preset: "api_key"}, store.Precondition{})
	need(t, err)
	need(t, f.Keys.Destroy(always, keys[0]))
	_, err = f.CreateRecord(always, f.Root(), in("acme", "keys"), input(`{"api_key":"k"}`), store.WriteOptions{})
	if err != nil && !errors.Is(err, store.ErrKeyRefused) {
		t.Errorf("a write: %v", err)
	}
	awaitReason(t, f, "key_refused", true, "integration acme")
	need(t, f.Keys.Destroy(always, vaultkeys.SystemKey(f.UID())))
	awaitReason(t, f, "key_refused", false, "the system domain")
}

func awaitReason(t *testing.T, f *storetest.Fixture, code string, degraded bool, says string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, r := range f.Ready() {
			if r.Code == code && r.Degraded == degraded && strings.Contains(r.Detail, says) {
				return
			}
		}
	}
	t.Errorf("no reason %s of %s comes: %+v", code, says, f.Ready())
}
