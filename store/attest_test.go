package store_test

import (
	"errors"
	"testing"
	"time"

	"strongroom/internal/attest"
	"strongroom/store/storetest"
)

// verifies holds a statement against keys.
func verifies(t *testing.T, text []byte, keys ...string) error {
	t.Helper()
	kind, _, err := attest.Verify(text, keys)
	if err == nil && kind != "report" {
		t.Errorf("it is of kind %q", kind)
	}
	return err
}

func TestStatementsOutliveTheirKey(t *testing.T) {
	w := newWorld(t, storetest.Options{})
	if keys := w.AttestKeys(); len(keys) != 0 {
		t.Fatalf("a store that signed nothing has keys: %v", keys)
	}
	need(t, w.RotateAttestKey(always, w.now)) // nothing to rotate
	first, err := w.Attest(always, "report", map[string]int{"left": 0})
	need(t, err)
	old := w.AttestKeys()[0]
	need(t, verifies(t, first, old.Key))

	w.now = w.now.Add(time.Hour)
	began := w.now
	for range 2 { // the second time does nothing
		need(t, w.RotateAttestKey(always, began))
	}
	w.Reopen()
	second, err := w.Attest(always, "report", map[string]int{"left": 0})
	need(t, err)
	keys := w.AttestKeys()
	if len(keys) != 2 || keys[0].RetiredAt != nil || keys[1].Key != old.Key || keys[1].RetiredAt == nil {
		t.Fatalf("keys after the rotation: %+v", keys)
	}
	need(t, verifies(t, second, keys[0].Key))
	need(t, verifies(t, first, keys[0].Key, keys[1].Key))
	if err := verifies(t, second, old.Key); !errors.Is(err, attest.ErrUnverified) {
		t.Errorf("the retired key verifies what was signed after it: %v", err)
	}
}
