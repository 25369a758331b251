package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var (
	home     = netip.MustParseAddr("198.51.100.7")
	attacker = netip.MustParseAddr("203.0.113.9")
)

func newGuard() (*Guard, *clock, *[]GuardEvent) {
	c, events := newClock(), &[]GuardEvent{}
	return NewGuard(c.now, func(e GuardEvent) { *events = append(*events, e) }), c, events
}

func TestGuessingSlowsDownAndBlocksThatPairAlone(t *testing.T) {
	g, c, events := newGuard()
	g.Succeeded("invoicing", home)
	tries := 0
	for range 1000 {
		if g.Check("invoicing", attacker) == nil {
			tries++
			g.Failed("invoicing", attacker)
		}
		c.add(100 * time.Millisecond)
	}
	if tries > 11 {
		t.Errorf("%d guesses in 100 s", tries)
	}
	if err := g.Check("invoicing", home); err != nil {
		t.Errorf("the client is locked out at home: %v", err)
	}
	if err := g.Check("invoicing", netip.MustParseAddr("192.0.2.77")); err != nil {
		t.Errorf("the client is locked out elsewhere: %v", err)
	}
	if err := g.Check("other", attacker); err != nil {
		t.Errorf("another client at that address: %v", err)
	}
	if len(*events) != 1 || !(*events)[0].Blocked || (*events)[0].Client != "invoicing" || (*events)[0].Address != attacker.String() {
		t.Fatalf("it was told of %+v", *events)
	}
	c.add(16 * time.Minute)
	g.Sweep()
	g.Sweep()
	if err := g.Check("invoicing", attacker); err != nil {
		t.Errorf("the block does not end: %v", err)
	}
	if len(*events) != 2 || (*events)[1].Blocked {
		t.Errorf("it was told of %+v", *events)
	}
}

func TestSprayingBlocksTheAddressAndNotWhoSucceededThere(t *testing.T) {
	g, c, events := newGuard()
	g.Succeeded("invoicing", attacker)
	for i := range 150 {
		if name := fmt.Sprint("client-", i); g.Check(name, attacker) == nil {
			g.Failed(name, attacker)
		}
	}
	if err := g.Check("newcomer", attacker); !errors.Is(err, ErrFailures) {
		t.Errorf("after a hundred failures: %v", err)
	}
	if g.Blocked(attacker) <= 0 || g.Blocked(home) != 0 {
		t.Error("the wrong address is blocked")
	}
	if err := g.Check("invoicing", attacker); err != nil {
		t.Errorf("who has succeeded there before: %v", err)
	}
	if len(*events) != 1 || (*events)[0].Client != "" {
		t.Errorf("it was told of %+v", *events)
	}
	c.add(16 * time.Minute)
	if err := g.Check("newcomer", attacker); err != nil {
		t.Errorf("the block does not end: %v", err)
	}
}

func TestTrustedPairWaitsHalfAMinuteAtMost(t *testing.T) {
	g, c, events := newGuard()
	g.Succeeded("invoicing", home)
	for range 50 {
		g.Failed("invoicing", home)
	}
	refused, ok := errors.AsType[*Refusal](g.Check("invoicing", home))
	if !ok || refused.Wait > trustedPause {
		t.Errorf("waits %+v", refused)
	}
	if c.add(trustedPause); g.Check("invoicing", home) != nil {
		t.Error("it waits longer")
	}
	if len(*events) != 0 {
		t.Errorf("it was told of %+v", *events)
	}
}

func TestBlockedAddressMayTryTwentyTokensASecond(t *testing.T) {
	g, c, _ := newGuard()
	for range 500 {
		g.Failed("", attacker)
	}
	if g.Blocked(attacker) <= 0 {
		t.Fatal("not blocked")
	}
	tried := 0
	for range 1000 {
		if g.Try(attacker) {
			tried++
		}
		c.add(time.Millisecond)
	}
	if tried < 19 || tried > 21 {
		t.Errorf("%d tokens in a second", tried)
	}
}
