package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOneTokenForManyCallers(t *testing.T) {
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"items":[]}`) })
	f.stall = make(chan struct{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := c.ListRoles(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ListRoles(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gave up got %v", err)
	}
	close(f.stall)
	group.Wait()
	if n := f.issued.Load(); n != 1 {
		t.Errorf("%d tokens were fetched for 20 callers", n)
	}
}

func TestTokenIsRefreshedEarlyAndBehind(t *testing.T) {
	now := time.Now()
	fetched := make(chan struct{}, 8)
	n := 0
	s := newTokenSource(func(context.Context) (token, error) {
		n++
		defer func() { fetched <- struct{}{} }()
		return token{NewSecret(fmt.Sprint("t", n)), now.Add(time.Minute), now.Add(2 * time.Minute)}, nil
	}, func() time.Time { return now })
	first, _ := s.get(t.Context())
	<-fetched
	now = now.Add(90 * time.Second) // due, and still valid
	second, _ := s.get(t.Context())
	<-fetched
	for s.busy() {
		time.Sleep(time.Millisecond)
	}
	third, _ := s.get(t.Context())
	if first.Reveal() != "t1" || second.Reveal() != "t1" || third.Reveal() != "t2" {
		t.Errorf("got %s, %s, %s", first.Reveal(), second.Reveal(), third.Reveal())
	}
}

func (s *tokenSource) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	f, c := newFake(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"id":"r1","revision":1}`) })
	if _, err := c.GetRecord(t.Context(), event, ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	f.revoked.Store("token-1", true)
	if _, err := c.CreateRecord(t.Context(), CollectionRef{"shop", "events"}, RecordInput{Fields: map[string]int{"a": 1}}, WriteOptions{}); err != nil {
		t.Errorf("after a revocation: %v", err)
	}
	f.revoked.Store("token-2", true)
	f.revoked.Store("token-3", true)
	if _, err := c.GetRecord(t.Context(), event, ReadOptions{}); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("when new tokens are refused too: %v", err)
	}
	if n := f.issued.Load(); n != 3 {
		t.Errorf("%d tokens were fetched, want 3", n)
	}
}

func TestWrongSecretIsNotRetried(t *testing.T) {
	f, c := newFake(t, nil)
	c.tokens = newTokenSource(c.fetchToken(bySecret("tester", NewSecret("wrong"))), time.Now)
	_, err := c.GetRecord(t.Context(), event, ReadOptions{})
	if !errors.Is(err, ErrUnauthenticated) || strings.Contains(err.Error(), "wrong") || f.issued.Load() != 0 {
		t.Errorf("got %v", err)
	}
}
