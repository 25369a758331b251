package outbound

import (
	"fmt"
	"net/netip"
)

// inner lists what is not the public Internet: the special-purpose registries
// of IANA (RFC 6890), and what providers of clouds put their metadata services
// on, where that lies outside of them.
var inner = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private (RFC 1918)
	"100.64.0.0/10",    // carrier-grade NAT (RFC 6598); Alibaba's metadata
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's platform
	"169.254.0.0/16",   // link-local; metadata of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // IETF protocols; Oracle's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
)

// global6 is what of IPv6 is given out as global unicast (RFC 4291); of that,
// inner6 is not public.
var (
	global6 = netip.MustParsePrefix("2000::/3")
	inner6  = prefixes(
		"2001::/23",     // IETF protocols, Teredo among them
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address inside
		"3fff::/20",     // documentation
	)
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address at its end (RFC 6052)
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// check refuses an address that is not public, unless it is allowed.
func (g *Guard) check(a netip.Addr) error {
	a = a.Unmap()
	if a.Zone() != "" {
		return fmt.Errorf("%w: it has a zone", ErrRefused)
	}
	if Public(a) || contains(g.allow, a) {
		return nil
	}
	return fmt.Errorf("%w: it lies in an inner network", ErrRefused)
}

// Public reports whether an address is one of the public Internet. An address
// that carries an IPv4 address is as public as that one.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is4() {
		return !contains(inner, a)
	}
	return a.IsValid() && a.Zone() == "" && global6.Contains(a) && !contains(inner6, a)
}

func contains(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
