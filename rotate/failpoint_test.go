package rotate

import (
	"fmt"
	"strings"
	"testing"

	"strongroom/envelope/envelopetest"
	"strongroom/store"
	"strongroom/vaultkeys"
)

// stride is how many failpoints a short run, that of the race detector, goes on
// at once.
func stride() int {
	if testing.Short() {
		return 5
	}
	return 1
}

// TestCommitsOfRotationsFail fails each commit of each depth, forward and back,
// over a real store: the rotation waits, says so, and goes on to its end, in the
// same process and in another.
func TestCommitsOfRotationsFail(t *testing.T) {
	for n, j := range journeys {
		for f, fate := range commitFates {
			t.Run(j.String()+" "+fate.name, func(t *testing.T) {
				t.Parallel()
				reached := 0
				for at := (n + f) % stride(); ; at += stride() {
					s := newStage(t)
					s.engine.at, s.engine.fate = at, fate
					r := s.travel(s.create(j), j, func() bool { return s.engine.broken }, at%2 == 1)
					s.wantEnded(r, j)
					if !s.engine.broken {
						break
					}
					reached++
					if s.waited == "nothing" || s.waited == "" {
						t.Errorf("commit %d failed, and nothing was said", at)
					}
				}
				if reached*stride() < 12 {
					t.Errorf("%d commits were failed", reached)
				}
			})
		}
	}
}

// TestKeyServiceCallsOfRotationsFail fails each call of the key service, before
// it takes effect and after.
func TestKeyServiceCallsOfRotationsFail(t *testing.T) {
	for n, j := range journeys {
		for _, when := range []envelopetest.Moment{envelopetest.Before, envelopetest.After} {
			t.Run(fmt.Sprint(j, " ", when), func(t *testing.T) {
				t.Parallel()
				waited := 0
				for at := 1 + n%stride(); ; at += stride() {
					s := newStage(t)
					calls, failed := 0, false
					id := s.create(j)
					s.Keys.OnCall(func(c envelopetest.Call, _ vaultkeys.KeyName) {
						if calls++; calls == at {
							failed = true
							s.Keys.FailNext(c, when)
						}
					})
					r := s.travel(id, j, func() bool { return failed }, at%2 == 1)
					s.Keys.OnCall(nil)
					s.wantEnded(r, j)
					if !failed {
						break
					}
					if strings.Contains(s.waited, store.ErrKeyServiceUnavailable.Error()) {
						waited++
					}
				}
				if waited*stride() < 4 {
					t.Errorf("the rotation waited %d times", waited)
				}
			})
		}
	}
}
