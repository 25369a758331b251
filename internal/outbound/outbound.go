// Package outbound fetches what others keep at a URL that somebody configured
// through the API: key sets and discovery documents. Such a URL must not make
// this server speak to what only this server can reach (server-side request
// forgery), so that the address is judged when the connection is made, after
// every name was resolved.
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
	"strings"
	"syscall"
	"time"
)

// The bounds of a fetch.
const (
	timeout   = 5 * time.Second
	maxBody   = 256 << 10
	maxHeader = 32 << 10
)

// ErrRefused comes when a URL leads where this server does not go.
var ErrRefused = errors.New("this address is not one that the server may fetch from")

var (
	errTooLarge = errors.New("the answer is too large")
	errStatus   = errors.New("the answer is not 200")
)

// Options say where a client may go. The zero Options allow every public
// address.
type Options struct {
	Allow []netip.Prefix // networks that are allowed although they are not public
	Roots *x509.CertPool // nil: the system's
}

// Client fetches over HTTPS. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New returns a client. It follows no redirect, goes through no proxy (a proxy
// would resolve names by itself) and keeps no cookies.
func New(o Options) *Client {
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error { return o.judge(address) }}
	return &Client{&http.Client{
		Timeout: timeout,
		Transport: guarded{&http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, IdleConnTimeout: 30 * time.Second,
			MaxIdleConns: 16, MaxIdleConnsPerHost: 2, MaxConnsPerHost: 4, MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRefused },
	}}
}

// guarded refuses what is not HTTPS, and bounds what comes back.
type guarded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Scheme != "https" {
		return nil, ErrRefused
	}
	resp, err := g.next.RoundTrip(q)
	if err == nil {
		resp.Body = &bounded{resp.Body, maxBody}
	}
	return resp, err
}

// bounded is a body that fails when it is longer than it may be.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// HTTP returns the client for libraries that want one.
func (c *Client) HTTP() *http.Client { return c.http }

// Get returns the body at a URL. Its errors do not tell the URL.
func (c *Client) Get(ctx context.Context, address string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, ErrRefused
	}
	q.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(q)
	if err != nil {
		return nil, plain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errStatus
	}
	return io.ReadAll(resp.Body)
}

// plain takes the URL off an error of package net/http.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err
}

// judge decides about an address that is about to be connected to.
func (o Options) judge(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrRefused
	}
	ip := at.Addr().Unmap().WithZone("")
	for _, p := range o.Allow {
		if p.Contains(ip) {
			return nil
		}
	}
	if !public(ip) {
		return ErrRefused
	}
	return nil
}

// special are the networks that lead to something else than a host on the
// Internet (the IANA registries of special-purpose addresses), beyond those
// that net/netip knows, and those whose addresses hold an IPv4 address.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// ParseNetworks reads networks with commas between them, each in CIDR notation
// or a single address.
func ParseNetworks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			ip, ipErr := netip.ParseAddr(part)
			if ipErr != nil {
				return nil, fmt.Errorf("want networks like 10.0.0.0/8, with commas between them")
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
