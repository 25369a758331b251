package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how many proxies are looked back through.
const maxHops = 16

// origin returns the address that a request came from: the other end of the
// connection, unless that is a trusted proxy. Then it is the right-most address
// of the header that is not a trusted proxy itself: all to the right of it was
// written by proxies of ours, all to the left by anybody. A header that cannot
// be read leads no further than the last proxy that wrote a readable one.
func (s *Server) origin(r *http.Request) netip.Addr {
	at := otherEnd(r)
	if len(s.TrustedProxies) == 0 {
		return at
	}
	hops := hopsOf(r.Header, s.ForwardedHeader)
	for s.trusted(at) && hops.more() {
		next, ok := hops.previous()
		if !ok {
			break
		}
		at = next
	}
	return at
}

// otherEnd is the address of the connection.
func otherEnd(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.IPv6Unspecified()
}

// proxied reports whether the connection is a trusted proxy's.
func (s *Server) proxied(r *http.Request) bool {
	return len(s.TrustedProxies) > 0 && s.trusted(otherEnd(r))
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, network := range s.TrustedProxies {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// hops walks the elements of a list in headers, the last first.
type hops struct {
	lines     []string
	rest      string
	forwarded bool
	left      int
}

func hopsOf(h http.Header, forwarded bool) *hops {
	name := "X-Forwarded-For"
	if forwarded {
		name = "Forwarded"
	}
	return &hops{lines: h[name], forwarded: forwarded, left: maxHops}
}

// more takes the next line, from the last, when this one is done.
func (h *hops) more() bool {
	if h.left == 0 {
		return false
	}
	for h.rest == "" && len(h.lines) > 0 {
		h.rest = strings.TrimSpace(h.lines[len(h.lines)-1])
		h.lines = h.lines[:len(h.lines)-1]
	}
	return h.rest != ""
}

// previous returns the address of the last element that was not looked at.
func (h *hops) previous() (netip.Addr, bool) {
	h.left--
	element := h.rest
	if i := strings.LastIndexByte(h.rest, ','); i >= 0 {
		h.rest, element = strings.TrimSpace(h.rest[:i]), h.rest[i+1:]
	} else {
		h.rest = ""
	}
	element = strings.TrimSpace(element)
	if h.forwarded {
		element = forwardedFor(element)
	}
	return hopAddress(element)
}

// forwardedFor returns the for parameter of an element of Forwarded. A quoted
// text with commas or semicolons inside falls apart here and is not readable:
// no address has any.
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok && strings.EqualFold(name, "for") {
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return value
		}
	}
	return ""
}

// hopAddress reads an address that may have a port, and brackets around IPv6.
func hopAddress(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap(), a.Zone() == ""
	}
	if p, err := netip.ParseAddrPort(text); err == nil {
		return p.Addr().Unmap(), p.Addr().Zone() == ""
	}
	return netip.Addr{}, false
}
