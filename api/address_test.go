package api

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestWhereARequestCameFrom(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
	for name, tt := range map[string]struct {
		remote    string
		forwarded bool
		headers   []string // of the header that is read
		want      string
	}{
		"no proxy":                          {remote: "198.51.100.7:1234", want: "198.51.100.7"},
		"a header from anybody":             {remote: "198.51.100.7:1234", headers: []string{"1.2.3.4"}, want: "198.51.100.7"},
		"IPv6":                              {remote: "[2001:db8::7]:1234", headers: []string{"1.2.3.4"}, want: "2001:db8::7"},
		"a proxy":                           {remote: "10.0.0.5:80", headers: []string{"198.51.100.7"}, want: "198.51.100.7"},
		"a proxy over mapped IPv6":          {remote: "[::ffff:10.0.0.5]:80", headers: []string{"198.51.100.7"}, want: "198.51.100.7"},
		"a proxy that says nothing":         {remote: "10.0.0.5:80", want: "10.0.0.5"},
		"spoofed on the left":               {remote: "10.0.0.5:80", headers: []string{"127.0.0.1, 10.0.0.9, 198.51.100.7"}, want: "198.51.100.7"},
		"spoofed in a line before":          {remote: "10.0.0.5:80", headers: []string{"127.0.0.1", "198.51.100.7"}, want: "198.51.100.7"},
		"two proxies":                       {remote: "10.0.0.5:80", headers: []string{"198.51.100.7, 10.0.0.9"}, want: "198.51.100.7"},
		"two proxies, two lines":            {remote: "10.0.0.5:80", headers: []string{"6.6.6.6, 198.51.100.7", "10.0.0.9"}, want: "198.51.100.7"},
		"proxies all the way":               {remote: "10.0.0.5:80", headers: []string{"10.0.0.8, 10.0.0.9"}, want: "10.0.0.8"},
		"nonsense on the right":             {remote: "10.0.0.5:80", headers: []string{"198.51.100.7, <script>"}, want: "10.0.0.5"},
		"nonsense behind a proxy":           {remote: "10.0.0.5:80", headers: []string{"' OR 1=1, 10.0.0.9"}, want: "10.0.0.9"},
		"an empty element":                  {remote: "10.0.0.5:80", headers: []string{"198.51.100.7,"}, want: "10.0.0.5"},
		"an empty line":                     {remote: "10.0.0.5:80", headers: []string{"198.51.100.7", ""}, want: "198.51.100.7"},
		"a port":                            {remote: "10.0.0.5:80", headers: []string{"198.51.100.7:5555"}, want: "198.51.100.7"},
		"brackets":                          {remote: "10.0.0.5:80", headers: []string{"[2001:db8::7]:5555"}, want: "2001:db8::7"},
		"a zone":                            {remote: "10.0.0.5:80", headers: []string{"fe80::1%eth0"}, want: "10.0.0.5"},
		"Forwarded":                         {remote: "10.0.0.5:80", forwarded: true, headers: []string{`for=198.51.100.7;proto=https;by=10.0.0.5`}, want: "198.51.100.7"},
		"Forwarded, quoted":                 {remote: "10.0.0.5:80", forwarded: true, headers: []string{`for=127.0.0.1, proto=https;For="[2001:db8::7]:99"`}, want: "2001:db8::7"},
		"Forwarded, unknown":                {remote: "10.0.0.5:80", forwarded: true, headers: []string{`for=198.51.100.7, for=unknown`}, want: "10.0.0.5"},
		"Forwarded, without for":            {remote: "10.0.0.5:80", forwarded: true, headers: []string{`proto=https`}, want: "10.0.0.5"},
		"Forwarded, a quote left open":      {remote: "10.0.0.5:80", forwarded: true, headers: []string{`for="198.51.100.7, for=10.0.0.9`}, want: "10.0.0.9"},
		"Forwarded, a spoof in a quotation": {remote: "10.0.0.5:80", forwarded: true, headers: []string{`for="x, for=127.0.0.1;y=", for=198.51.100.7`}, want: "198.51.100.7"},
		"longer than is looked at":          {remote: "10.0.0.5:80", headers: []string{strings.Repeat("198.51.100.7, ", 5) + strings.Repeat("10.0.0.9, ", maxHops) + "10.0.0.9"}, want: "10.0.0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Config: Config{TrustedProxies: trusted, ForwardedHeader: tt.forwarded}}
			read, other := "X-Forwarded-For", "Forwarded"
			if tt.forwarded {
				read, other = other, read
			}
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{
				read: tt.headers, other: {"6.6.6.6", "for=6.6.6.6"},
				"X-Real-Ip": {"6.6.6.6"}, "True-Client-Ip": {"6.6.6.6"}, "Cf-Connecting-Ip": {"6.6.6.6"}, "X-Forwarded": {"for=6.6.6.6"},
			}}
			if got := (&call{s: s, r: r}).caller(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			s.TrustedProxies = nil
			if got := (&call{s: s, r: r}).caller(); got != host(tt.remote) {
				t.Errorf("without trusted proxies %q", got)
			}
		})
	}
}

// What is audited and what the store is told is the address that was found.
func TestAddressReachesTheStore(t *testing.T) {
	f := newScripted(t)
	f.server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	f.me().do("GET", someRecord, "", "X-Forwarded-For", "127.0.0.9, 198.51.100.7").want(200)
	if got := f.script.caller.Address; got != "198.51.100.7" {
		t.Errorf("the store was told %q", got)
	}
	f.server.TrustedProxies = nil
	f.me().do("GET", someRecord, "", "X-Forwarded-For", "198.51.100.7").want(200)
	if got := f.script.caller.Address; got != "127.0.0.1" {
		t.Errorf("a header from anybody: the store was told %q", got)
	}
}

func FuzzCaller(f *testing.F) {
	for _, seed := range []string{"1.2.3.4, 10.0.0.1", `for="[::1]:1";by=x, for=10.0.0.3`, ",", "[", `for="`, "::ffff:1.2.3.4"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, value string, forwarded bool) {
		s := &Server{Config: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ForwardedHeader: forwarded}}
		r := &http.Request{RemoteAddr: "10.0.0.5:80", Header: http.Header{"X-Forwarded-For": {value}, "Forwarded": {value}}}
		if _, err := netip.ParseAddr((&call{s: s, r: r}).caller()); err != nil {
			t.Errorf("what came out is no address: %v", err)
		}
	})
}
