package envelopetest

import (
	"errors"
	"slices"
	"testing"

	"strongroom/vaultkeys"
)

// A failure before changes nothing, one after has taken effect; each comes once.
func TestFailNext(t *testing.T) {
	const key = vaultkeys.KeyName("k")
	ctx := t.Context()
	for _, c := range []struct {
		call Call
		do   func(*Provider) error
		done func(vaultkeys.KeyInfo) bool
	}{
		{CallRotate, func(p *Provider) error { _, err := p.Rotate(ctx, key); return err }, func(i vaultkeys.KeyInfo) bool { return i.Latest == 4 }},
		{CallSetMinimum, func(p *Provider) error { return p.SetMinimum(ctx, key, 3) }, func(i vaultkeys.KeyInfo) bool { return i.Minimum == 3 }},
		{CallTrim, func(p *Provider) error { return p.Trim(ctx, key, 2) }, func(i vaultkeys.KeyInfo) bool { return i.Available == 2 }},
	} {
		for _, when := range []Moment{Before, After} {
			p := newKey(t, key)
			p.FailNext(c.call, when)
			err := c.do(p)
			info, describeErr := p.Describe(ctx, key)
			if !errors.Is(err, vaultkeys.ErrUnavailable) || describeErr != nil || c.done(info) != (when == After) {
				t.Errorf("%s that fails %s: %v, and the key is %+v, %v", c.call, when, err, info, describeErr)
			}
			if err := c.do(p); err != nil {
				t.Errorf("%s after one that failed %s: %v", c.call, when, err)
			}
		}
	}
}

// newKey has three versions, of which the first may be trimmed.
func newKey(t *testing.T, key vaultkeys.KeyName) *Provider {
	t.Helper()
	p := New()
	err := p.Create(t.Context(), key)
	for range 2 {
		_, rotateErr := p.Rotate(t.Context(), key)
		err = errors.Join(err, rotateErr)
	}
	if err := errors.Join(err, p.SetMinimum(t.Context(), key, 2)); err != nil {
		t.Fatal(err)
	}
	return p
}

// The hook sees each call before it has an effect, and may call the Provider.
func TestOnCall(t *testing.T) {
	p := newKey(t, "k")
	var seen []Call
	p.OnCall(func(c Call, key vaultkeys.KeyName) {
		seen = append(seen, c)
		if c == CallRotate {
			if info, err := p.Describe(t.Context(), key); err != nil || info.Latest != 3 {
				t.Errorf("before the rotation the key is %+v, %v", info, err)
			}
		}
	})
	if _, err := p.Rotate(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	p.OnCall(nil)
	if _, err := p.Rotate(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	if want := []Call{CallRotate, CallDescribe}; !slices.Equal(seen, want) {
		t.Errorf("the hook saw %v, want %v", seen, want)
	}
}
