package envelopetest

import (
	"context"
	"fmt"

	"strongroom/vaultkeys"
)

// Call names a method of Provider.
type Call string

// The calls.
const (
	CallWrap       Call = "wrap"
	CallUnwrap     Call = "unwrap"
	CallCreate     Call = "create"
	CallRotate     Call = "rotate"
	CallSetMinimum Call = "set minimum"
	CallTrim       Call = "trim"
	CallDestroy    Call = "destroy"
	CallDescribe   Call = "describe"
)

// Moment says when a call fails.
type Moment string

// The moments.
const (
	Before Moment = "before" // nothing was done
	After  Moment = "after"  // it took effect and the answer was lost
)

// FailNext makes the next call of that kind fail with vaultkeys.ErrUnavailable,
// before it takes effect or after. Several are used up one by one. A call that
// fails for another reason uses none up that is for After.
func (p *Provider) FailNext(c Call, when Moment) {
	p.set(func() { p.failures[c] = append(p.failures[c], when) })
}

// OnCall has hook called at the beginning of each call, before anything is
// looked at and outside of every lock: it may call the Provider itself. nil
// ends that.
func (p *Provider) OnCall(hook func(Call, vaultkeys.KeyName)) { p.set(func() { p.hook = hook }) }

// call asks the key service and does what it is asked for, under the lock.
func (p *Provider) call(ctx context.Context, c Call, name vaultkeys.KeyName, do func() error) error {
	p.mu.Lock()
	hook := p.hook
	p.mu.Unlock()
	if hook != nil {
		hook(c, name)
	}
	if err := p.ask(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails(c, Before) {
		return lost(c, Before)
	}
	if err := do(); err != nil {
		return err
	}
	if p.fails(c, After) {
		return lost(c, After)
	}
	return nil
}

// on is call for one that needs a key.
func (p *Provider) on(ctx context.Context, c Call, name vaultkeys.KeyName, do func(*key) error) error {
	return p.call(ctx, c, name, func() error {
		k := p.keys[name]
		if k == nil {
			return fmt.Errorf("%s: %w", name, vaultkeys.ErrKeyNotFound)
		}
		return do(k)
	})
}

// fails uses a failure up that is due. It needs mu.
func (p *Provider) fails(c Call, when Moment) bool {
	due := p.failures[c]
	if len(due) == 0 || due[0] != when {
		return false
	}
	p.failures[c] = due[1:]
	return true
}

func lost(c Call, when Moment) error {
	return fmt.Errorf("%w: the test ends this %s %s it took effect", vaultkeys.ErrUnavailable, c, when)
}
