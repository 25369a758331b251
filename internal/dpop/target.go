package dpop

import (
	"net/url"
	"strings"
)

// isTarget reports whether a htu claim is the URI of a request for path at this
// server, by one of its names. Query and fragment do not count, and both are
// normalised before they are compared (RFC 9449, section 4.3; RFC 3986, sections
// 6.2.2 and 6.2.3). The Host header has no say: whoever makes a client speak to
// a host of his own could send it along.
func (v *Verifier) isTarget(claim, path string) bool {
	for _, origin := range v.origins {
		if rest, ours := strings.CutPrefix(claim, origin); ours && rest == path {
			return true
		}
	}
	u, err := url.Parse(claim)
	if err != nil || u.Opaque != "" || u.User != nil {
		return false
	}
	for _, origin := range v.origins {
		if originOf(u) == origin {
			return normalPath(u.EscapedPath()) == normalPath(path)
		}
	}
	return false
}

// normalOrigin normalises the origin of a URL.
func normalOrigin(text string) (origin string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !strings.EqualFold(u.Scheme, "https") {
		return "", false
	}
	return originOf(u), true
}

// originOf is scheme and authority in small letters, without the port that the
// scheme implies.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":")
	return strings.ToLower(u.Scheme) + "://" + host
}

// normalPath normalises an escaped path: dot segments are resolved, an escaped
// character that need not be is written out, other escapes are in capitals.
func normalPath(escaped string) string {
	if u, err := (&url.URL{Scheme: "https", Host: "h", Path: "/"}).Parse(normalEscapes(escaped)); err == nil {
		escaped = u.EscapedPath()
	}
	if escaped == "" {
		return "/"
	}
	return escaped
}

func normalEscapes(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		c, err := url.PathUnescape(path[i : i+3])
		switch {
		case err == nil && unreserved(c[0]):
			b.WriteString(c)
		default:
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// unreserved are the characters that mean the same escaped (RFC 3986, section
// 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
