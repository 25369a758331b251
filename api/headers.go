package api

import (
	"net/http"
	"strings"

	"strongroom/internal/uid"
	"strongroom/store"
)

// What a request can say of a read, in headers.
const (
	headerPurpose  = "Strongroom-Purpose"
	headerApproval = "Strongroom-Approval"
)

// The headers of every answer. The slices are shared by all of them and never
// changed: net/http copies them when it writes.
var (
	headerNoStore = []string{"no-store"}
	headerVary    = []string{"Authorization"}
	headerNoSniff = []string{"nosniff"}
	headerCSP     = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerHSTS    = []string{"max-age=31536000"}
	headerReferer = []string{"no-referrer"}
	headerCORP    = []string{"same-origin"}
)

// maxHeaderFields bounds the header fields of a request; net/http bounds their
// bytes.
const maxHeaderFields = 100

// answerHeaders names the request and sets what every answer says.
func (c *call) answerHeaders() {
	c.id = requestID(c.r.Header["X-Request-Id"])
	c.trace = traceParent(c.r.Header["Traceparent"])
	h := c.w.Header()
	h["X-Request-Id"] = []string{c.id}
	h["Cache-Control"] = headerNoStore
	h["Vary"] = headerVary
	h["X-Content-Type-Options"] = headerNoSniff
	h["Content-Security-Policy"] = headerCSP
	h["Referrer-Policy"] = headerReferer
	h["Cross-Origin-Resource-Policy"] = headerCORP
	if !c.s.Dev {
		h["Strict-Transport-Security"] = headerHSTS
	}
}

// tooMany reports whether there are more header fields than anybody needs.
func tooMany(h http.Header) bool {
	n := len(h)
	for _, values := range h {
		n += len(values) - 1
	}
	return n > maxHeaderFields
}

// checkHeaders refuses what is said twice where it may be said once, and
// promises that could not be kept.
func (c *call) checkHeaders() error {
	h := c.r.Header
	if tooMany(h) {
		return errManyHeaders
	}
	for _, name := range [...]string{"Authorization", "Content-Type", "Idempotency-Key", headerPurpose, headerApproval} {
		if len(h[name]) > 1 {
			return refuse(errRequest, "the header "+name+" is repeated")
		}
	}
	if c.e.body != "" && len(h["Content-Encoding"]) > 0 {
		return refuse(errMediaType, "a body must come without Content-Encoding")
	}
	if c.e.rule&unkeyed != 0 && len(h["Idempotency-Key"]) > 0 {
		return refuse(errRequest, "this route takes no Idempotency-Key")
	}
	return nil
}

// requestID returns the caller's id of the request when it is fit for a log,
// else a fresh one.
func requestID(given []string) string {
	if len(given) == 1 && len(given[0]) >= 1 && len(given[0]) <= 64 && only(given[0], idByte) {
		return given[0]
	}
	return uid.New().String()
}

func idByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// traceParent returns the caller's traceparent (W3C Trace Context, section 3.2)
// when it is well-formed, else nothing.
func traceParent(given []string) string {
	if len(given) != 1 || len(given[0]) != 55 {
		return ""
	}
	t := given[0]
	dashes := t[2] == '-' && t[35] == '-' && t[52] == '-'
	digits := only(t[:2], hexByte) && only(t[3:35], hexByte) && only(t[36:52], hexByte) && only(t[53:], hexByte)
	if !dashes || !digits || t[:2] == "ff" || only(t[3:35], zeroByte) || only(t[36:52], zeroByte) {
		return ""
	}
	return t
}

func hexByte(b byte) bool  { return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' }
func zeroByte(b byte) bool { return b == '0' }

// only reports whether every byte of s is one that ok accepts.
func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// host is the address without its port.
func host(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > 0 {
		return strings.Trim(address[:i], "[]")
	}
	return address
}

// readPurpose reads what a request says it reads for, and under which approval.
func (c *call) readPurpose() error {
	purpose, approval := c.r.Header[headerPurpose], c.r.Header[headerApproval]
	if len(purpose) > 0 {
		if c.who.Purpose = purpose[0]; !store.ValidPurpose(c.who.Purpose) {
			return refuse(errRequest, headerPurpose+" must be 1 to 64 lower-case letters, digits and hyphens")
		}
	}
	if len(approval) > 0 {
		if c.who.Approval = approval[0]; len(approval[0]) > 64 || !only(approval[0], idByte) {
			return refuse(errRequest, headerApproval+" must be the id of an approval")
		}
	}
	return nil
}

// idempotencyKey returns the caller's key: up to 255 visible ASCII characters.
func idempotencyKey(h http.Header) (string, error) {
	given := h["Idempotency-Key"]
	if len(given) == 0 {
		return "", nil
	}
	visible := func(b byte) bool { return b > ' ' && b < 0x7f }
	if len(given[0]) < 1 || len(given[0]) > 255 || !only(given[0], visible) {
		return "", refuse(errRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters")
	}
	return given[0], nil
}
