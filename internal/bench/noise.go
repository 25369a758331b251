package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/client"
)

// The kinds of noise: what strangers send beside a client that pays.
const (
	NoiseOne         = "one-address"   // requests without a token, from one address
	NoiseMany        = "addresses"     // the same from 250 addresses
	NoiseHandshakes  = "handshakes"    // new TLS connections that are let go once the server has computed
	NoiseTokens      = "bad-tokens"    // requests with tokens that were never issued
	NoiseGuesses     = "guesses"       // token requests with wrong secrets
	NoiseSlow        = "slowloris"     // 1,000 connections that never end their header
	NoiseHeaders     = "huge-headers"  // headers of 256 KiB
	NoiseCompressed  = "zip-bombs"     // bodies with Content-Encoding
	NoiseDeep        = "deep-json"     // bodies nested 10,000 deep, with a good token; a tenth of the rate
	noiseIdle        = "quiet"         // nothing: what the others are held against
	noiseWorkers     = 32              // connections that send noise at a time
	noiseSlowConns   = 1000            // of slowloris
	noiseAddresses   = 250             // 127.1.0.1 to 127.1.0.250
	noiseDialTimeout = 2 * time.Second // of a connection, handshake included
)

// Noises returns all kinds, in the order of a run.
func Noises() []string {
	return []string{NoiseOne, NoiseMany, NoiseHandshakes, NoiseTokens, NoiseGuesses, NoiseSlow, NoiseHeaders, NoiseCompressed, NoiseDeep}
}

// NoiseOptions say what to send beside the client, and how much.
type NoiseOptions struct {
	Kinds []string
	Rate  int // of the noise, requests a second
	Paid  int // of the client, requests a second over four connections
	// Crowd runs MakeNoise in a process of its own, where it slows the client's
	// clock down no more than strangers would, and returns what that returned.
	Crowd func(ctx context.Context, n Noise) (NoiseCount, error)
}

// NoiseResult is how the client fared beside one kind of noise. Latencies are
// counted from when a request was due, in microseconds.
type NoiseResult struct {
	Kind     string  `json:"kind"`
	Offered  float64 `json:"offered"`  // noise requests and connections tried, a second
	Answered float64 `json:"answered"` // of those, a second; the rest was reset or refused a connection
	Paid     float64 `json:"paid"`     // of the client, answered with success, a second
	Failed   uint64  `json:"failed"`   // of the client
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	Max      float64 `json:"max_us"`
	Ratio    float64 `json:"p99_ratio"` // to the p99 in quiet
	Resident int64   `json:"resident_bytes,omitempty"`
	Cores    float64 `json:"server_cores,omitempty"` // that the server kept busy
}

// RunNoise measures a client that reads at a steady pace, first in quiet and
// then beside each kind of noise. Noise comes from addresses of the loopback
// network that the client does not have.
func RunNoise(ctx context.Context, o Options, n NoiseOptions) ([]NoiseResult, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	results, err := b.noise(ctx, n)
	return results, errors.Join(err, b.cleanUp())
}

func (b *Bench) noise(ctx context.Context, n NoiseOptions) (results []NoiseResult, err error) {
	if err := b.fill(b.o.Records); err != nil {
		return nil, err
	}
	quiet := 0.0
	for _, kind := range append([]string{noiseIdle}, n.Kinds...) {
		if err := errors.Join(ctx.Err(), b.renew(ctx)); err != nil {
			return results, err
		}
		r, err := b.beside(ctx, kind, n)
		if err != nil {
			return results, fmt.Errorf("%s: %w", kind, err)
		}
		if kind == noiseIdle {
			quiet = r.P99
		}
		r.Ratio = r.P99 / quiet
		b.say("%-12s  noise %6.0f/s offered %6.0f/s answered  client %5.0f/s p99 %6.0f us (%.1f x)  %d MiB  %.2f cores",
			kind, r.Offered, r.Answered, r.Paid, r.P99, r.Ratio, r.Resident>>20, r.Cores)
		results = append(results, r)
	}
	return results, nil
}

// beside measures the client beside one kind of noise.
func (b *Bench) beside(ctx context.Context, kind string, n NoiseOptions) (NoiseResult, error) {
	paying, err := b.connect(b.target, 4)
	if err != nil {
		return NoiseResult{}, err
	}
	defer closeAll(paying)
	ctx, stop := context.WithTimeout(ctx, b.o.Duration)
	defer stop()
	var group sync.WaitGroup
	var count NoiseCount
	var failed error
	if kind != noiseIdle {
		group.Go(func() { count, failed = n.Crowd(ctx, b.noiseOf(kind, n.Rate)) })
	}
	began, cpu := time.Now(), b.target.cpu()
	var paid sync.WaitGroup
	for _, w := range paying {
		paid.Go(func() { w.pay(ctx, time.Second*time.Duration(len(paying))/time.Duration(n.Paid)) })
	}
	paid.Wait()
	took := time.Since(began).Seconds()
	r := NoiseResult{Kind: kind, Resident: b.memory().Resident, Cores: (b.target.cpu() - cpu).Seconds() / took}
	group.Wait()
	if failed != nil {
		return r, failed
	}
	r.Offered, r.Answered = float64(count.Offered)/took, float64(count.Answered)/took
	var all histogram
	for _, w := range paying {
		all.merge(&w.scratch)
		r.Paid += float64(w.done) / took
		r.Failed += w.failed
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	r.P50, r.P99, r.Max = us(all.quantile(0.50)), us(all.quantile(0.99)), us(all.max)
	return r, nil
}

// noiseOf says what the crowd needs to know.
func (b *Bench) noiseOf(kind string, rate int) Noise {
	if kind == NoiseDeep {
		rate = max(1, rate/10)
	}
	return Noise{Kind: kind, Rate: rate, Seconds: b.o.Duration.Seconds(), Address: b.target.address, CACertFile: b.o.Server.CACertFile,
		URL: b.o.Server.URL, Token: b.target.token, Record: b.ids[0]}
}

// pay reads at a steady pace.
func (w *worker) pay(ctx context.Context, every time.Duration) {
	w.keepPace(ctx, every, (*worker).read)
}

// keepPace sends requests at a steady pace. One that is late because the one
// before it was counts from when it was due.
func (w *worker) keepPace(ctx context.Context, every time.Duration, send step) {
	for due := time.Now(); ctx.Err() == nil; due = due.Add(every) {
		time.Sleep(time.Until(due))
		if _, err := send(w); err != nil {
			w.failed++
			w.c.close()
			if c, err := w.bench.target.connect(); err == nil {
				w.c = c
			}
			continue
		}
		w.scratch.record(time.Since(due))
		w.done++
	}
}

// Noise is what a crowd is told to send, and where. It goes over a pipe, since
// it holds a token.
type Noise struct {
	Kind       string  `json:"kind"`
	Rate       int     `json:"rate"`
	Seconds    float64 `json:"seconds"`
	URL        string  `json:"url"`
	Address    string  `json:"address"`
	CACertFile string  `json:"ca_cert_file"`
	Token      string  `json:"token"`
	Record     string  `json:"record"`
}

// NoiseCount is what a crowd sent.
type NoiseCount struct {
	Offered  uint64 `json:"offered"`
	Answered uint64 `json:"answered"`
}

// crowd is everybody who sends noise.
type crowd struct {
	noise             Noise
	target            *target
	hello             []byte // a ClientHello, to knock with
	offered, answered atomic.Uint64
}

// MakeNoise sends noise for as long as it says.
func MakeNoise(ctx context.Context, n Noise) (NoiseCount, error) {
	t, err := targetOf(client.Config{URL: n.URL, CACertFile: n.CACertFile})
	if err != nil {
		return NoiseCount{}, err
	}
	c := &crowd{noise: n, target: t, hello: clientHello(t.tls)}
	ctx, stop := context.WithTimeout(ctx, time.Duration(n.Seconds*float64(time.Second)))
	defer stop()
	var group sync.WaitGroup
	if n.Kind == NoiseSlow {
		for i := range noiseSlowConns {
			group.Go(func() { c.creep(ctx, i) })
		}
	} else {
		request := c.request()
		for i := range noiseWorkers {
			group.Go(func() { c.shout(ctx, i, request, time.Second*noiseWorkers/time.Duration(n.Rate)) })
		}
	}
	group.Wait()
	return NoiseCount{c.offered.Load(), c.answered.Load()}, nil
}

// clientHello records how a handshake begins. Whoever sends that again computes
// nothing, and lets the server compute.
func clientHello(config *tls.Config) []byte {
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(ours, config).Handshake() }()
	hello := make([]byte, 16<<10)
	n, _ := theirs.Read(hello)
	_ = theirs.Close()
	return hello[:n]
}

// request is what the crowd sends.
func (c *crowd) request() []byte {
	t := *c.target
	good := c.noise.Token
	t.token = ""
	path := recordsPath + "/" + c.noise.Record
	switch c.noise.Kind {
	case NoiseTokens:
		t.token = good[:len(good)-8] + "AAAAAAAA"
	case NoiseGuesses:
		return t.request(nil, "POST", "/oauth2/token", "application/x-www-form-urlencoded",
			[]byte("grant_type=client_credentials&client_id=dev&client_secret=guess"))
	case NoiseHeaders:
		r := t.request(nil, "GET", path, "", nil)
		return append(r[:len(r)-2], "X-Noise: "+strings.Repeat("n", 256<<10)+"\r\n\r\n"...)
	case NoiseCompressed:
		r := t.request(nil, "POST", recordsPath, "application/json", slices.Repeat([]byte{0x1f, 0x8b}, 8<<10))
		return slices.Concat(r[:len("POST "+recordsPath+" HTTP/1.1\r\n")], []byte("Content-Encoding: gzip\r\n"), r[len("POST "+recordsPath+" HTTP/1.1\r\n"):])
	case NoiseDeep:
		t.token = good
		return t.request(nil, "POST", recordsPath, "application/json", []byte(`{"fields":`+strings.Repeat(`{"a":`, 10_000)))
	}
	return t.request(nil, "GET", path, "", nil)
}

// address is where a worker sends from: never the client's.
func (c *crowd) address(i int) net.IP {
	if c.noise.Kind == NoiseMany {
		return net.IPv4(127, 1, 0, byte(1+i%noiseAddresses))
	}
	return net.IPv4(127, 0, 0, byte(2+slices.Index(Noises(), c.noise.Kind))) // what one kind is refused for, another is not
}

// shout sends requests at a pace. What is overdue is not made up for in a burst.
func (c *crowd) shout(ctx context.Context, worker int, request []byte, every time.Duration) {
	var on *connection
	defer func() { c.drop(&on) }()
	knock := c.noise.Kind == NoiseHandshakes
	for due, i := time.Now(), worker; ctx.Err() == nil; i += noiseWorkers {
		if now := time.Now(); now.Before(due) {
			time.Sleep(due.Sub(now))
		} else if now.Sub(due) > time.Second {
			due = now
		}
		due = due.Add(every)
		c.offered.Add(1)
		switch {
		case knock:
			let := c.knock(c.address(i))
			knock = !let || c.noise.Kind == NoiseHandshakes
		case !c.send(&on, i, request):
			knock = true
		}
	}
}

// send sends a request, over a new connection when the server has ended the one
// before. It reports false when there is none to be had.
func (c *crowd) send(on **connection, i int, request []byte) bool {
	if *on == nil {
		if *on = c.dial(c.address(i)); *on == nil {
			return false
		}
	}
	_ = (*on).tls.SetDeadline(time.Now().Add(noiseDialTimeout))
	_, err := (*on).tls.Write(request)
	if err == nil {
		_, err = (*on).read(false)
	}
	if err == nil {
		c.answered.Add(1)
	}
	if err != nil || c.noise.Kind == NoiseMany && i%64 < noiseWorkers {
		c.drop(on)
	}
	return true
}

// knock begins a handshake without computing anything, and reports whether the
// server has answered it.
func (c *crowd) knock(from net.IP) bool {
	d := net.Dialer{Timeout: noiseDialTimeout, LocalAddr: &net.TCPAddr{IP: from}}
	raw, err := d.Dial("tcp", c.target.address)
	if err != nil {
		return false
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetLinger(0) // leaves no port behind
	_ = raw.SetDeadline(time.Now().Add(noiseDialTimeout))
	var answer [1]byte
	if _, err := raw.Write(c.hello); err != nil {
		return false
	}
	if _, err = raw.Read(answer[:]); err == nil {
		c.answered.Add(1)
	}
	return err == nil
}

func (c *crowd) dial(from net.IP) *connection {
	on, err := c.target.connectFrom(from, noiseDialTimeout)
	if err != nil {
		return nil
	}
	return on
}

func (c *crowd) drop(on **connection) {
	if *on != nil {
		(*on).close()
		*on = nil
	}
}

// creep holds a connection open with a header that does not end.
func (c *crowd) creep(ctx context.Context, i int) {
	for ctx.Err() == nil {
		c.offered.Add(1)
		on := c.dial(c.address(i))
		if on == nil {
			pauseFor(ctx, time.Second)
			continue
		}
		_, err := on.tls.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n"))
		for err == nil && ctx.Err() == nil {
			pauseFor(ctx, time.Second)
			_, err = on.tls.Write([]byte("X-Slow: 1\r\n"))
		}
		c.drop(&on)
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
