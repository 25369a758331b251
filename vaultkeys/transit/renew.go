package transit

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

const (
	soonestRenewal = 500 * time.Millisecond
	retryRenewal   = 5 * time.Second // at most, after one that failed
)

// keep renews the token at two thirds of its life, and logs in anew where
// renewing no longer prolongs it: at the maximum TTL. It never gives up: a
// server that is away is asked again, and a token that ended meanwhile is
// replaced.
func (s *session) keep(ctx context.Context) {
	defer close(s.done)
	failed := false
	for {
		wait, ok := s.untilRenewal(ctx, failed)
		if !ok {
			<-ctx.Done()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		failed = s.refresh(ctx) != nil
	}
}

// untilRenewal reports false for a token that never ends.
func (s *session) untilRenewal(ctx context.Context, failed bool) (time.Duration, bool) {
	if s.acquire(ctx) != nil {
		return 0, false
	}
	defer s.release()
	if s.lease.left <= 0 && s.lease.granted <= 0 {
		return 0, false
	}
	if failed {
		return min(max(s.lease.left/10, soonestRenewal), retryRenewal), true
	}
	return max(time.Until(s.lease.since.Add(s.lease.left*2/3)), soonestRenewal), true
}

// refresh renews the token, or gets a new one.
func (s *session) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if time.Since(s.lease.since) < s.lease.left/2 {
		return nil // a cure was quicker
	}
	if s.renew(ctx) {
		return nil
	}
	return s.loginHeld(ctx)
}

// renew prolongs the token, and reports whether that was worth it: close to
// its maximum TTL a token gets less than half of what it first had.
func (s *session) renew(ctx context.Context) bool {
	if !s.lease.renewable {
		return false
	}
	body, err := send(ctx, s.client, request{method: http.MethodPost, path: "auth/token/renew-self"})
	if err != nil {
		return false
	}
	var answer struct {
		Auth struct {
			LeaseDuration int  `json:"lease_duration"`
			Renewable     bool `json:"renewable"`
		} `json:"auth"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Auth.LeaseDuration <= 0 {
		return false
	}
	renewed := leaseOf(0, answer.Auth.LeaseDuration, answer.Auth.Renewable)
	renewed.granted = s.lease.granted
	s.lease = renewed
	return s.auth.Method == MethodToken || renewed.left >= renewed.granted/2
}
