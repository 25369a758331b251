// Package outbound fetches what lies behind an address that a user named: a
// client's keys, an issuer's metadata, a sink of alerts, a webhook. Such an
// address is a way to make the server speak to whatever it can reach (OWASP
// API7:2023, server-side request forgery), so all of them go through one Guard:
//
//   - https alone, with the certificate checked;
//   - no address of an inner network, looked at when the connection is made, on
//     the very address that is dialled: a name that resolves to another address
//     the second time gains nothing;
//   - no redirects, no proxy of the environment, no credentials in the URL;
//   - bounds on the time and on the bytes of an answer.
//
// Networks that are meant to be reached all the same are listed in Allow.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrRefused comes when an address is not one that may be reached. The error
// that wraps it says why, without the address.
var ErrRefused = errors.New("the address may not be reached")

// ErrTooLarge comes when an answer is larger than it may be.
var ErrTooLarge = errors.New("the answer is too large")

// ErrStatus comes when the answer's status is not 200.
var ErrStatus = errors.New("the answer is not a success")

// Options say what a Guard lets through. Zero values mean the defaults.
type Options struct {
	Allow   []netip.Prefix // networks that are reached although they are not public
	Timeout time.Duration  // of a whole exchange; default 5 s
	MaxBody int64          // bytes of an answer; default 1 MiB
	RootCAs *x509.CertPool // nil: those of the system
}

// Guard makes connections to addresses that users name. It is safe for
// concurrent use.
type Guard struct {
	allow   []netip.Prefix
	timeout time.Duration
	maxBody int64
	client  *http.Client
}

// New returns a guard.
func New(o Options) *Guard {
	g := &Guard{allow: o.Allow, timeout: 5 * time.Second, maxBody: 1 << 20}
	if o.Timeout > 0 {
		g.timeout = o.Timeout
	}
	if o.MaxBody > 0 {
		g.maxBody = o.MaxBody
	}
	transport := &http.Transport{
		Proxy:               nil, // a proxy would make the connection, and the check would see its address
		DialContext:         g.dialer().DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout: g.timeout, ResponseHeaderTimeout: g.timeout,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        8, MaxIdleConns: 32, IdleConnTimeout: time.Minute,
	}
	g.client = &http.Client{
		Transport:     onlyHTTPS{transport, g.maxBody},
		Timeout:       g.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g
}

// Client returns a client for libraries that make their requests themselves. It
// is bounded like Fetch; a redirect is an answer like any other, and what is
// read of a body beyond the bound is ErrTooLarge.
func (g *Guard) Client() *http.Client { return g.client }

// Close ends the connections that are kept for later.
func (g *Guard) Close() error {
	g.client.CloseIdleConnections()
	return nil
}

// Fetch returns the body of a GET. Anything but status 200 is ErrStatus. Errors
// name neither the URL nor an address.
func (g *Guard) Fetch(ctx context.Context, from string) ([]byte, error) {
	if err := g.CheckURL(from); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a URL", ErrRefused)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return nil, hideURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrStatus, response.StatusCode)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, hideURL(err)
	}
	return body, nil
}

// hideURL takes the URL off an error of net/http, and the address off one of
// package net: a caller that is shown the error must not learn from it what
// answers in the network.
func hideURL(err error) error {
	var (
		inURL *url.Error
		inNet *net.OpError
		dns   *net.DNSError
	)
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrTooLarge):
		return err
	case errors.As(err, &dns):
		return errors.New("the name cannot be resolved")
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return errors.New("there was no answer in time")
	case errors.As(err, &inNet):
		return errors.New("the connection could not be made")
	}
	return err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// CheckURL says whether a URL is of a kind that could be fetched, for whoever
// saves one. It resolves nothing: where the name leads is looked at when the
// connection is made, each time. A literal address is refused here already.
func (g *Guard) CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("%w: it is not a URL", ErrRefused)
	}
	if err := checkParts(u); err != nil {
		return err
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.check(address)
	}
	return nil
}

func checkParts(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return fmt.Errorf("%w: only https is", ErrRefused)
	case u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%w: it names no host", ErrRefused)
	case u.User != nil:
		return fmt.Errorf("%w: a URL with credentials in it", ErrRefused)
	case u.Fragment != "":
		return fmt.Errorf("%w: a URL with a fragment", ErrRefused)
	}
	return nil
}

// dialer checks each address at the last moment, when the socket is there and
// not yet connected.
func (g *Guard) dialer() *net.Dialer {
	return &net.Dialer{
		Timeout: g.timeout, KeepAlive: 30 * time.Second,
		Control: func(network, address string, _ syscall.RawConn) error {
			there, err := netip.ParseAddrPort(address)
			if err != nil || (network != "tcp4" && network != "tcp6") {
				return fmt.Errorf("%w: it is no TCP address", ErrRefused)
			}
			return g.check(there.Addr())
		},
	}
}

// onlyHTTPS checks the URL of each request and bounds its answer, whoever makes
// it.
type onlyHTTPS struct {
	next    *http.Transport
	maxBody int64
}

// RoundTrip implements http.RoundTripper.
func (t onlyHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkParts(r.URL); err != nil {
		return nil, err
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &bounded{body: response.Body, left: t.maxBody}
	return response, nil
}

// CloseIdleConnections is what http.Client looks for.
func (t onlyHTTPS) CloseIdleConnections() { t.next.CloseIdleConnections() }

// bounded is a body that ends in ErrTooLarge when there is more than allowed.
type bounded struct {
	body io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error { return b.body.Close() }
